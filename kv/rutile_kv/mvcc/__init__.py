"""Many versions of every key, so that a reader at a timestamp sees the database as it was then (Percolator, as in
TiKV).

A transaction has two timestamps: `start_ts`, at which it reads, and `commit_ts`, from which its writes are seen. A
key's state lies in three families of the engine:

    lock      key              -> Lock(kind, primary, start_ts, ttl, ...)     at most one: who is about to write
    write     key | ~commit_ts -> Write(kind, start_ts, short value)          what was committed, newest first
    default   key | ~start_ts  -> value                                       values over 255 bytes

    prewrite (start_ts 7)       lock[k] = Lock(PUT, start_ts=7), and default[k|~7] = v if v is long
    commit (commit_ts 9)        write[k|~9] = Write(PUT, start_ts=7), lock[k] removed
    read at 8                   sees neither; read at 9 or later follows write[k|~9] to the value

What holds at every moment:

1. Of one key, commit_ts order is write order: a record is only ever added above those that a reader has used.
2. A PUT or DELETE lock with start_ts <= ts means that a commit at or below ts may still come: the reader must not
   guess, and reports KeyIsLocked. LOCK and PESSIMISTIC locks write nothing, and block no reader.
3. A transaction leaves exactly one of: a lock, a commit record, a rollback record, or nothing. A ROLLBACK record lies
   at write[k|~start_ts]; where another transaction was committed with that very timestamp, its record carries the
   rollback as a flag (`overlapped_rollback`). Rollbacks are protected: only garbage collection removes them, so a late
   prewrite of a transaction that was rolled back stays out for good.
4. LOCK and ROLLBACK records hold no data: readers step over them.

`records` holds the encodings (TiKV's, byte for byte), `reader` the questions commands and gets ask, `versions` the
choice of the version a reader sees, `gc` that of those nobody can see any more, `bulk` the scan for analytics: a whole
range at once with numpy. Keys given to these are user keys, but for `bulk` and `gc`, which take storage keys.

Left out: gc fences and last-change hints (skipped where TiKV wrote them), shared locks, pipelined flush.
"""
