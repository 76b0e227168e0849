"""The client: from user keys to the right store, and from single requests to transactions.

A cluster is a sorted map cut into regions, and regions move: they split, merge, change leaders, lose stores. Nobody
tells the client. It keeps a guess of the map and sends each request where the guess says, together with the epoch the
guess is based on. A store that knows better refuses and says why, nothing having been done; the client corrects the
guess and sends again. So routes can be wrong, but never harmful, and a client that talks to settled regions asks the
placement driver for nothing but timestamps.

    Client ── Transaction ── TwoPhaseCommit ─┐                 what users hold, and what a commit does
       │          └── Snapshot ── scanner ───┤
       ├── coprocessor, rowwise, bulk, splits┤
       │                                  Router               keys to regions          LockResolver
       │                              RegionSender             one request, once
       │                     RegionCache     StoreConnections  where regions and stores are
       └────────────────────── PdClient ── TimestampOracle     what is true, and what time it is

The life of `Transaction.get(key)`, as an example of them all:

 1. `membuffer.MemBuffer.get`: a write of this transaction answers for the store.
 2. `snapshot.Snapshot.get` opens a `backoff.Backoff`, the time the whole operation may take, and calls
    `router.Router.call`.
 3. `region_cache.RegionCache.locate` finds the region of the key's storage form, asking `pd.PdClient.get_region` only
    if it has never heard of one there.
 4. `sender.RegionSender.send` takes the leader's stub from `connections.StoreConnections` and sends KvGet with the
    region's epoch in its context.
 5. A region error, or a call that failed on the way, comes back as `sender.Missed`. `region_errors.correct` has put the
    cache right by then: a hinted leader or the new regions after a split are taken from the error itself. The wait is
    `Missed.wait`, by the kind of failure, and the request starts again at 3.
 6. A lock in the way goes to `lock_resolver.LockResolver.resolve`: the lock's owner is judged at its primary key, and
    the lock finished, undone, pushed out of the way, or waited for. Then again from 3.
 7. The value, None, or a typed error. RetriesExhausted carries the last cause.

And of `Transaction.commit`: `two_phase.TwoPhaseCommit.commit`, whose own docstring tells it in order.

What always holds:

* *Nothing is executed twice that must not be.* Every command the client repeats is idempotent at the store; the one
  request that decides a transaction is followed up at the primary key when its answer is lost.
* *No position but keys.* Scans and batches remember keys, never regions, so whatever happens to regions in between
  cannot lose or double a row.
* *Everything is bounded*: time by one budget per operation, requests by bytes and keys, concurrency by
  `ClientOptions.parallel_rpcs`, background commits by `two_phase.MAX_BACKGROUND`, caches by their own constants.
* *No request per key where one per region will do*, and no task per request of a phase: those to all regions leave
  together and are awaited together (`batches.send_all`, `arrivals`).
* *Errors are of the tree in `rutile_proto.errors`*; a gRPC error never reaches the caller.

A store that is cut off answers nothing and breaks nothing. `leader_watch.LeaderWatch` asks the placement driver who
leads when an answer takes longer than a second, and `RegionSender.send` goes there as soon as it is another store.

Snapshots read from leaders, unless they are told to read from the closest replica (`replicas.ReadFrom`): once it is as
far as the leader, or as it is, which may be refused with DataIsNotReady. Then, as always, the leader is asked.

A pessimistic transaction (`pessimistic.PessimisticTransaction`) takes locks while it runs; they live in
`pessimistic_locks.PessimisticLocks`.

`watch` and `watch_raw` follow what others commit. A watch is cut into parts, one a region, and a part remembers a
timestamp (for raw data a place in a log), never a connection: wherever its region goes, it is taken up from there.

`gc.GcWorker` and `delete_ranges.DeleteRanges` are the cluster's garbage collection as far as it is a client's work; a
store runs them.

`raw.RawClient` does without all of this: single operations on data no transaction sees, routed by the same map.

Not here, on purpose: shared locks, TLS.
"""
