"""Power cuts at every step of a round: what was acknowledged is there afterwards, and the store goes on."""

import pytest

from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.events import Split, Write
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RutileError

STEPS = ("before write", "after write", "after sync", "after messages", "after advance")
KEYS = [b"%d" % n for n in range(8)]


def covering(cluster, key, reboot=lambda: False):
    """(region id, leading store) for a key, once there is one."""
    found = []

    def look():
        reboot()
        found[:] = [
            info
            for machine in cluster.machines.values()
            if machine.up
            for info in machine.store.region_infos()
            if info.is_leader
            and info.region.start_key <= key
            and (not info.region.end_key or key < info.region.end_key)
        ]
        return found

    cluster.wait(look)
    best = max(found, key=lambda info: info.region.region_epoch.version)
    return best.region.id, best.peer.store_id


def try_request(cluster, key, make, reboot):
    """Ask until it is answered with success, rebooting whatever crashes on the way."""
    for _ in range(10):
        region_id, store_id = covering(cluster, key, reboot)
        context = cluster.context(store_id, region_id)
        token = cluster.ask(store_id, lambda token, context=context: make(token, context))
        cluster.settle()
        for _ in range(60):
            if token in cluster.completions or reboot():
                break
            cluster.tick()
        completion = cluster.completions.get(token)
        if completion is not None and completion.error is None:
            return completion.result
        assert completion is None or isinstance(completion.error, RutileError)
        cluster.tick(2)
    raise AssertionError("never answered")


def story(cluster, crash_round, crash_step, survivors):
    """Write, split, write to both halves, with a crash in the way. False if the story ended before the crash."""
    machine = cluster.machines[1]
    machine.crash_at = (machine.rounds + crash_round, crash_step, survivors)
    crashed = []

    def reboot():
        for other in cluster.machines.values():
            if not other.up:
                crashed.append(other.store_id)
                check_survivors(cluster, other, acknowledged)
                other.restart()
                return True
        return False

    acknowledged = {}
    for number, key in enumerate(KEYS):
        if number == 4:
            requests = [rutilepb.SplitRequest(split_key=b"4", new_region_id=2, new_peer_ids=[21])]
            if covering(cluster, b"0", reboot)[0] == 1:
                split_once(cluster, requests, reboot)
        try_request(
            cluster, key, lambda token, context, key=key: Write(token, context, [("default", key, key)]), reboot
        )
        acknowledged[key] = key
    reboot()
    machine.crash_at = None
    for key in KEYS:
        region_id, store_id = covering(cluster, key)
        assert cluster.read(store_id, key, region_id) == key
    cluster.check_replicas()
    cluster.check_tiles([1, 2])
    return bool(crashed)


def split_once(cluster, requests, reboot):
    """The split may have happened although nobody heard of it."""
    for _ in range(10):
        region_id, store_id = covering(cluster, b"0", reboot)
        if region_id == 2:
            return
        context = cluster.context(store_id, region_id)
        token = cluster.ask(store_id, lambda token, context=context: Split(token, context, requests))
        cluster.settle()
        if not reboot() and token in cluster.completions and cluster.completions[token].error is None:
            return
        cluster.tick(2)


def check_survivors(cluster, machine, acknowledged):
    """On the disk of a dead store that was alone: each acknowledged write is applied, or in the log to be applied."""
    kept = {entry.data for entry in local_keys.scan_log(machine.engine, 1, 0, 1 << 40)}
    kept |= {entry.data for entry in local_keys.scan_log(machine.engine, 2, 0, 1 << 40)}
    for key in acknowledged:
        assert machine.engine.get("default", key) == key or any(key in data for data in kept)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("survivors", [0, 1], ids=["all-lost", "one-through"])
def test_a_single_store_survives_a_power_cut_at_any_round(new_cluster, step, survivors):
    crashes = 0
    for number in range(1, 40):
        cluster = new_cluster(stores=1, seed=number)
        cluster.settle()
        if not story(cluster, number, step, survivors):
            break
        crashes += 1
    assert crashes > 15, "the story is long enough to crash in"


@pytest.mark.parametrize("step", STEPS)
def test_every_store_at_once(new_cluster, step):
    """All three lose power in the same moment of the same kind, again and again."""
    cluster = new_cluster().grow()
    acknowledged = {}
    for number in range(6):
        key = b"key %d" % number
        for machine in cluster.machines.values():
            machine.crash_at = (machine.rounds + 1 + number % 3, step, number % 2)
        leader = cluster.leader()
        token = cluster.ask(
            leader.peer.store_id,
            lambda token, store=leader.peer.store_id, key=key: Write(
                token, cluster.context(store), [("default", key, key)]
            ),
        )
        cluster.settle()
        if token in cluster.completions and cluster.completions[token].error is None:
            acknowledged[key] = key
        for machine in cluster.machines.values():
            if not machine.up:
                machine.restart()
            machine.crash_at = None
        cluster.wait(lambda: cluster.leader())
        cluster.write((b"between", b"%d" % number))
        for kept in acknowledged:
            assert cluster.get(cluster.leader().peer.store_id, kept) == kept
    cluster.caught_up()
    cluster.check_replicas()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("survivors", [0, 1, 2, 3], ids=str)
def test_a_crash_while_a_snapshot_is_installed(new_cluster, step, survivors):
    for later in range(1, 6):
        cluster = new_cluster(seed=later).grow()
        if cluster.leader().peer.store_id == 3:
            cluster.move_leader(1)
        cluster.write((b"old", b"v"))
        cluster.caught_up()
        cluster.isolate(3)
        for number in range(40):
            cluster.write((b"%03d" % number, b"v"))
        cluster.wait(lambda cluster=cluster: cluster.leader().truncated_index > 30)
        victim = cluster.machines[3]
        victim.crash_at = (victim.rounds + later, step, survivors)
        cluster.heal()
        for _ in range(40):
            cluster.tick()
            if not victim.up:
                state = local_keys.load_region_state(victim.engine, 1)
                assert state is not None or step == "before write"
                victim.restart()
        cluster.caught_up()
        assert cluster.get(3, b"039") == b"v"
        cluster.check_replicas()


def test_a_half_installed_snapshot_is_thrown_away_and_asked_for_again(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    for number in range(40):
        cluster.write((b"%03d" % number, b"v"))
    cluster.wait(lambda: cluster.leader().truncated_index > 20)
    victim = cluster.machines[3]
    victim._install = lambda install: None
    cluster.heal()
    cluster.wait(lambda: victim.store._registry.peers[1].installation)
    state = local_keys.load_region_state(victim.engine, 1)
    assert state.state == raft_serverpb.PeerState.Applying
    term = local_keys.load_raft_state(victim.engine, 1).hard_state.term
    batch = victim.engine.batch()
    batch.put("default", b"000", b"half")
    victim.engine.write(batch)
    victim.engine.sync()
    victim.crash()
    victim.restart()
    del victim._install
    assert victim.engine.get("default", b"000") is None
    assert local_keys.load_raft_state(victim.engine, 1).hard_state.term == term, "votes are not forgotten"
    cluster.caught_up()
    assert cluster.get(3, b"000") == b"v"
