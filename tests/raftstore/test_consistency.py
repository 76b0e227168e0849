"""Replicas compare their data; one that differs stops serving."""

import asyncio

import pytest
from driver_world import World, put

from rutile_kv.engine.api import CF_DEFAULT, CF_RAW
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.consistency import Consistency, HashScan
from rutile_kv.raftstore.events import CheckConsistency, HashComputed
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RegionDamaged


def hash_of(*entries, slice_entries=3):
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in entries:
        batch.put(cf, key, value)
    engine.write(batch)
    scan = HashScan(engine, metapb.Region(id=1, start_key=b"b", end_key=b"y"))
    while scan.advance(slice_entries):
        pass
    return scan.value()


def test_a_hash_is_of_everything_in_the_region_and_nothing_else():
    entries = [(CF_DEFAULT, b"k%d" % n, b"v") for n in range(10)]
    whole = hash_of(*entries)
    assert whole == hash_of(*reversed(entries), (CF_DEFAULT, b"a", b"outside"), (CF_DEFAULT, b"z", b"outside"))
    different = [
        hash_of(*entries[1:]),
        hash_of(*entries, (CF_RAW, b"k", b"v")),
        hash_of(*[(CF_RAW, key, value) for _, key, value in entries]),
        hash_of(*entries[1:], (CF_DEFAULT, b"k0", b"w")),
        hash_of(*entries[2:], (CF_DEFAULT, b"k0", b"vk"), (CF_DEFAULT, b"k1", b"v")),
    ]
    assert len({whole, *different}) == 6
    assert hash_of((CF_DEFAULT, b"kk", b"v")) != hash_of((CF_DEFAULT, b"k", b"kv")), "borders count"


def test_hashes_meet_in_any_order_and_only_of_one_index():
    early, late = Consistency(), Consistency()
    assert not early.computed(7, b"x") and early.expect(7, b"y")
    assert not late.expect(7, b"y") and late.computed(7, b"x")
    assert early.damage == late.damage and "7" in early.damage
    fine = Consistency()
    assert not fine.computed(7, b"x") and not fine.expect(8, b"y") and not fine.computed(8, b"y")
    assert not fine.damage


# --- the core ---------------------------------------------------------------------------------------------------------


def check(cluster):
    """Ask for a check; hash in a shell that takes its time: what was asked is in `cluster.hashes`."""
    cluster.result(cluster.ask_leader(lambda token, context: CheckConsistency(token, context)))
    cluster.tick(3)


def hashing(cluster):
    """The cluster's machines hash at once, as of the turn they are asked in."""
    for machine in cluster.machines.values():

        def effects(ready, machine=machine, inner=machine._effects):
            inner(ready)
            cluster.alarms += ready.alarms

        def written(step, machine=machine, inner=machine._maybe_crash):
            inner(step)
            in_flight = machine.store._in_flight
            if step == "after write" and in_flight is not None:
                for asked in in_flight.ready.hashes:
                    scan = HashScan(machine.engine, asked.region)
                    while scan.advance(100):
                        pass
                    cluster.hashes.append((machine.store_id, asked.index, scan.value()))
                    machine.step(HashComputed(asked.region.id, asked.index, scan.value()))

        machine._effects, machine._maybe_crash = effects, written
    cluster.hashes, cluster.alarms = [], []
    return cluster


def damage(cluster, store, key=b"k"):
    batch = cluster.machines[store].engine.batch()
    batch.put("default", key, b"rotten")
    cluster.machines[store].engine.write(batch)


def follower_of(cluster):
    return cluster.leader().peer.store_id % 3 + 1


def test_equal_replicas_agree(cluster):
    hashing(cluster).write((b"k", b"v"), (b"l", b"v"))
    check(cluster)
    assert len(cluster.hashes) == 3 and len({(index, value) for _, index, value in cluster.hashes}) == 1
    assert not cluster.alarms
    cluster.write((b"k", b"w"))


def test_entries_behind_the_hash_wait_for_the_next_round(cluster):
    """Writes and the hash are committed together: every replica hashes the same moment all the same."""
    hashing(cluster).write((b"k", b"v"))
    store = cluster.leader().peer.store_id
    peer = cluster.machines[store].store._registry.peers[1]
    for number in range(4):
        token = cluster.start_write([(b"k", b"%d" % number)])
        cluster.machines[store].turn()
        peer.propose_admin((), rutilepb.AdminCommand(compute_hash=rutilepb.ComputeHash()))
    cluster.result(token)
    cluster.write((b"end", b"v"))
    cluster.tick(5)
    by_index = {}
    for _, index, value in cluster.hashes:
        by_index.setdefault(index, []).append(value)
    assert len(by_index) == 4
    assert all(len(values) == 3 and len(set(values)) == 1 for values in by_index.values())
    assert len({values[0] for values in by_index.values()}) == 4
    assert not cluster.alarms


def test_a_damaged_replica_stops_serving_loudly(cluster):
    hashing(cluster).write((b"k", b"v"))
    cluster.caught_up()
    store = follower_of(cluster)
    damage(cluster, store)
    check(cluster)
    (alarm,) = cluster.alarms
    assert f"store {store}" in alarm and "remove this peer" in alarm
    with pytest.raises(RegionDamaged):
        cluster.read(store, b"k", replica_read=True)
    assert cluster.info(store).damage
    cluster.write((b"k", b"w"))
    check(cluster)
    assert len(cluster.alarms) == 1, "it is said once"


def test_a_damaged_replica_never_leads(cluster):
    hashing(cluster).write((b"k", b"v"))
    cluster.caught_up()
    store, leader = follower_of(cluster), cluster.leader().peer.store_id
    damage(cluster, store)
    check(cluster)
    cluster.isolate(leader)
    cluster.wait(lambda: (now := cluster.leader()) and now.peer.store_id != leader)
    assert cluster.leader().peer.store_id != store, "it votes, but does not stand"
    cluster.heal()
    cluster.tick(200)
    assert cluster.leader().peer.store_id != store


def test_damage_outlives_a_restart_until_the_peer_is_replaced(cluster):
    hashing(cluster).write((b"k", b"v"))
    cluster.caught_up()
    store = follower_of(cluster)
    damage(cluster, store)
    check(cluster)
    before = cluster.info(store).damage
    cluster.machines[store].crash()
    cluster.machines[store].restart()
    cluster.tick(5)
    assert before and cluster.info(store).damage == before
    with pytest.raises(RegionDamaged):
        cluster.read(store, b"k", replica_read=True)
    cluster.change(("RemoveNode", 10 + store, store))
    cluster.wait(lambda: cluster.info(store) is None)
    cluster.change(("AddLearnerNode", 100 + store, store))
    cluster.wait(lambda: cluster.info(store))
    cluster.machines[store].crash()
    cluster.machines[store].restart()
    assert cluster.info(store).damage == ""


def test_who_destroyed_data_beside_the_log_takes_no_part_for_a_while(new_cluster):
    cluster = hashing(new_cluster(config=StoreConfig(consistency_pause_ticks=50, hibernate_after_ticks=0)).grow())
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    store = follower_of(cluster)
    damage(cluster, store, b"gone")
    cluster.machines[store].store.data_destroyed(b"", b"")
    check(cluster)
    assert len(cluster.hashes) == 2 and not cluster.alarms
    cluster.tick(60)
    check(cluster)
    assert cluster.alarms


def test_who_may_have_destroyed_data_before_a_kill_takes_no_part_for_a_while(new_cluster):
    cluster = hashing(new_cluster(config=StoreConfig(consistency_pause_ticks=50, hibernate_after_ticks=0)).grow())
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    store = follower_of(cluster)
    batch = cluster.machines[store].engine.batch()
    batch.put("raft", local_keys.DATA_DESTROYED, b"")
    cluster.machines[store].engine.write(batch)
    damage(cluster, store, b"gone")
    cluster.machines[store].engine.sync()
    cluster.machines[store].crash()
    cluster.machines[store].restart()
    cluster.tick(5)
    check(cluster)
    assert len(cluster.hashes) == 2 and not cluster.alarms
    cluster.tick(60)
    check(cluster)
    assert cluster.alarms


def test_checks_come_by_themselves_if_wished(new_cluster):
    config = StoreConfig(consistency_check_ticks=20, hibernate_after_ticks=0)
    cluster = hashing(new_cluster(config=config).grow())
    cluster.tick(70)
    assert len({index for _, index, _ in cluster.hashes}) >= 3
    assert not cluster.alarms


# --- the driver -------------------------------------------------------------------------------------------------------


def test_replicas_are_compared_on_request(caplog):
    async def run():
        async with World(3) as world:
            driver = await world.grow()
            await driver.write(world.context(), put(b"k", b"v"))
            await driver.check_consistency(world.context())
            engine = world.engines[2]
            await world.until(lambda: engine.get("default", b"k") == b"v")
            batch = engine.batch()
            batch.put("default", b"k", b"rotten")
            engine.write(batch)
            await driver.check_consistency(world.context())
            await world.until(lambda: "is damaged on this store" in caplog.text)
            follower = world.wires.drivers[2]
            with pytest.raises(RegionDamaged):
                await follower.read_view(world.context(2, replica_read=True))
            assert (await driver.read_view(world.context())).get("default", b"k") == b"v"

    asyncio.run(run())
