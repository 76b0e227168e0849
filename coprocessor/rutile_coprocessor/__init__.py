"""The coprocessor: SQL next to the data. Pure execution, below the key-value store.

It is given Arrow batches (or the bytes of rows) and a *fragment*, a SELECT over named scans; it gives Arrow pages back.
It knows nothing of Raft, MVCC or gRPC; `rutile_kv.server` feeds it the rows a read timestamp may see.

    column_types, schema       MySQL's types, tables, and how rows of older layouts are read
    row, row_layout,           rows to and from bytes: one by one in microseconds, in batches at millions a second
    row_values, row_arrow
    handles, index_entries     primary keys, and the columns of indexes, as bytes that order like their values
    fragment, whitelist        what a fragment may contain; what runs is written anew from the checked tree
    size_bounds, lambda_bounds values whose size is only a number in the text: REPEAT('x', 1e9); what lambdas multiply
    prelude                    functions of MySQL as DuckDB macros, the same on every store and in the front end
    execute, scan_source,      DuckDB, locked down: limits, pages, deadlines, cancellation
    pages, watchdog,           (opened by the first run)
    late_executor
    prepared, stand_in         cursors with a plan, for the same text over rows that come and go
    scan_sizes, filtered_scans how many rows conditions leave, told to DuckDB, which does not know it of Arrow tables
    counted_joins              rows counted before they are joined, where many share a value
    encodings                  columns as DuckDB reads them fastest
    pruning                    which values the conditions leave of a scan's columns
    inputs                     relations that travel with a fragment: bounded, and checked before DuckDB sees them
    partial, partial_aggregate a query over one table as fragments for every store, and a merge
    partial_join               the same for a join of one table in the stores with others that travel

The life of a fragment:

1. The front end translates MySQL to DuckDB's dialect and sends the text with each scan's schema, columns and ranges.
2. `fragment.check_fragment` parses it, refuses what is not on the whitelist, and remembers what passed by its text.
3. The server reads the ranges at the read timestamp, and `row.RowCodec.decode_bytes` turns values into Arrow.
4. `execute.Executor.run` registers the batches under the scans' names, and the inputs under theirs, with a cursor of
   the locked-down database.
5. Pages leave as the query makes them, cut to a size; a deadline, a KILL or a lost client interrupts it anywhere.

Invariants: a fragment reads its scans and inputs and nothing else; whatever it does, the process lives on; a row
decodes to what was encoded, in whichever half of the codec; handles compare as keys do; partial plans give the answer
of the whole query for any distribution of rows over stores.

Sorts, joins and groupings that do not fit in memory spill to a folder of the store's, within a bound of its own; what
does not fit there fails and says so.

Left out, on purpose: collations other than utf8mb4_bin, DECIMAL beyond 38 digits, ENUM, SET, BIT and spatial types,
filters pushed into the scan itself (see scan_source) beyond leaving out chunks (see pruning).
"""
