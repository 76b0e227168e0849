"""The columnar mirror: a region's table rows, already decoded into Arrow, kept beside the row store and following it.

An analytical scan spends most of its time turning versions into rows and rows into columns. The answer of that work
is kept, per (region, region epoch version, table, layout), in two parts:

* `base.TableBase`: the newest committed row of every key as of applied index A, as aligned Arrow chunks in key order;
* `delta.DeltaLog`: every record committed after A, raw, in apply order with its index, appended by the apply path.

    log index      ──── A ──── w ──── w ──── B ──── w ──▶          w: a write to the table
                       base    └─ delta ─┘   snapshot of the reader: the delta counts up to here, and no further

When may a read at `ts` on a snapshot of applied index B use them instead of the rows?  Each condition is needed:

1. *Base and log are of one life of the region.* A base belongs to the log that continues it; when a snapshot replaces
   the region's data or it leaves the store, both go. A split cuts both, a merge joins both (`parts`), under the key of
   the new range and in a new log, so work begun before it is refused. A log with a gap never exists.
2. *Nothing after B is seen, and everything up to B.* The reader's pin is taken in the turn of the loop its snapshot is
   taken in, and carries B: entries above B are cut off. (That B is fresh enough was shown before, by lease or
   ReadIndex.)
3. *The read is not in the base's past.* `ts >= max_commit_ts`, the largest commit timestamp that went into the base,
   deletes included. Below it an older version may be the visible one; the row path answers that.
4. *Nobody is about to commit below `ts`.* No lock with start_ts <= ts stands in the range: such a transaction may
   commit between its start and `ts`. The caller checks the lock family of its own snapshot first, always, because a
   lock is to be reported and resolved whichever path serves the rows.

Then the rows are, per key: the newest record of the delta not above `ts`, if it has one, else the row of the base.
`overlay` computes that in bulk. There are two ways to go on:

* *Beside* (`live`): a query over a whole table that is not small gets the base's chunks as they are, one bit for each
  row, and the rows committed since. Nothing is copied, each record is decoded once for all queries, and the relation of
  the base that DuckDB knows stays the same whatever is written.
* *Over*: everybody else gets batches in key order, in which the chunks the delta touches are copied. A read that sees
  all of the delta leaves behind what it computed as the next base. Columns it did not ask for cost it nothing: the base
  notes what became of their chunks, and whoever asks for them makes them (`pending`); columns an UPDATE leaves alone
  stay the same arrays. A read that is older than the newest commit keeps nothing.

Reads that keep nothing are charged for the delta, and once all of them have paid what making a new base costs, one is
made behind their backs (`mirror.MirrorReader.fold`, called by the server's `MirrorKeeper`); so it is once a delta is
long. No query waits for that. What is known beside the bases of the other regions stays known (`live_tables`), and is
kept up with while nobody asks (`rutile_kv.server.keeping_up`): a query after an hour of writes is as fast as the next.
The base that was replaced stays until the next: a reader whose timestamp is of a moment before uses that one. Bases and
logs are immutable or append-only and cut, so a fold never disturbs a running reader: it keeps what it was pinned to. A
log that grows faster than folds can follow ends at `cache.MAX_LOG_ENTRIES`, and its bases with it. One
budget covers bases and logs; what stands beside the bases (`live`) is bounded by an eighth of their rows.

The first read decodes all columns of a narrow table, those of a wide one when they are first asked for: they join the
base of the same index (`building`). One reader builds, the others wait for it, and all wait for the disk when memory is
short (`room`). At its end an import has every store build its bases (`rutile_kv.client.mirror_warming`).

Bases are written to files and mapped from there (`files`): their memory is page cache, the budget counts the rest, and
after a restart they are brought forward (`rutile_kv.server.mirror_restore`), or rebuilt: by the Raft log, and by what a
journal beside each file took over from it before it was cut (`journal`). At the start no file is read through: each is
checked when a query wants it, or in the background.

A chunk's `zones`, the least and largest values of its columns, are found when they are first asked for and kept with
the base and its file: what a fragment's conditions leave of a column (`rutile_coprocessor.pruning`) decides which
chunks are left out of a read. Key ranges are cut out by binary search among the keys.

Left out, on purpose, for now: zones of texts; reading wide columns late, for the rows that are left, because a mapped
column that no row is taken from costs nothing; a base is rebuilt for a new layout of its table; building the bases of
several regions side by side, because half of that is RocksDB's iterator, which holds the interpreter.
The row path is the twin the mirror is tested against: `rows.read_rows` and `mirror.MirrorReader` answer alike.
"""
