"""What happens to regions: splits, members coming and going, snapshots, tombstones."""

import pytest

from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import RaftMessageReceived, SnapshotReceived, Split, TransferLeader, Write
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import (
    EpochNotMatch,
    InvalidRequest,
    KeyNotInRegion,
    RegionNotFound,
    ServerIsBusy,
    UndeterminedResult,
)

# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_split_leaves_the_last_range_to_the_old_region(cluster):
    cluster.write((b"a", b"1"), (b"h", b"2"), (b"z", b"3"))
    before = cluster.region()
    left, middle, right = cluster.split((b"g", 2), (b"m", 3))
    assert [(r.id, r.start_key, r.end_key) for r in (left, middle, right)] == [
        (2, b"", b"g"),
        (3, b"g", b"m"),
        (1, b"m", b""),
    ]
    assert {r.region_epoch.version for r in (left, middle, right)} == {before.region_epoch.version + 2}
    assert [peer.id for peer in left.peers] == [21, 22, 23]
    for region_id in (1, 2, 3):
        cluster.wait(lambda region_id=region_id: cluster.leader(region_id))
        cluster.caught_up(region_id)
    cluster.check_tiles([1, 2, 3])
    cluster.check_replicas()
    assert cluster.get(3, b"h", 3) == b"2"


def test_children_of_the_leader_campaign_at_once(cluster):
    store = cluster.leader().peer.store_id
    cluster.split((b"m", 2))
    cluster.settle()
    assert cluster.leader(2).peer.store_id == store, "no tick has passed"
    cluster.write((b"a", b"v"), region_id=2)


def test_a_stale_epoch_is_taught_the_siblings(cluster):
    store = cluster.leader().peer.store_id
    context = cluster.context(store)
    in_flight = cluster.token()
    requests = [rutilepb.SplitRequest(split_key=b"m", new_region_id=2, new_peer_ids=[21, 22, 23])]
    cluster.machines[store].step(Split(cluster.token(), context, requests))
    cluster.machines[store].step(Write(in_flight, context, [("default", b"a", b"v")]))
    error = cluster.error(in_flight)
    assert isinstance(error, EpochNotMatch), "refused when applied: it was proposed before the split was applied"
    assert [region.id for region in error.current_regions] == [1, 2]


def test_a_follower_may_hear_of_the_child_before_the_split(cluster):
    leader = cluster.leader().peer.store_id
    late = next(store for store in (1, 2, 3) if store != leader)
    held = []

    class Hold:
        """Holds back what the parent says to the late store."""

        def __call__(self, sender, to):
            message = cluster.sent[-1]
            if to == late and message.region_id == 1 and message.message.msg_type != eraftpb.MessageType.MsgHeartbeat:
                held.append(message)
                return True
            return False

    cluster.drop = Hold()
    cluster.split((b"m", 2))
    cluster.wait(lambda: cluster.leader(2))
    cluster.tick(3)
    assert cluster.info(late, 2) is None
    assert cluster.info(late).region.start_key == b""
    cluster.heal()
    cluster.caught_up()
    cluster.caught_up(2)
    cluster.check_replicas()


def test_votes_wait_for_the_split(cluster):
    """The child's leader asks for a vote where the split is not applied yet: it is given right after the split."""
    leader = cluster.leader().peer.store_id
    late = next(store for store in (1, 2, 3) if store != leader)
    other = 6 - leader - late
    cluster.isolate(late)
    cluster.split((b"m", 2))
    cluster.heal()
    cluster.drop = lambda sender, to: other in (sender, to)
    cluster.wait(lambda: cluster.info(late, 2))
    cluster.wait(lambda: cluster.leader(2))


@pytest.mark.parametrize(("key", "error"), [(b"", InvalidRequest), (b"zz", KeyNotInRegion)], ids=["start", "outside"])
def test_senseless_splits_are_refused(cluster, key, error):
    cluster.split((b"m", 2))
    with pytest.raises(error):
        cluster.split((key, 3), region_id=2)


def test_counters_are_shared_out(cluster):
    cluster.write(*((b"%02d" % n, b"v" * 100) for n in range(10)))
    whole = cluster.leader().approximate_size_bytes
    cluster.split((b"05", 2))
    cluster.wait(lambda: cluster.leader(2))
    assert cluster.leader(2).approximate_size_bytes == cluster.leader(1).approximate_size_bytes == whole // 2


# --- members ----------------------------------------------------------------------------------------------------------


def test_one_peer_becomes_three(new_cluster):
    cluster = new_cluster()
    cluster.write((b"k", b"v"))
    cluster.grow()
    region = cluster.region()
    assert [(peer.id, peer.role) for peer in region.peers] == [(11, 0), (12, 0), (13, 0)]
    assert region.region_epoch.conf_ver == 5
    assert cluster.get(3, b"k") == b"v"


def test_several_changes_go_through_a_joint_configuration(new_cluster):
    cluster = new_cluster(stores=5)
    for store in (2, 3, 4):
        cluster.change(("AddLearnerNode", 10 + store, store))
    cluster.change(("AddNode", 12, 2), ("AddNode", 13, 3), ("AddNode", 14, 4))
    cluster.wait(lambda: all(peer.role == metapb.PeerRole.Voter for peer in cluster.region().peers))
    epoch = cluster.region().region_epoch.conf_ver
    assert epoch == 1 + 3 + 3 + 3
    cluster.change(("AddLearnerNode", 13, 3), ("AddLearnerNode", 15, 5))
    cluster.wait(lambda: cluster.region().region_epoch.conf_ver == epoch + 3)
    roles = {peer.id: peer.role for peer in cluster.region().peers}
    assert roles == {11: 0, 12: 0, 13: 1, 14: 0, 15: 1}
    cluster.caught_up()
    cluster.check_replicas()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([("AddNode", 99, 2)], "already has a peer on store"),
        ([("AddNode", 12, 2)], "already has that role"),
        ([("RemoveNode", 99, 9)], "no peer"),
        ([("RemoveNode", 12, 2), ("RemoveNode", 13, 3)], "demote it first"),
        ([("AddLearnerNode", 12, 2), ("AddLearnerNode", 12, 2)], "twice"),
        ([], "not in a joint"),
    ],
)
def test_senseless_changes_are_refused(cluster, changes, why):
    with pytest.raises(InvalidRequest, match=why):
        cluster.change(*changes)


def test_the_leader_does_not_remove_itself(cluster):
    leader = cluster.leader().peer
    with pytest.raises(InvalidRequest, match="move the leader"):
        cluster.change(("RemoveNode", leader.id, leader.store_id))


def test_leadership_moves_on_request(cluster):
    target = next(store for store in (1, 2, 3) if not cluster.info(store).is_leader)
    cluster.move_leader(target)
    cluster.write((b"k", b"v"))


# --- the end of a peer ------------------------------------------------------------------------------------------------


def removed_from_store_3(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.change(("RemoveNode", 13, 3))


def test_a_removed_peer_leaves_a_tombstone_and_no_data(cluster):
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    removed_from_store_3(cluster)
    cluster.wait(lambda: cluster.info(3) is None)
    engine = cluster.machines[3].engine
    assert engine.get("default", b"k") is None
    state = local_keys.load_region_state(engine, 1)
    assert state.state == raft_serverpb.PeerState.Tombstone
    assert list(local_keys.scan_log(engine, 1, 0, 1 << 40)) == []


def test_a_peer_that_was_away_learns_of_its_removal(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    cluster.change(("RemoveNode", 13, 3))
    assert cluster.info(3) is not None
    cluster.heal()
    cluster.wait(lambda: cluster.info(3) is None)


def test_a_removed_learner_that_was_away_asks_and_learns(new_cluster):
    cluster = new_cluster()
    cluster.change(("AddLearnerNode", 12, 2))
    cluster.wait(lambda: cluster.info(2))
    cluster.isolate(2)
    cluster.change(("RemoveNode", 12, 2))
    cluster.heal()
    cluster.wait(lambda: cluster.info(2) is None)


def test_old_messages_do_not_wake_the_dead(cluster):
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    old = [m for m in cluster.sent if m.to_peer.store_id == 3 and m.region_id == 1]
    removed_from_store_3(cluster)
    cluster.wait(lambda: cluster.info(3) is None)
    for restart in (False, True):
        if restart:
            cluster.machines[3].crash()
            cluster.machines[3].restart()
        for message in old:
            cluster.machines[3].step(RaftMessageReceived(message))
        cluster.settle()
        assert cluster.machines[3].store._registry.peers == {}


def test_a_store_may_get_a_region_back_under_a_new_peer(cluster):
    cluster.write((b"k", b"v"))
    removed_from_store_3(cluster)
    cluster.wait(lambda: cluster.info(3) is None)
    cluster.change(("AddNode", 63, 3))
    cluster.wait(lambda: cluster.info(3))
    cluster.caught_up()
    assert cluster.get(3, b"k") == b"v"
    cluster.machines[3].crash()
    cluster.machines[3].restart()
    assert cluster.info(3).peer.id == 63


def test_a_replaced_peer_gives_way_to_its_successor(cluster):
    """Store 3 misses the removal of its peer and the addition of another: the new peer's messages end the old one."""
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    cluster.change(("RemoveNode", 13, 3))
    cluster.change(("AddLearnerNode", 63, 3))
    cluster.heal()
    cluster.wait(lambda: (info := cluster.info(3)) and info.peer.id == 63)
    cluster.caught_up()
    cluster.check_replicas()


def test_who_waits_at_a_destroyed_peer_is_answered(cluster):
    leader = cluster.leader().peer.store_id
    context = cluster.context(leader)
    peer_id = context.peer.id
    cluster.isolate(leader)
    pending = cluster.ask(leader, lambda token: Write(token, context, [("default", b"k", b"v")]))
    cluster.wait(lambda: cluster.leader().peer.store_id != leader)
    cluster.change(("RemoveNode", peer_id, leader))
    cluster.heal()
    cluster.wait(lambda: cluster.info(leader) is None)
    assert isinstance(cluster.error(pending), UndeterminedResult)
    late = cluster.ask(leader, lambda token: Write(token, context, [("default", b"k", b"v")]))
    assert isinstance(cluster.error(late), RegionNotFound)


# --- snapshots and compaction -----------------------------------------------------------------------------------------


def fill(cluster, count, region_id=1):
    for n in range(count):
        cluster.write((b"%04d" % n, b"v%d" % n), region_id=region_id)


def test_the_log_is_cut_behind_what_everybody_has(cluster):
    fill(cluster, 20)
    cluster.caught_up()
    cluster.wait(lambda: cluster.leader().truncated_index > 15)
    engine = cluster.machines[1].engine
    first = cluster.leader().truncated_index + 1
    assert min(entry.index for entry in local_keys.scan_log(engine, 1, 0, 1 << 40)) >= first - 1
    cluster.write((b"after", b"v"))
    cluster.caught_up()


def test_a_lagging_follower_holds_the_log_up_to_a_limit_then_gets_a_snapshot(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    behind = cluster.info(3).applied_index
    fill(cluster, 12)
    cluster.tick(25)
    assert cluster.leader().truncated_index <= behind
    fill(cluster, 30)
    cluster.wait(lambda: cluster.leader().truncated_index > behind)
    sent = cluster.snapshots_sent
    cluster.heal()
    cluster.caught_up()
    assert cluster.snapshots_sent > sent
    assert cluster.get(3, b"0011") == b"v11"
    cluster.check_replicas()


def test_a_dead_follower_holds_the_log_no_longer_than_a_minute(new_cluster):
    config = StoreConfig(log_gap_entries=8, dead_follower_ticks=40)
    cluster = new_cluster(config=config).grow()
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.machines[3].crash()
    behind = cluster.leader().applied_index
    fill(cluster, 20)
    cluster.tick(20)
    assert cluster.leader().truncated_index <= behind, "slow or dead, who knows"
    cluster.wait(lambda: cluster.leader().truncated_index > behind, ticks=60)
    sent = cluster.snapshots_sent
    cluster.machines[3].restart()
    cluster.caught_up()
    assert cluster.snapshots_sent > sent


def test_a_log_over_its_limit_is_cut_to_half(new_cluster):
    """Who lags less than that needs no snapshot, also while the region is written to as fast as it goes."""
    config = StoreConfig(log_gap_entries=8, log_limit_bytes=20_000, compact_check_ticks=1)
    cluster = new_cluster(config=config).grow()
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    for n in range(30):
        cluster.write((b"%04d" % n, b"v" * 500))
    assert cluster.leader().truncated_index <= cluster.info(3).applied_index
    for n in range(15):
        cluster.write((b"%04d" % n, b"v" * 500))
    cluster.tick(2)
    leader = cluster.leader()
    assert cluster.info(3).applied_index < leader.truncated_index < leader.applied_index - 15


def test_a_heavy_log_is_cut_before_it_is_long(new_cluster):
    """A load's entries are few, and of megabytes: what every replica has of them is let go of while it is in memory."""
    config = StoreConfig(log_gap_bytes=20_000, compact_check_ticks=1_000)
    cluster = new_cluster(config=config).grow()
    for n in range(15):
        cluster.write((b"%04d" % n, b"v" * 1_000))
    cluster.tick(2)
    assert cluster.leader().truncated_index < cluster.leader().applied_index - 15, "not heavy yet"
    for n in range(15):
        cluster.write((b"%04d" % n, b"v" * 1_000))
    cluster.tick(3)
    leader = cluster.leader()
    behind = leader.applied_index - leader.truncated_index
    assert 5 < behind < 20, "half of it stays for watchers"


def test_a_snapshot_replaces_data_that_is_gone_elsewhere(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.write((b"old", b"v"))
    cluster.caught_up()
    cluster.isolate(3)
    leader = cluster.leader().peer.store_id
    context = cluster.context(leader)
    cluster.result(cluster.ask(leader, lambda token: Write(token, context, [("default", b"old", None)])))
    fill(cluster, 40)
    cluster.wait(lambda: cluster.leader().truncated_index > 20)
    cluster.heal()
    cluster.caught_up()
    assert cluster.get(3, b"old") is None


def test_a_follower_that_missed_a_split_gets_both_halves(cluster):
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.isolate(3)
    cluster.write((b"a", b"1"), (b"z", b"2"))
    cluster.split((b"m", 2))
    fill_right = [(b"n%03d" % n, b"v") for n in range(40)]
    for pair in fill_right:
        cluster.write(pair)
    behind = cluster.info(3).applied_index
    cluster.wait(lambda: cluster.leader().truncated_index > behind)
    cluster.heal()
    cluster.caught_up(1)
    cluster.caught_up(2)
    assert (cluster.get(3, b"a", 2), cluster.get(3, b"z", 1)) == (b"1", b"2")
    cluster.check_replicas()


def test_a_snapshot_over_another_region_is_refused(cluster):
    """A late snapshot of the whole range must not land on the child that was split off meanwhile."""
    cluster.write((b"a", b"1"))
    cluster.split((b"m", 2))
    cluster.wait(lambda: cluster.leader(2))
    cluster.caught_up(2)
    whole = metapb.Region(
        id=5, region_epoch=metapb.RegionEpoch(conf_ver=9, version=9), peers=[metapb.Peer(id=53, store_id=3)]
    )
    vote = raft_serverpb.RaftMessage(
        region_id=5,
        from_peer=metapb.Peer(id=51, store_id=1),
        to_peer=metapb.Peer(id=53, store_id=3),
        region_epoch=whole.region_epoch,
        message=eraftpb.Message(msg_type=eraftpb.MessageType.MsgHeartbeat, to=53, term=6),
        start_key=b"x",
        end_key=b"y",
    )

    class Payload:
        closed = False

        def records(self):
            raise AssertionError("nobody should look inside")

        def close(self):
            self.closed = True

    snapshot = raft_serverpb.RaftMessage()
    snapshot.CopyFrom(vote)
    snapshot.message.msg_type = eraftpb.MessageType.MsgSnapshot
    about = raft_serverpb.RaftSnapshotData(region=whole)
    snapshot.message.snapshot.data = about.SerializeToString()
    snapshot.message.snapshot.metadata.index = 50
    payload = Payload()
    store = cluster.machines[3].store
    store.step(RaftMessageReceived(vote))
    assert 5 not in store._registry.peers, "its range is covered"
    store.step(SnapshotReceived(snapshot, payload))
    assert payload.closed
    cluster.settle()
    assert cluster.get(3, b"a", 2) == b"1"


def test_leadership_is_not_handed_to_a_silent_peer(cluster):
    """The placement driver may not know yet that a store is gone: the group must not stand still for its order."""
    leader = cluster.leader().peer.store_id
    silent = next(store for store in (1, 2, 3) if store != leader)
    heir = next(peer for peer in cluster.region().peers if peer.store_id == silent)
    cluster.isolate(silent)
    cluster.tick(30)
    token = cluster.ask_leader(lambda token, context: TransferLeader(token, context, heir.id))
    assert isinstance(cluster.error(token), ServerIsBusy)
    cluster.write((b"k", b"goes on"))
    cluster.heal()
    cluster.wait(lambda: cluster.error(cluster.ask_leader(lambda t, c: TransferLeader(t, c, heir.id))) is None)
    cluster.wait(lambda: (cluster.leader() or cluster.info(leader)).peer.store_id == silent)
