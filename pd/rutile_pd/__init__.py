"""The placement driver: the one place that knows the time, the ids, and where everything lives.

    client ── GetRegion, GetStore, Tso ───────────►  service.py ──►  cluster.py   stores, regions, operators
    store  ── StoreHeartbeat, RegionHeartbeat ────►      │           tso.py       timestamps
    store  ◄── change peers, transfer leader ──────      │           ids.py, safe_points.py, reserves.py
                                                         ▼
                                                     storage.py ──►  an engine (RocksDB, or memory)

**Time.** A timestamp is Unix milliseconds and a counter (rutile_proto.timestamps). The promise is that no timestamp is
given twice and none is smaller than one given before, over restarts and whatever the machine's clock does. It is kept
by writing down a limit a few seconds ahead before giving anything below it; a restart begins at the limit. Ids of
stores, regions and peers work the same way, in chunks.

**Space.** The key space is cut into regions. Each region's leader reports it with its epoch, and the newer epoch wins:
a report overlapping a region of a higher version is stale and dropped, otherwise it replaces whatever it overlaps. So
the region tree is always a set of disjoint ranges, without PD ever taking part in a split. It is a cache of what the
stores know, kept on disk only so that a restarted PD can route at once.

**Order.** Checkers look at one region, schedulers at the balance of stores; both make *operators*: a few steps that
each change one thing. A region has at most one operator. Its next step travels with the answer to a heartbeat until a
heartbeat shows that it was done; an operator dies when its region changes in any way that is not its own doing, or
when it is overdue. PD may repeat itself or be wrong: a store obeys only what matches its own epoch and Raft's rules.

Invariants: a timestamp is below the durable limit; an id is below the durable end; regions of the tree do not overlap;
a region never gets a second peer on one store; no step takes a region below a majority of healthy voters.

**Guests.** Clients of TiKV call more at PD's address than PD: etcd's member list and one of its keys
(etcd_service.py), keyspaces by name (keyspace_service.py), gRPC's health. They get what Rutile has of it.

Cores (everything but the *_service.py files, service.py, node.py and reserves.py, which wait) are plain synchronous
objects that are told `now_ms`. It is a monotonic clock's, for durations; only timestamps and safe points see the wall
clock.

Left out, on purpose for now: replicating PD itself (one durable node), placement rules and labels, moving peers for
balance of space, region merge, writing to etcd, and the HTTP API of TiKV's PD.
"""
