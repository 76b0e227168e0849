"""The planner: which keys a statement touches, what runs beside the data, and what is left to do here.

    shapes.py       a statement with its literals taken out -> a point or range plan, or an INSERT, kept for all of
                    that shape
    point.py        SELECT, UPDATE, DELETE of rows named by a whole primary or unique key, as closures
                    (`rutile.expressions`)
    plain.py        the plainest of those SELECTs, which are answered promptly (`rutile.session.prompt`)
    range_select.py SELECTs from one table over a short stretch of a key, as closures too
    insert.py       INSERT and REPLACE: which value goes to which column
    change.py       other UPDATEs and DELETEs: a query for the rows, and what happens to each
    joined_change.py  those over several tables
    query.py        queries: QueryPlan, DuckDB text over named scans
      views.py        a view's query in its place
      literals.py     parameters, variables, NOW() as literals, so that the text means the same wherever it runs
      names.py        tables found, columns qualified (sqlglot's `qualify`, and nothing else of its optimizer)
      scans.py        columns and conditions each table is read with; ranges.py: the key ranges they leave
      partitions.py   which partitions the conditions leave of a table
      hints.py        optimizer hints, and the warnings about those that are not obeyed
      join_keys.py    columns that equal columns of other scans
      index_paths.py  the indexes by which a scan's rows can be found; which is taken is decided when the query runs
      dialect.py      MySQL's meaning in DuckDB's dialect (`rutile.translate`); the split into fragment and merge
      fetch.py        the fragment that brings one scan's rows here
    tree.py         plans as trees, for EXPLAIN

Invariants:

* A condition that became a key range or was pushed into a scan stays in the query: ranges and pushed filters may only
  leave out rows the query would drop itself. (Twin: tests/sql/test_sql_ranges.py.)
* A point plan never depends on a literal's value, only on where literals stand; a value that does not fit its key
  column sends the statement to the general path while it runs.
* A table a query names several times is scanned once, with the union of what its uses need; filters are pushed only
  for a single use.
* A scan of a partitioned table has the key ranges of every partition left, whose ids are not those of the table: the
  fragment's scan names them, and reads them as one relation. Point and range plans leave partitioned tables to the
  general path. (Twins: tests/sql/test_partition_pruning.py, tests/sql/test_partitions_twin.py,
  tests/sql/test_partitions_whole.py.)
* An index path leads to every row that the conditions leave, and perhaps to more: the query's own conditions are
  checked on what it brings. Only a LIMIT it satisfies by its order relies on its ranges being exact. (Twin:
  tests/sql/test_index_paths.py.)

Plans do not depend on statistics (`rutile.statistics`): those are asked when a query runs, as is the index itself (see
`rutile.execution.index_read`), and what travels in a join of several stores (`rutile.execution.join_choice`). Not
done, on purpose: lookup joins, join order and join methods. The unit of planning is the piece of a query that can run
beside the data; how it joins there is DuckDB's business.
"""
