"""The multi-raft store: many regions, each a Raft group, on one engine, with one write and one sync a round.

The idea
--------
The key space is cut into regions. A region is replicated by its peers, at most one a store; each peer is a Raft node
with its log and its state machine, and the state machine of all of them is the same engine, cut at region borders. What
one region decides alone (elections, log, applying) is in `peer`; what they share (disk, network, time) they share in
rounds:

    events ──> step ──> [ peer ] [ peer ] [ peer ] ...        writes, reads, messages, ticks
                           │        │        │
                           └────────┼────────┘  ready
                                    v
                             one StoreReady
          messages ──> network      │      batch ──> engine.write ──> answers, heartbeats
                                    │                     │
                                    │                engine.sync      (a thread; new events gather meanwhile)
                                    v                     v
                     persisted messages ──> network    advance

`Store` is the plain synchronous core behind one door (`step`, `ready`, `advance`), `StoreDriver` the asyncio shell that
owns disk, network and clock. The same core runs in the tests against disks that forget and networks that lose.

What always holds
-----------------
1. *One batch.* Log entries, hard states, applied data and applied indexes of a round are one atomic batch. Batches
   survive a crash as a prefix, so after it every region is at some moment of its own past, data and applied index
   together.
2. *Nothing is said before it is durable.* Votes and append responses leave after the sync. A leader's appends leave
   before it: they claim nothing about its own disk.
3. *Applying does not wait for the sync.* A committed entry is durable on a majority, wherever this store's disk is. So
   a write is answered when it is applied in the engine, and what is lost here in a crash is applied again from the log.
4. *A stale epoch does nothing.* Every command carries the epoch it was proposed under and is checked again when
   applied, in log order, by every replica alike. A command that met a split, a merge or a change of members fails with
   what is there now.
5. *Regions of a store never overlap*, and no peer id comes back: `registry` and `routing` keep zombies out with
   tombstones.
6. *Reads are linearizable*: from the leader with a lease that has applied an entry of its term and all it told others
   was committed (and splits or merges nothing just now), or after ReadIndex, on any replica, once the index is applied
   there. A reader sees one region through walls (`region_reader`).

Who is who
----------
    events           everything that goes in and out, with the promises on the fields
    store            the core: dispatch and rounds               requests      checks at the door, in TiKV's order
    store_view       what can be asked of it                     snapshot_desk snapshots, as the store hears of them
    peer             one replica: requests in, Ready out         routing       which peer a Raft message is for
    peer_proposals   what it proposes when it leads
    registry         peers coming, changing, going               region_change splits and members as pure functions
    apply            committed entries become data and answers   region_reader a reader that sees one region
    merge            what merging makes of regions: pure         takeover      CommitMerge: the source ends here
    merge_proposals  who proposes what of a merge                merge_watch   and when
    replay           the log told once more, for watchers
    peer_storage     log and states; what Raft reads             local_keys    the key map of the `raft` family
    pending_writes, proposals, reads: who waits for what         outbox        Raft's messages with their addresses
    snapshot         a region as a stream of bytes               installation  its way into a peer
    upkeep           what is looked at now and then              bootstrap     the first bytes of a store
    log_compaction   how much log is kept, and for whom          hibernation   idle regions stop ticking
    region_profile   what a region holds, where it can be cut    split_check   where it is cut for its size
    load             hot regions, and where to cut those         consistency   do replicas hold the same?
    write_places     what a batch is, by what is in it: where tests let a store die
    driver           the shell: rounds, ticks, tasks; with snapshot_transfer and region_checks for slow ones, and
                     pd_orders for PD
    driver_regions   the shell as callers know it: views, snapshots, writes, changes of regions

The lives of two requests
-------------------------
A write: `StoreDriver.write` steps a `Write`; `Store` checks store, region, peer, leader, term, epoch and keys;
`Peer.queue_write` keeps it until the round, where `Peer.flush` proposes all
that gathered as one entry; the entry is written and synced here while followers write theirs; committed,
`Applier.apply` puts it into the next round's batch, and the `Completion` resolves the caller's future when that batch
is written.

A snapshot: Raft finds a follower behind the log's beginning and asks `PeerStorage.snapshot`, which opens an engine
snapshot; the driver streams it (`SnapshotTransfer.send`); the receiver spools and verifies it before Raft hears of it;
then the old data is deleted and the region marked Applying in one batch, the records are written in slices, and a last
batch makes region, log and applied index true. A crash in between finds the mark, keeps term and vote, throws the rest
away and waits for another.

A split: every `split_check_ticks` a leader whose counters say that its region is too big, or big enough to hold more
than one table, asks for a look (`CheckSplit`). The shell reads the region in a thread, slice by slice
(`region_profile`), the core hears what it really holds, and `split_check` chooses the borders: at tables, or equal
parts. A region hot for some seconds is cut at a sampled key instead (`load`); where PD orders a split without keys, in
the middle. PD gives the ids, one entry (BatchSplit) makes the regions: the old one keeps its id and the last range, the
leader's new peers campaign at once, counters are shared out by what the engine estimates.

Sleep: a leader that nobody used for `hibernate_after_ticks` and whose members all have and applied everything asks them
to sleep, and sleeps. Stores ping each other instead of regions; a request, a Raft message or a silent store wakes
whom it concerns (`hibernation`). A store that stood still itself, or was late, has heard nobody and does not hold that
against them (`StoodStill`): otherwise a thousand regions would elect leaders whenever a processor is busy.

A merge: the source's leader proposes PrepareMerge (`merge_proposals.prepare_merge`), after which the source serves
nobody. The target's leader, whose store has applied that too, proposes CommitMerge, with what any peer of the source
may lack of its log. Every store that applies it finishes its source (`takeover`), leaves a tombstone and gives the keys
to the target, all in one batch, so a power cut finds two regions or one. If the target's epoch moves on before,
CommitMerge has no effect: whoever sees the source beside such a target knows that the merge is off, and the source's
leader proposes RollbackMerge. That proof is exact because a region says what it has absorbed wherever its state goes:
with its snapshots, and with the message that destroys a removed peer (docs/decisions/region-merge.md).

Not done, on purpose: merging into a left neighbour, keeping the log of a merged region for watchers that were away,
witnesses, applying in a thread of its own (Python would not gain), ingesting snapshots as files
(docs/decisions/snapshot-install.md).
"""
