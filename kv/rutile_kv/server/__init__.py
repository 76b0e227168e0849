"""The store process: gRPC outside, the raftstore's driver inside, and between them one object that answers everything.

    request ─▶ StoreService.<method>      boundary.unary: cluster, deadline, where each kind of error goes
                 │  validation            sizes, empty keys, reversed ranges: refused before anything is done
                 ├─ reads ─────▶ RegionStore.read_view ─▶ MvccReader      the live engine, until the next await
                 ├─ prompt ────▶ RegionStore.view_now ──▶ MvccReader      the same for callers in this process, no await
                 ├─ writes ────▶ TxnScheduler ─▶ FencedKv ─▶ StoreDriver   latches, one Raft entry, applied, answered
                 ├─ fragments ─▶ CoprocessorEndpoint ─▶ FragmentTask       snapshots, worker threads, DuckDB, pages
                 ├─ watches ───▶ Watches ─▶ WatchCore                      what is applied, as streams; progress
                 └─ snapshots ─▶ StoreDriver ◀── PeerPort                Raft messages and small requests by plain TCP

`StoreNode` (node.py) puts it together and takes it apart again in the opposite order; `StoreService` (kv_service.py) is
made of one class per idea, each a file. The same servicer is reached through gRPC or, in this process, through a
LocalStub: then nothing is serialised, so a request is never changed and a response never kept.

Invariants:

* A read raises max_ts before it looks at anything, and looks at locks that are still on their way too
  (`TxnScheduler.over`): a transaction that commits asynchronously gets a timestamp above every read that may have
  missed it. After an election or a merge max_ts is unknown until PD has given a timestamp (max_ts_sync.py). A
  follower's read raises the leader's max_ts before it is served (read_index_gate.py).
* A stale read is served by any replica that is complete up to its version, and asks nobody (stale_reads.py).
* No read below the safe point this store knows, and no version at or above it is ever removed (garbage_collector.py).
* A view of the live engine is used up before the next await. What has to live longer is a snapshot, and whoever
  opened it closes it.
* A command's write is refused once the term its view was read in is over (fenced_kv.py). Pessimistic locks in memory
  end with that term, and are written out before it is ended on purpose (lock_wait_ends.py, handing_over.py).
* A fragment reads all its regions at one timestamp, or none: a region that moved means `retry_regions` and no data.
* A relation is handed out again only while the read would use the very bases it was made of (warm_relations.py),
  and a range is taken for free of locks only at the applied index at which it was seen to be (lock_free.py).
* The store's identity and its first region are durable before PD hears of them (registration.py).
* Whatever a request does wrong, the store lives on; only its own disk ends it, and then it says so to everybody.

Bounds: 8 KiB a key, `StoreConfig.max_entry_bytes` a write, `coprocessor_concurrency` fragments at a time with
`coprocessor_memory_bytes` of decoded rows each, `mirror_narrow_bytes` of chunks in DuckDB's encodings, 256 relations,
256 fragments waiting, 4096 Raft messages waiting for a connection to a store and 64 MiB in it, about 1 MiB a page of
results.

Not here, on purpose: routing (the client's), retries of region errors (the client's), TiDB's coprocessor requests
(tp 103 to 105; only tp 200, our fragments), stale fragments, a store's safe timestamp as a whole (GetStoreSafeTS
answers 0).
"""
