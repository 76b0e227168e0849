"""Statistics: how many rows a table has and how its columns' values are spread, so that a plan can be chosen.

    collect.py     ANALYZE TABLE: one aggregate over all rows and one over a sample, both run beside the data
    model.py       what is kept of a table and of a column; as JSON
    summary.py     a sample of a column to its most common values and an equi-depth histogram
    kept.py        where it is kept, and the marks that tell the other front ends of it
    known.py       what this front end knows, without asking
    changes.py     how many rows were changed since: counted at commit, written together every few seconds
    keeper.py      the task that does so, loads what others analyzed, and analyzes again what changed too much
    estimate.py    how many rows meet conditions, how many a plan's scan or index path will read
    statements.py  ANALYZE TABLE, DROP STATS, SHOW STATS_META, _HISTOGRAMS, _TOPN, _BUCKETS, _HEALTHY, ANALYZE STATUS

What is kept lies in the catalogue's key space, but is no part of it: changing it moves no schema version and makes no
plan stale, for plans do not depend on it. A query asks when it runs: which index path promises the fewest entries, and
whether to try one at all (`rutile.execution.index_read`). A wrong estimate costs time, never a row.

    m statistics <table id>            JSON: TableStatistics
    m statistics_changes <table id>    rows changed since they were collected, as decimal text
    m statistics_version               moves when a table was analyzed, or its statistics dropped
    m statistics_changes_version       moves when changes were counted
    m statistics_owner                 who refreshes them, and until when

Estimates are those of a textbook (Selinger et al., "Access Path Selection", 1979, for the defaults; equi-depth
histograms and common values beside them): columns are taken to be independent, values within a bucket evenly spread.
A table that was never analyzed has no statistics, and EXPLAIN says N/A instead of inventing a number.

Not here: statistics on expressions, on pairs of columns, and join sizes: DuckDB orders joins where it runs them.
"""
