"""One region: elections, writes, reads, what a request is told."""

import pytest

from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import ReadIndex, Write
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import (
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    RaftEntryTooLarge,
    RegionNotFound,
    StaleCommand,
    StoreNotMatch,
)


def test_a_single_peer_leads_at_once_and_answers(new_cluster):
    cluster = new_cluster(stores=1)
    cluster.settle()
    assert cluster.leader().peer.id == 11
    cluster.write((b"k", b"v"))
    assert cluster.get(1, b"k") == b"v"
    assert cluster.read(1, b"k") == b"v"


def test_three_peers_replicate(cluster):
    cluster.write((b"a", b"1"), (b"b", b"2"))
    cluster.caught_up()
    assert [cluster.get(store, b"b") for store in (1, 2, 3)] == [b"2"] * 3
    cluster.check_replicas()


def test_writes_of_one_round_share_an_entry(cluster):
    before, store = cluster.leader().applied_index, cluster.leader().peer.store_id
    context = cluster.context(store)
    tokens = [
        cluster.ask(store, lambda token, n=n: Write(token, context, [("default", b"k%d" % n, b"v")])) for n in range(20)
    ]
    for token in tokens:
        cluster.result(token)
    assert cluster.leader().applied_index == before + 1


def test_a_new_leader_after_the_old_one_is_cut_off(cluster):
    old = cluster.leader().peer.store_id
    cluster.write((b"k", b"1"))
    lost = cluster.token()
    context = cluster.context(old)
    cluster.isolate(old)
    cluster.machines[old].step(Write(lost, context, [("default", b"k", b"lost")]))
    cluster.settle()
    cluster.wait(lambda: cluster.leader().peer.store_id != old)
    cluster.write((b"k", b"2"))
    assert lost not in cluster.completions
    cluster.heal()
    assert isinstance(cluster.error(lost), StaleCommand)
    cluster.caught_up()
    assert cluster.get(old, b"k") == b"2"


def test_lease_reads_only_on_a_leader_that_applied_in_its_term(cluster):
    leader = cluster.leader()
    store = cluster.machines[leader.peer.store_id].store
    context = cluster.context(leader.peer.store_id)
    cluster.tick(3)
    assert store.read_now(context, store.tick_count) == leader.region
    assert store.read_now(context, store.tick_count + 20) is None, "the process may have slept"


def test_a_lease_ends_without_followers(cluster):
    leader = cluster.leader().peer.store_id
    store = cluster.machines[leader].store
    context = cluster.context(leader)
    cluster.isolate(leader)
    cluster.tick(12)
    try:
        assert store.read_now(context, store.tick_count) is None
    except NotLeader:
        assert not cluster.info(leader).is_leader


def test_follower_reads_ask_the_leader(cluster):
    follower = next(store for store in (1, 2, 3) if not cluster.info(store).is_leader)
    cluster.write((b"k", b"v"))
    assert cluster.read(follower, b"k", replica_read=True) == b"v"
    with pytest.raises(NotLeader) as refused:
        cluster.read(follower, b"k")
    assert refused.value.leader == cluster.leader().peer


def test_a_read_is_asked_again_when_its_question_was_lost(cluster):
    follower = next(store for store in (1, 2, 3) if not cluster.info(store).is_leader)
    context = cluster.context(follower, replica_read=True)
    cluster.isolate(follower)
    token = cluster.ask(follower, lambda token: ReadIndex(token, context))
    cluster.settle()
    cluster.heal()
    assert cluster.result(token) is None


def test_checks_come_in_order(cluster):
    leader = cluster.leader().peer.store_id
    follower = next(store for store in (1, 2, 3) if store != leader)

    def refused(store, change):
        context = cluster.context(store)
        change(context)
        return cluster.error(cluster.ask(store, lambda token: Write(token, context, [("default", b"k", b"v")])))

    def wrong_peer(context):
        context.peer.id = 99

    def wrong_store(context):
        wrong_peer(context)
        context.peer.store_id = 9

    def wrong_region(context):
        wrong_peer(context)
        context.region_id = 77

    def wrong_version(context):
        context.region_epoch.version += 1

    assert isinstance(refused(follower, wrong_store), StoreNotMatch)
    assert isinstance(refused(follower, wrong_region), RegionNotFound)
    assert isinstance(refused(follower, wrong_peer), MismatchPeerId)
    assert isinstance(refused(follower, wrong_version), NotLeader)
    mismatch = refused(leader, wrong_version)
    assert isinstance(mismatch, EpochNotMatch)
    assert mismatch.current_regions == [cluster.region()]


def test_other_members_do_not_make_a_write_stale(cluster):
    leader = cluster.leader().peer.store_id
    context = cluster.context(leader)
    context.region_epoch.conf_ver -= 1
    cluster.result(cluster.ask(leader, lambda token: Write(token, context, [("default", b"k", b"v")])))


def test_a_key_outside_and_a_value_too_large(cluster):
    cluster.split((b"m", 2))
    with pytest.raises(KeyNotInRegion):
        cluster.write((b"a", b"v"))
    with pytest.raises(RaftEntryTooLarge):
        cluster.write((b"z", b"v" * (9 << 20)))


def test_heartbeats_tell_pd_of_leaders_and_changes(new_cluster):
    cluster = new_cluster()
    cluster.settle()
    first = cluster.heartbeats[0]
    assert (first.region.id, first.leader.id, len(first.region.peers)) == (1, 11, 1)
    cluster.heartbeats.clear()
    cluster.change(("AddLearnerNode", 12, 2))
    assert cluster.heartbeats[0].region.region_epoch.conf_ver == 2
    cluster.wait(lambda: cluster.heartbeats[-1].pending_peers == [] and cluster.info(2))
    cluster.heartbeats.clear()
    cluster.isolate(2)
    cluster.tick(130)
    down = cluster.heartbeats[-1].down_peers
    assert [(stats.peer.id, stats.down_seconds >= 10) for stats in down] == [(12, True)]


def test_counters_follow_what_is_applied(cluster):
    version = cluster.leader().data_version
    cluster.write((b"k", b"v" * 1000))
    after = cluster.leader()
    assert after.data_version != version
    assert after.approximate_size_bytes >= 1000
    cluster.heartbeats.clear()
    cluster.tick(2 * cluster.config.region_heartbeat_ticks)
    assert any(beat.bytes_written >= 1000 for beat in cluster.heartbeats)


def test_what_is_written_is_told_in_windows_that_follow_each_other(cluster):
    cluster.tick(cluster.config.region_heartbeat_ticks)
    cluster.heartbeats.clear()
    for kind, size in (("AddLearnerNode", 1000), ("RemoveNode", 2000)):
        cluster.write((b"k", b"v" * size))
        cluster.change((kind, 12, 2))  # reported at once
        cluster.tick(cluster.config.region_heartbeat_ticks)
    told = [beat for beat in cluster.heartbeats if beat.HasField("interval")]
    assert len(told) < len(cluster.heartbeats)
    assert not any(beat.bytes_written for beat in cluster.heartbeats if beat not in told)
    windows = [(beat.interval.start_timestamp, beat.interval.end_timestamp) for beat in told]
    assert all(end - start >= cluster.config.region_heartbeat_ticks for start, end in windows)
    assert [start for start, _ in windows[1:]] == [end for _, end in windows[:-1]]
    assert 3000 <= sum(beat.bytes_written for beat in told) <= 3500


def test_peers_in_an_address_are_the_regions_own(cluster):
    roles = {peer.role for message in cluster.sent for peer in (message.from_peer,)}
    assert metapb.PeerRole.Voter in roles


def test_a_leader_that_applies_bit_by_bit_serves_nothing_that_a_follower_is_beyond(new_cluster):
    """Commits travel at once, applying is rationed: a follower may have served what the leader has yet to apply."""
    cluster = new_cluster(config=StoreConfig(max_apply_bytes=1, max_coalesced_bytes=1)).grow()
    store = cluster.leader().peer.store_id
    context, leader = cluster.context(store), cluster.machines[store]
    followers = [machine for machine in cluster.machines.values() if machine is not leader]
    for number in range(12):
        leader.step(Write(cluster.token(), context, [("default", b"k", b"%d" % number)]))
    was_behind, served = 0, 0
    for _ in range(30):
        leader.step_tick()
        leader.turn()
        deliver(cluster)
        for _ in range(8):
            for follower in followers:
                follower.turn()
            deliver(cluster)
        behind = leader.store.applied_index(1) < max(each.store.applied_index(1) for each in followers)
        readable = leader.store.read_now(context, leader.store.tick_count) is not None
        assert not (behind and readable)
        was_behind += behind
        served += readable
    assert was_behind
    assert served


def deliver(cluster):
    moving, cluster.network = cluster.network, []
    for _, to, event in moving:
        cluster.machines[to].step(event)
