"""The placement driver: the one place that knows the time, the ids, and where everything lives.

    client ── GetRegion, GetStore, Tso ───────────►  services/ ──►  cluster   stores, regions; conductor acts
    store  ── StoreHeartbeat, RegionHeartbeat ────►      │          allocation/   timestamps, ids, safe points
    people ── stores, operators, rules, settings ─►      │          administration, wishes
    store  ◄── change peers, transfer leader ──────      │
                                                         ▼
                                            consensus/   storage: changes, staged
                                                         │
    members ◄── peer_transport ── replication ◄──────────┘ leadership: committed before they are told
                                       │
                                  replica: a Raft log, and the state it makes, in one engine

Who may know whom, from above: node > member > services > (administration | wishes) > cluster, conductor > schedulers >
(operators | placement) > (regions | stores | consensus) > (allocation | config). Each package has a chapter.

**Time.** A timestamp is Unix milliseconds and a counter (rutile_proto.timestamps). The promise is that no timestamp is
given twice and none is smaller than one given before, over restarts and whatever the machine's clock does. It is kept
by writing down a limit a few seconds ahead before giving anything below it; a restart begins at the limit. Ids of
stores, regions and peers work the same way, in chunks.

**Several.** One member, or three or five with the same state: a key-value table that only the entries of a Raft log
change (rutile_kv.raft). A group of one is the same with nobody else in it. Who leads loads the cores from the applied
state, and throws them away when it ceases to (`member`). Two rules make its answers linearizable over any number of
leaders (`consensus.leadership`): nothing is heard of before a majority has it, and nothing is said unless it is sure
that nobody else led while it was asked, by the lease or by asking the others. A new leader gives timestamps above the
committed limit, an old one gives none once another may lead: so time never goes back. Regions are hints, which need not
survive; a new leader loads them while it serves, and decides nothing before it has them all. Followers name the leader
and refuse the rest with "not leader" (`services.door`); they never forward. Members come as learners and go one at a
time (`services.membership`). A founder that has lost its directory is not let in again, since it may have forgotten its
votes (`consensus.joining`): founding therefore needs all members once.

**Space.** The key space is cut into regions. Each region's leader reports it with its epoch, and the newer epoch wins:
a report overlapping a region of a higher version is stale and dropped, otherwise it replaces whatever it overlaps. So
the region tree is always a set of disjoint ranges, without PD ever taking part in a split. It is a cache of what the
stores know, kept on disk only so that a restarted PD can route at once. A region takes about 1.3 KB of memory in all;
what lies on each store is counted as reports come in (`regions.store_figures`), so that nothing ever has to look at all
regions.

**Wishes.** What the cluster should be is said by placement rules (placement/): how many replicas of which keys, in
which roles, on stores with which labels, how far apart. Without any there is one: `max_replicas` voters everywhere.
Rules, labels, weights, limits, schedulers and settings are changed while the cluster lives (`administration`), and kept
(`settings`).

**Order.** Checkers look at one region, schedulers at the balance of stores (schedulers/); both make *operators*: a few
steps that each change one thing (`operators`). A region has at most one operator; a more urgent one takes its place.
Its next step travels with the answer to a heartbeat until a heartbeat shows that it was done; an operator dies when its
region changes in any way that is not its own doing, when a step would do harm by now, or when it is overdue. What
became of it is remembered for a while. Scores count a store as it will be when the running operators are done
(`operators.influence`, `schedulers.scores`), otherwise everything would go to the same empty store. PD may repeat
itself or be wrong: a store obeys only what matches its own epoch and Raft's rules.

Invariants: a timestamp is below the durable limit; an id is below the durable end; regions of the tree do not overlap;
a region never gets a second peer on one store; no step takes a region below a majority of healthy voters.

**Guests.** Clients of TiKV call more at PD's address than PD: etcd's member list and one of its keys
(`services.etcd_service`), keyspaces by name (`services.keyspace_service`), gRPC's health. They get what Rutile has of
it.

Cores (cluster and what it uses, allocation, `consensus.replica`, `consensus.raft_log`) are plain synchronous objects.
Time comes to them as ticks or as `now_ms`, which is a monotonic clock's, for durations; only timestamps and safe points
see the wall clock.

Left out, on purpose: witnesses, region labels, schedulers that shuffle for tests, balancing by the load of whole
stores, writing to etcd, the HTTP API of TiKV's PD, changing a member's address, and going on after most members are
lost for good.
"""
