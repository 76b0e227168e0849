"""The columnar mirror: a region's table rows, already decoded into Arrow, kept beside the row store.

An analytical scan spends most of its time turning versions into rows and rows into columns. The answer of that work
changes only when the region's data changes, so it is kept: per (region, region epoch version, table, layout) one
`TableBase`, which holds the NEWEST committed row of every key as aligned Arrow chunks of at most 64 Ki rows, in key
order.

When may a read at `ts` use a base instead of the rows?  Three conditions, and each is needed:

1. *Nothing changed.* The region's data version (a counter the raftstore bumps with every apply that touches a data
   family, and with every installed snapshot) is the one the base was built at. A lock counts as a change too.
2. *The read is not in the base's past.* `ts >= max_commit_ts`, the largest commit timestamp in the range, deletes
   included. Below it an older version may be the visible one; the row path answers that.
3. *Nobody is about to commit below `ts`.* No lock with start_ts <= ts stands in the range: such a transaction may
   commit between its start and `ts`. The caller checks the lock family of its own snapshot first, always, because a
   lock is to be reported and resolved whichever path serves the rows.

     ts ──────────────●────────────────────────●──────────▶
                      max_commit_ts            read here: the newest version of every key is the visible one

Columns are decoded when first asked for and join the base of the same data version: two scans of one version see the
same keys in the same order, so their chunks line up.

Left out, on purpose, for now: the delta (a base dies with the first write to its region), files on disk (a base dies
with the process), min/max pruning, and slicing a base when its region splits (a new epoch version is a new key).
The row path is the twin the mirror is tested against: `rows.read_rows` and `mirror.MirrorReader` answer alike.
"""
