"""Running plans.

    point.py          point plans: get, closures, put; no DuckDB, no Arrow
    range_select.py   range plans: scan, closures, sorting and sums in Python; long ranges are left to query.py
    query.py          queries: through indexes, whole in one store, split over all with a merge here, or here over
                      fetched scans
    reading.py        when and how a query reads, and what running it found out
    sources.py        relations made here for DuckDB
    join_choice.py    joins that no one store has all of: which tables travel, and what keys tell of other tables' rows
    joins.py          reading scans one after the other for that, and what is sent to the stores
    index_read.py     which index path is taken, and the rows at its end
    overlay.py        scans of tables the transaction has written to
    insert.py         INSERT and its relatives, row by row into the write buffer
    change.py         UPDATE and DELETE over the rows a query found; joined_change.py: over several tables
    write.py          the one place where a row and its index entries become puts, inserts and deletes
      unfinished_entries.py  but for entries of unique indexes that are being made: whose they are is looked up first
    generated_ids.py  AUTO_INCREMENT, AUTO_RANDOM, and the next of a sequence
    foreign_keys.py   what a statement did, followed along foreign keys at its end

Everything here reads and writes through one `KvTransaction` or `KvSnapshot`; opening, committing and retrying it is
`rutile.session.transactions`' business.
"""
