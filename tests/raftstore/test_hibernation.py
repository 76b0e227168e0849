"""Regions that nobody uses go to sleep, and wake for everything that matters."""

import random
from itertools import count

import pytest

from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import RaftMessageReceived, ReadIndex, StoodStill, TransferLeader, Write
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

SLEEPY = StoreConfig(hibernate_after_ticks=20, asleep_check_ticks=60, region_heartbeat_ticks=20)
_Extra = raft_serverpb.ExtraMessageType


@pytest.fixture
def sleepy(new_cluster):
    return new_cluster(config=SLEEPY).grow()


def peer(cluster, store, region_id=1):
    return cluster.machines[store].store._registry.peers[region_id]


def asleep(cluster, region_id=1):
    """The stores on which the region sleeps."""
    up = [store for store, machine in cluster.machines.items() if machine.up]
    return [store for store in up if peer(cluster, store, region_id).asleep_since is not None]


def put_to_sleep(cluster, region_id=1):
    cluster.wait(lambda: asleep(cluster, region_id) == list(cluster.machines))


def raft_messages(cluster, since):
    """What regions said to each other since then, beside asking now and then whether they still belong."""
    said = [message for message in cluster.sent[since:] if message.region_id]
    return [message for message in said if message.extra_msg.type != _Extra.MsgCheckStalePeer]


def test_an_idle_region_falls_silent(sleepy):
    put_to_sleep(sleepy)
    before = len(sleepy.sent)
    sleepy.tick(40)
    assert raft_messages(sleepy, before) == []
    pings = [message for message in sleepy.sent[before:] if not message.region_id]
    assert 0 < len(pings) <= 3 * 2 * 40 / SLEEPY.store_ping_ticks + 6, "stores keep in touch, whatever sleeps"
    assert not any(machine.store._registry.awake for machine in sleepy.machines.values())


@pytest.mark.parametrize("period", [18, 19, 20, 21])
def test_no_rhythm_keeps_a_region_awake(new_cluster, period):
    """Whatever else a leader does every so many ticks: heartbeats, reports to PD."""
    config = StoreConfig(hibernate_after_ticks=period, heartbeat_ticks=2, region_heartbeat_ticks=period)
    cluster = new_cluster(config=config).grow()
    for offset in range(2):
        cluster.write((b"k%d" % offset, b"v"))
        cluster.tick(offset)
        cluster.wait(lambda: asleep(cluster) == [1, 2, 3], ticks=period + config.hibernate_answer_ticks)


def test_the_stores_in_touch_cost_the_same_for_many_regions(sleepy):
    for number in range(2, 12):
        sleepy.split((b"%02d" % number, number))
    for region_id in range(1, 12):
        put_to_sleep(sleepy, region_id)
    before = len(sleepy.sent)
    sleepy.tick(3)
    assert len(sleepy.sent) - before == 3 * 2


@pytest.mark.parametrize("at_leader", [True, False])
def test_a_write_and_a_read_wake_the_region(sleepy, at_leader):
    put_to_sleep(sleepy)
    leader = sleepy.leader()
    sleepy.write((b"k", b"v"))
    sleepy.caught_up()
    put_to_sleep(sleepy)
    store = leader.peer.store_id if at_leader else leader.peer.store_id % 3 + 1
    assert sleepy.read(store, b"k", replica_read=not at_leader) == b"v"
    assert leader.peer.store_id not in asleep(sleepy)
    assert sleepy.leader().term == leader.term, "the same leader, without an election"


def test_a_used_region_stays_awake(sleepy):
    store = sleepy.leader().peer.store_id
    for _ in range(60):
        sleepy.machines[store].store.read_now(sleepy.context(store), 0)
        sleepy.tick()
        assert not asleep(sleepy)


def test_a_sleeping_leader_has_no_lease(sleepy):
    put_to_sleep(sleepy)
    store = sleepy.leader().peer.store_id
    core = sleepy.machines[store].store
    context = sleepy.context(store)
    assert core.read_now(context, core.tick_count) is None
    sleepy.result(sleepy.ask(store, lambda token: ReadIndex(token, context)))
    assert core.read_now(context, core.tick_count) is not None, "awake, and confirmed by the others"


def test_a_leader_that_wakes_cut_off_serves_nothing(sleepy):
    put_to_sleep(sleepy)
    old = sleepy.leader().peer.store_id
    sleepy.isolate(old)
    core = sleepy.machines[old].store
    context = sleepy.context(old)
    for _ in range(100):
        sleepy.tick()
        assert core.read_now(context, core.tick_count) is None if core.led_term(1) else True
    assert sleepy.leader().peer.store_id != old


def ticks_to_another_leader(cluster):
    """From the death of the leader's store to the next leader."""
    put_to_sleep(cluster)
    cluster.machines[cluster.leader().peer.store_id].crash()
    for ticks in count(1):
        cluster.tick()
        if cluster.leader() is not None:
            return ticks


def test_a_dead_leader_is_replaced_within_two_seconds(new_cluster):
    """As in a group that was awake: an election timeout of silence, and a random one up to twice as long."""
    waits = sorted(ticks_to_another_leader(new_cluster(config=SLEEPY, seed=seed).grow()) for seed in range(20))
    assert waits[10] <= 20, f"half of them within two seconds: {waits}"
    assert waits[15] <= 20 + SLEEPY.store_ping_ticks, f"the rest are split votes: {waits}"


def test_a_dead_follower_is_reported_and_the_rest_stays_awake(sleepy):
    put_to_sleep(sleepy)
    dead = sleepy.leader().peer.store_id % 3 + 1
    sleepy.machines[dead].crash()
    sleepy.heartbeats.clear()
    sleepy.wait(lambda: any(beat.down_peers for beat in sleepy.heartbeats))
    sleepy.tick(60)
    assert asleep(sleepy) == []


def test_a_follower_that_was_left_awake_disturbs_nobody(sleepy):
    put_to_sleep(sleepy)
    leader = sleepy.leader()
    odd = peer(sleepy, leader.peer.store_id % 3 + 1)
    sleepy.machines[odd.meta.store_id].store._wake(odd)
    sleepy.network.clear()
    odd.rest.used = False
    sleepy.tick(60)
    assert sleepy.leader().term == leader.term
    put_to_sleep(sleepy)


def test_a_member_that_does_not_answer_keeps_the_leader_awake(sleepy):
    leader = sleepy.leader().peer.store_id
    lost = _Extra.MsgHibernateResponse
    sleepy.drop = lambda sender, to: sleepy.sent[-1].extra_msg.type == lost and sleepy.sent[-1].HasField("extra_msg")
    term = sleepy.leader().term
    sleepy.tick(100)
    slept = [message for message in sleepy.sent if message.HasField("extra_msg") and message.extra_msg.type == lost]
    assert slept, "they agreed"
    assert sleepy.leader().term == term
    assert leader not in asleep(sleepy) or peer(sleepy, leader).rest.awaited


def test_lagging_followers_do_not_agree(sleepy):
    leader = sleepy.leader()
    store = leader.peer.store_id % 3 + 1
    follower = peer(sleepy, store)
    request = raft_serverpb.RaftMessage(
        region_id=1,
        from_peer=leader.peer,
        to_peer=follower.meta,
        region_epoch=leader.region.region_epoch,
        message=eraftpb.Message(term=leader.term, index=leader.applied_index + 1),
        extra_msg=raft_serverpb.ExtraMessage(type=_Extra.MsgHibernateRequest),
    )
    sleepy.machines[store].step(RaftMessageReceived(request))
    sleepy.settle()
    assert not asleep(sleepy)


def test_strangers_put_nobody_to_sleep_and_wake_nobody(sleepy):
    put_to_sleep(sleepy)
    stranger = metapb.Peer(id=99, store_id=2)
    for kind in (_Extra.MsgRegionWakeUp, _Extra.MsgHibernateRequest):
        message = raft_serverpb.RaftMessage(
            region_id=1, from_peer=stranger, to_peer=peer(sleepy, 1).meta, extra_msg={"type": kind}
        )
        sleepy.machines[1].step(RaftMessageReceived(message))
    sleepy.settle()
    assert asleep(sleepy) == [1, 2, 3]


def test_pd_hears_of_sleeping_regions_and_may_order_them_about(sleepy):
    put_to_sleep(sleepy)
    sleepy.heartbeats.clear()
    sleepy.tick(SLEEPY.asleep_check_ticks + 1)
    assert len(sleepy.heartbeats) in (1, 2)
    assert asleep(sleepy) == [1, 2, 3]
    target = next(member for member in sleepy.region().peers if member.store_id != sleepy.leader().peer.store_id)
    sleepy.result(sleepy.ask_leader(lambda token, context: TransferLeader(token, context, target.id)))
    sleepy.wait(lambda: sleepy.leader() and sleepy.leader().peer.id == target.id)


def test_a_sleeper_that_was_forgotten_finds_out(sleepy):
    """It was removed while nothing of that reached it, and its store is alive and well."""
    put_to_sleep(sleepy)
    gone = next(member for member in sleepy.region().peers if member.store_id != sleepy.leader().peer.store_id)
    sleepy.drop = lambda sender, to: to == gone.store_id and bool(sleepy.sent[-1].region_id)
    sleepy.change(("RemoveNode", gone.id, gone.store_id))
    sleepy.tick(10)
    assert gone.store_id in asleep(sleepy)
    sleepy.heal()
    sleepy.wait(lambda: sleepy.info(gone.store_id) is None)


def test_single_peers_sleep_too(new_cluster):
    cluster = new_cluster(stores=1, config=SLEEPY)
    cluster.wait(lambda: cluster.leader())
    put_to_sleep(cluster)
    cluster.write((b"k", b"v"))
    assert cluster.read(1, b"k") == b"v"


@pytest.mark.parametrize("seed", range(12))
def test_sleep_under_fire(new_cluster, seed):
    """Cuts, crashes and writes at random around regions that sleep whenever they can: nothing acknowledged is lost."""
    chance = random.Random(seed)
    config = StoreConfig(hibernate_after_ticks=chance.choice((2, 5, 15)), hibernate_answer_ticks=2)
    cluster = new_cluster(config=config, seed=seed).grow()
    written = {}
    for number in range(15):
        victim = chance.choice((1, 2, 3))
        match chance.randrange(4):
            case 0:
                cluster.isolate(victim)
            case 1:
                cluster.machines[victim].crash(chance.randrange(3))
            case 2:
                cluster.drop = lambda sender, to: chance.random() < 0.3
        cluster.tick(chance.randrange(40))
        leader = cluster.leader()
        if leader is not None:
            key = b"%03d" % number
            context = cluster.context(leader.peer.store_id)
            modifies = [("default", key, b"v")]
            written[key] = cluster.ask(
                leader.peer.store_id,
                lambda token, context=context, modifies=modifies: Write(token, context, modifies),
            )
        cluster.tick(chance.randrange(10))
        cluster.heal()
        for machine in cluster.machines.values():
            if not machine.up:
                machine.restart()
        cluster.tick(chance.randrange(60))
    cluster.write((b"end", b"v"))
    cluster.caught_up()
    cluster.check_replicas()
    for key, token in written.items():
        completion = cluster.completions.get(token)
        if completion is not None and completion.error is None:
            assert cluster.get(1, key) == b"v", f"{key!r} was acknowledged"


def grow_to(cluster, regions):
    """So many regions, cut a hundred at a time."""
    for first in range(2, regions + 1, 100):
        cluster.split(*((b"%05d" % number, number) for number in range(first, min(first + 100, regions + 1))))


def awake_counts(cluster):
    return [len(machine.store._registry.awake) for machine in cluster.machines.values()]


def test_a_thousand_regions_come_to_rest(new_cluster):
    cluster = new_cluster(config=StoreConfig(hibernate_after_ticks=6, split_check_ticks=3)).grow()
    grow_to(cluster, 1_000)
    cluster.wait(lambda: awake_counts(cluster) == [0, 0, 0], ticks=60)
    before, beats = len(cluster.sent), len(cluster.heartbeats)
    cluster.tick(30)
    assert raft_messages(cluster, before) == []
    checks = 1_000 * 30 / cluster.config.asleep_check_ticks
    assert len(cluster.sent) - before <= 6 * checks + 3 * 2 * 11, "questions of followers, and pings"
    assert len(cluster.heartbeats) - beats <= 1.5 * checks
    cluster.split((b"00500x", 5_000), region_id=501)
    assert cluster.region(5_000).end_key == b"00500x"
    assert max(awake_counts(cluster)) <= 3, "only those who are concerned"


def test_a_store_that_stood_still_wakes_nobody_and_elects_nobody(sleepy):
    sleepy.split((b"m", 2))
    put_to_sleep(sleepy, 1)
    put_to_sleep(sleepy, 2)
    sleepy.write((b"z", b"v"))
    terms = [sleepy.leader(region_id).term for region_id in (1, 2)]
    for machine in sleepy.machines.values():
        machine.step(StoodStill(500))
        machine.step_tick()
    sleepy.settle()
    sleepy.tick(15)
    assert asleep(sleepy, 2) == [1, 2, 3]
    assert [sleepy.leader(region_id).term for region_id in (1, 2)] == terms


def test_a_lease_is_over_after_standing_still(cluster):
    leader = cluster.leader().peer.store_id
    machine = cluster.machines[leader]
    cluster.tick(4)
    assert machine.store.read_now(cluster.context(leader), 0) is not None
    machine.step(StoodStill(12))
    machine.turn()
    assert machine.store.read_now(cluster.context(leader), 0) is None
    cluster.tick(3)
    assert machine.store.read_now(cluster.context(leader), 0) is not None


def test_only_followers_of_a_silent_store_wake_at_once(sleepy):
    sleepy.split((b"m", 2))
    sleepy.move_leader(1, 1)
    sleepy.move_leader(2, 2)
    for region_id in (1, 2):
        put_to_sleep(sleepy, region_id)
    sleepy.machines[1].crash()
    sleepy.tick(SLEEPY.election_timeout_ticks + 2 * SLEEPY.store_ping_ticks)
    assert asleep(sleepy, 1) == [] and asleep(sleepy, 2) == [2, 3]
    sleepy.tick(SLEEPY.down_peer_ticks)
    assert asleep(sleepy, 2) == [], "PD hears that a member is down"
