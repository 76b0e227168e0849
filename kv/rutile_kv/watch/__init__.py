"""Watching: whoever asks is told of every committed change of a key range, once, in commit order for each key.

What a store applies passes by here anyway (`raftstore.observer`), on every replica alike. A watcher is served by the
region's leader; what follows makes a stream of it that can be cut anywhere and be taken up again elsewhere.

*Transactional data.* A record PUT or DELETE in the family write is a commit: key, commit_ts, and the value in the
record or, if long, in the family default. Of one key, commits are applied in the order of their timestamps (`mvcc`
rule 1). A watch from `from_ts` begins with the versions above it in a snapshot, and goes on with what is applied
after that very snapshot: no gap, and nothing twice.

How far is a watcher? That takes a promise about commits that are yet to come. A commit_ts is chosen when its locks
are in place (two phases), or, with async commit and 1PC, above `max_ts`. So once a timestamp `ts` was taken from PD,
max_ts raised to it, everything under way below it has landed, and this store still leads, then who has no lock here
by now will commit above `ts`. And who has one will commit above its start_ts. The lesser of the two is the *resolved
timestamp*:

    resolved_ts = min(ts, start_ts of the oldest lock)

Everything up to it was sent. It is what a broken watch is taken up from; what was sent above it comes again and is
dropped by the client, who remembers the last commit_ts of each key above it. A lock that its owner has abandoned would
hold progress back for ever: the client is told of it and finds out about its owner, as a reader would.

*Raw data* has no timestamps. Its changes are told in the order of the region's log, and a position is an index in it,
with what the region was at that index. Any leader of the region reads the log on from there (`raftstore.replay`), into
splits and through them. A region that merges takes its log along: watchers that are connected then are told all of it,
and go on behind the entry of the target that took it over. Logs are cut at some time: then a watch ends with
WatchHistoryGone, and so does one that was away while its region merged.

    changes     applied modifies -> versions, raw rows         locks     who holds progress back
    watcher     what waits for one reader; bounded             core      all watchers by region: the ApplyObserver
    backlog     what there was before

Invariants:

1. What waits is bounded in bytes (`StoreConfig.watch_queue_bytes`); who reads too slowly gets what waits and then
   WatchFellBehind.
2. A watcher never skips: when entries cannot have passed by here (a snapshot was installed, the region split, merged
   or left the store), it is ended with the region error that makes its client go elsewhere.
3. Progress is told only in the very turn in which leadership was confirmed; entries are told also while it is in
   doubt, for what is applied is committed.
4. Nothing in here knows time, reads the engine on its own account, or waits; the shell is `server.watches`.

5. A watch whose range a bulk load brings table files into is ended with WatchHistoryGone: their rows have a timestamp
   from before the load, and holding no locks they may lie below what the watcher was promised. It is to read the state
   anew.

Left out: values as they were before a change (read a snapshot at commit_ts - 1); order across keys other than by
resolved timestamps; loads in single entries, of which a watcher sees those that arrive above where it is, and loads
that came while it was between two streams: an import's table is seen by nobody until it is complete, so whoever watches
a table learns of one from the catalogue.
"""
