"""Running plans.

    point.py     point plans: get, closures, put; no DuckDB, no Arrow
    query.py     queries: whole in one store, split over all with a merge here, or here over fetched scans
    overlay.py   scans of tables the transaction has written to
    insert.py    INSERT and its relatives, row by row into the write buffer
    change.py    UPDATE and DELETE over the rows a query found
    write.py     the one place where a row becomes a put, an insert or a delete

Everything here reads and writes through one `KvTransaction` or `KvSnapshot`; opening, committing and retrying it is
`rutile.transactions`' business.
"""
