"""What happens when two regions become one, and when they do not."""

import pytest

from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.events import ChangePeers, Merge, RaftMessageReceived, ReadIndex, Split, Write
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EpochNotMatch, InvalidRequest, ProposalInMergingMode, RegionNotFound, ServerIsBusy

SOURCE, TARGET = 2, 1
"""[ , m) and [m, ): the left one merges into the right one."""


@pytest.fixture
def halves(cluster):
    """Three stores with two regions on each, both led from store 1."""
    return halved(cluster)


def halved(cluster):
    if cluster.leader().peer.store_id != 1:
        cluster.move_leader(1)
    cluster.split((b"m", SOURCE))
    cluster.wait(lambda: cluster.leader(SOURCE))
    if cluster.leader(SOURCE).peer.store_id != 1:
        cluster.move_leader(1, SOURCE)
    cluster.write((b"a", b"left"), region_id=SOURCE)
    cluster.write((b"z", b"right"))
    cluster.caught_up(SOURCE)
    cluster.caught_up(TARGET)
    return cluster


def start_merge(cluster, source=SOURCE, target=TARGET):
    """The token of a merge asked for, without letting anything happen."""
    leader, wanted = cluster.leader(source), cluster.info(cluster.leader(source).peer.store_id, target).region
    context = cluster.context(leader.peer.store_id, source)
    return cluster.ask(leader.peer.store_id, lambda token: Merge(token, context, wanted))


def merge(cluster, source=SOURCE, target=TARGET):
    cluster.result(start_merge(cluster, source, target))
    cluster.wait(lambda: is_gone(cluster, source))
    return cluster.region(target)


def is_gone(cluster, region_id):
    return all(cluster.info(store_id, region_id) is None for store_id in cluster.machines)


def is_merging(cluster, store_id, region_id=SOURCE):
    machine = cluster.machines[store_id]
    state = local_keys.load_region_state(machine.engine, region_id)
    return state is not None and state.state == raft_serverpb.PeerState.Merging


def hold_commits(cluster):
    """Keep the target from committing anything, while the source goes on."""

    def lost(message):
        return message.region_id == TARGET and message.message.msg_type == eraftpb.MessageType.MsgAppendResponse

    send = cluster.send
    cluster.send = lambda sender, message: None if lost(message) else send(sender, message)
    return lambda: setattr(cluster, "send", send)


def reboot(cluster):
    for machine in cluster.machines.values():
        machine.crash()
    for machine in cluster.machines.values():
        machine.restart()


# --- merging ----------------------------------------------------------------------------------------------------------


def test_two_regions_become_one(halves):
    before = {region_id: halves.region(region_id) for region_id in (SOURCE, TARGET)}
    whole = merge(halves)
    assert (whole.id, whole.start_key, whole.end_key) == (TARGET, b"", b"")
    assert whole.region_epoch.version == max(r.region_epoch.version for r in before.values()) + 2, "prepared, merged"
    assert list(whole.peers) == list(before[TARGET].peers)
    halves.caught_up()
    for store_id in halves.machines:
        assert halves.get(store_id, b"a") == b"left"
        assert halves.get(store_id, b"z") == b"right"
    halves.write((b"b", b"new"), (b"y", b"new"))
    halves.caught_up()
    halves.check_replicas()
    halves.check_tiles([TARGET])


def test_a_merged_region_stays_merged_over_a_restart(halves):
    merge(halves)
    halves.caught_up()
    reboot(halves)
    assert is_gone(halves, SOURCE)
    halves.wait(lambda: halves.leader())
    assert halves.read(halves.leader().peer.store_id, b"a") == b"left"
    state = local_keys.load_region_state(halves.machines[2].engine, SOURCE)
    assert state.state == raft_serverpb.PeerState.Tombstone
    assert state.merge_state.target.id == TARGET
    assert list(local_keys.load_region_state(halves.machines[2].engine, TARGET).absorbed_region_ids) == [SOURCE]
    assert list(local_keys.scan_log(halves.machines[2].engine, SOURCE, 0, 1 << 40)) == []


def test_the_leaders_may_be_on_different_stores(halves):
    halves.move_leader(2, SOURCE)
    halves.move_leader(3, TARGET)
    merge(halves)
    halves.caught_up()
    halves.check_replicas()
    assert halves.read(3, b"a") == b"left"


def test_an_old_request_is_told_who_has_the_keys_now(halves):
    context = halves.context(1, SOURCE)
    merge(halves)
    error = halves.error(halves.ask(1, lambda token: Write(token, context, [("default", b"a", b"late")])))
    assert isinstance(error, EpochNotMatch)
    assert [region.id for region in error.current_regions] == [TARGET]
    assert error.current_regions[0].start_key == b""


def test_merge_split_merge(halves):
    for round_ in range(4):
        whole = merge(halves, SOURCE + round_, TARGET)
        assert whole.start_key == b""
        halves.write((b"a", b"%d" % round_))
        halves.split((b"m", SOURCE + round_ + 1))
        halves.wait(lambda round_=round_: halves.leader(SOURCE + round_ + 1))
        halves.caught_up(TARGET)
        halves.caught_up(SOURCE + round_ + 1)
    halves.check_replicas()
    halves.check_tiles([TARGET, SOURCE + 4])
    assert halves.get(3, b"a", SOURCE + 4) == b"3"


def test_two_merges_in_a_row(cluster):
    cluster.split((b"g", 2), (b"p", 3))
    for region_id in (2, 3):
        cluster.wait(lambda region_id=region_id: cluster.leader(region_id))
    cluster.write((b"a", b"1"), region_id=2)
    cluster.write((b"h", b"2"), region_id=3)
    merge(cluster, 2, 3)
    merge(cluster, 3, 1)
    cluster.caught_up()
    assert [cluster.get(3, key) for key in (b"a", b"h")] == [b"1", b"2"]
    assert list(local_keys.load_region_state(cluster.machines[1].engine, 1).absorbed_region_ids) == [2, 3]
    cluster.check_tiles([1])


def test_two_merges_at_the_same_time_are_one_or_two(cluster):
    """2 into 3 while 3 prepares to go into 1: the first comes before, or is rolled back."""
    cluster.split((b"g", 2), (b"p", 3))
    for region_id in (2, 3):
        cluster.wait(lambda region_id=region_id: cluster.leader(region_id))
    start_merge(cluster, 2, 3)
    start_merge(cluster, 3, 1)
    cluster.wait(lambda: is_gone(cluster, 3))
    cluster.tick(20)
    assert not is_merging(cluster, cluster.leader(2).peer.store_id, 2)
    cluster.write((b"a", b"1"), region_id=2)
    cluster.check_tiles([1, 2])


def test_a_learner_is_merged_too(cluster):
    cluster.change(("RemoveNode", 13, 3))
    cluster.change(("AddLearnerNode", 113, 3))
    cluster.wait(lambda: cluster.info(3))
    halved(cluster)
    merge(cluster)
    cluster.caught_up()
    assert cluster.get(3, b"a") == b"left"
    cluster.check_replicas()


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_only_the_left_one_merges_into_the_right_one(halves):
    with pytest.raises(InvalidRequest, match="right neighbour"):
        halves.result(start_merge(halves, TARGET, SOURCE))


def test_regions_on_different_stores_do_not_merge(halves):
    halves.change(("RemoveNode", 23, 3), region_id=SOURCE)
    with pytest.raises(InvalidRequest, match="different stores"):
        halves.result(start_merge(halves))


def test_the_target_has_to_be_known_as_it_is(halves):
    context = halves.context(1, SOURCE)
    stale = metapb.Region()
    stale.CopyFrom(halves.region(TARGET))
    stale.region_epoch.version -= 1
    assert isinstance(halves.error(halves.ask(1, lambda token: Merge(token, context, stale))), EpochNotMatch)
    stranger = metapb.Region(id=77)
    assert isinstance(halves.error(halves.ask(1, lambda token: Merge(token, context, stranger))), RegionNotFound)


def test_a_peer_far_behind_puts_the_merge_off(halves):
    halves.isolate(3)
    outrun(halves, SOURCE, b"a")
    with pytest.raises(ServerIsBusy, match="snapshot"):
        halves.result(start_merge(halves))
    halves.heal()
    halves.caught_up(SOURCE)
    merge(halves)
    halves.check_replicas()


# --- while it is prepared ---------------------------------------------------------------------------------------------


def test_a_prepared_region_serves_nobody(halves):
    release = hold_commits(halves)
    halves.result(start_merge(halves))
    halves.wait(lambda: all(is_merging(halves, store_id) for store_id in halves.machines))
    context = halves.context(1, SOURCE)
    requests = (
        lambda token: Write(token, context, [("default", b"a", b"late")]),
        lambda token: ReadIndex(token, context),
        lambda token: Split(token, context, []),
        lambda token: ChangePeers(token, context, []),
    )
    for make in requests:
        assert isinstance(halves.error(halves.ask(1, make)), ProposalInMergingMode)
    with pytest.raises(ProposalInMergingMode):
        halves.machines[1].store.read_now(context, halves.machines[1].ticks)
    context.replica_read = True
    with pytest.raises(ProposalInMergingMode):
        halves.machines[1].store.read_again(context)
    release()
    halves.wait(lambda: is_gone(halves, SOURCE))


def test_between_proposing_and_preparing_there_are_no_lease_reads(halves):
    machine, context = halves.machines[1], halves.context(1, SOURCE)
    halves.tick(3)
    assert machine.store.read_now(context, machine.ticks) is not None
    start_merge(halves)
    machine.turn()
    with pytest.raises(ProposalInMergingMode):
        machine.store.read_now(context, machine.ticks)
    halves.wait(lambda: is_gone(halves, SOURCE))


def test_a_write_beside_the_merge_is_answered(halves):
    """Proposed in the same round, behind PrepareMerge: surely not applied, and its client hears it."""
    context = halves.context(1, SOURCE)
    token = halves.ask(1, lambda token: Write(token, context, [("default", b"b", b"early")]))
    start_merge(halves)
    halves.wait(lambda: is_gone(halves, SOURCE))
    assert isinstance(halves.error(token), EpochNotMatch)
    assert halves.get(1, b"b") is None


def test_writes_still_under_way_are_applied_and_answered(halves):
    tokens = [halves.start_write([(b"b%d" % n, b"v")], SOURCE) for n in range(5)]
    halves.machines[1].turn()
    start_merge(halves)
    halves.wait(lambda: is_gone(halves, SOURCE))
    assert all(halves.error(token) is None for token in tokens)
    halves.caught_up()
    assert all(halves.get(store_id, b"b%d" % n) == b"v" for store_id in (1, 2, 3) for n in range(5))


@pytest.mark.parametrize("region_id", [SOURCE, TARGET])
def test_a_new_leader_finishes_the_merge(halves, region_id):
    release = hold_commits(halves)
    halves.result(start_merge(halves))
    halves.wait(lambda: is_merging(halves, 2) and is_merging(halves, 3))
    halves.machines[1].crash()
    release()
    survivors = [halves.machines[2], halves.machines[3]]
    halves.wait(lambda: all(machine.store.region(SOURCE) is None for machine in survivors))
    halves.machines[1].restart()
    halves.wait(lambda: is_gone(halves, SOURCE))
    halves.caught_up()
    halves.check_replicas()
    assert halves.get(1, b"a") == b"left"


# --- rolling back -----------------------------------------------------------------------------------------------------


def test_a_split_of_the_target_calls_the_merge_off(halves):
    version = halves.region(SOURCE).region_epoch.version
    cut = rutilepb.SplitRequest(split_key=b"t", new_region_id=5, new_peer_ids=[51, 52, 53])
    token = halves.ask_leader(lambda token, context: Split(token, context, [cut]), TARGET)
    start_merge(halves)
    halves.result(token)
    halves.wait(lambda: halves.region(SOURCE).region_epoch.version == version + 2)
    assert halves.read(1, b"a", SOURCE) == b"left"
    halves.write((b"b", b"on"), region_id=SOURCE)
    halves.caught_up(SOURCE)
    halves.check_replicas()
    halves.check_tiles([SOURCE, 5, TARGET])
    merge(halves, SOURCE, 5)
    halves.check_tiles([5, TARGET])


def test_a_change_of_the_targets_members_calls_the_merge_off(halves):
    remove = pdpb.ChangePeer(change_type=eraftpb.ConfChangeType.RemoveNode, peer=metapb.Peer(id=13, store_id=3))
    token = halves.ask_leader(lambda token, context: ChangePeers(token, context, [remove]), TARGET)
    start_merge(halves)
    halves.result(token)
    halves.wait(lambda: not is_merging(halves, 1) and halves.region(SOURCE).region_epoch.version > 3)
    halves.write((b"b", b"on"), region_id=SOURCE)
    halves.caught_up(SOURCE)
    assert halves.get(3, b"b", SOURCE) == b"on", "the source's peer is not touched by what becomes of the target's"


def test_a_follower_knows_better_and_tells(halves):
    """The source is led from a store that hears nothing of the target, which has split in the meantime."""
    halves.move_leader(2, TARGET)
    send = halves.send
    halves.send = lambda sender, message: (
        None if message.region_id == TARGET and message.to_peer.store_id == 1 else send(sender, message)
    )
    halves.split((b"t", 5), region_id=TARGET)
    token = start_merge(halves)
    halves.result(token)
    assert is_merging(halves, 1)
    halves.wait(lambda: not is_merging(halves, 1))
    assert halves.info(1, TARGET).region.start_key == b"m", "this store still knows nothing"
    halves.write((b"b", b"on"), region_id=SOURCE)
    halves.send = send
    halves.caught_up(TARGET)
    halves.check_replicas()


# --- peers that were away ---------------------------------------------------------------------------------------------


def test_a_follower_cut_off_before_comes_by_the_merge_from_the_log(halves):
    halves.isolate(3)
    snapshots = halves.snapshots_sent
    for number in range(5):
        halves.write((b"b%d" % number, b"v"), region_id=SOURCE)
    halves.result(start_merge(halves))
    halves.wait(lambda: halves.info(1, SOURCE) is None and halves.info(2, SOURCE) is None)
    assert halves.info(3, SOURCE) is not None
    halves.tick(30)
    halves.heal()
    halves.caught_up()
    assert halves.info(3, SOURCE) is None
    assert halves.snapshots_sent == snapshots, "the log was enough"
    assert halves.get(3, b"b4") == b"v"
    halves.check_replicas()


def overtake(cluster, prepared=False):
    """Merge while store 3 is away, and cut the log behind it. It may have heard that the source is prepared."""
    if prepared:
        release = hold_commits(cluster)
        cluster.result(start_merge(cluster))
        cluster.wait(lambda: all(is_merging(cluster, store_id) for store_id in cluster.machines))
        cluster.isolate(3)
        release()
    else:
        cluster.isolate(3)
        cluster.result(start_merge(cluster))
    cluster.wait(lambda: cluster.info(1, SOURCE) is None and cluster.info(2, SOURCE) is None)
    outrun(cluster, TARGET, b"b")


def outrun(cluster, region_id, prefix):
    """Write until the log no longer reaches back to where store 3 is."""
    for number in range(200):
        cluster.write((prefix + b"%03d" % number, b"v"), region_id=region_id)
        cluster.tick()
        if cluster.leader(region_id).truncated_index > cluster.info(3, region_id).applied_index + 60:
            return
    raise AssertionError("the log is never cut")


@pytest.mark.parametrize("prepared", [False, True], ids=["unsuspecting", "prepared"])
def test_a_snapshot_of_the_target_takes_the_place_of_the_source(halves, prepared):
    overtake(halves, prepared)
    halves.heal()
    halves.caught_up()
    assert halves.info(3, SOURCE) is None
    assert halves.get(3, b"a") == b"left"
    halves.check_replicas()
    halves.machines[3].crash()
    halves.machines[3].restart()
    assert halves.info(3, SOURCE) is None
    halves.caught_up()
    halves.check_replicas()


@pytest.mark.parametrize("prepared", [False, True], ids=["unsuspecting", "prepared"])
def test_a_snapshot_after_merge_and_split_does_not_call_the_merge_off(halves, prepared):
    """What is left of the target at store 3 covers nothing of the source, and has another epoch: it looks like a merge
    that never was. The snapshot says that it was."""
    overtake(halves, prepared)
    snapshots = halves.snapshots_sent
    halves.split((b"m", 7))
    halves.wait(lambda: halves.leader(7))
    outrun(halves, TARGET, b"x")
    halves.heal()
    halves.caught_up(TARGET)
    halves.wait(lambda: halves.info(3, SOURCE) is None)
    halves.caught_up(7)
    assert halves.snapshots_sent == snapshots + 2, "the target's, and that of what was split off"
    assert halves.get(3, b"a", 7) == b"left"
    halves.check_replicas()
    halves.check_tiles([7, TARGET])


def test_a_removed_target_peer_takes_the_source_along(halves):
    halves.isolate(3)
    halves.result(start_merge(halves))
    halves.wait(lambda: halves.info(1, SOURCE) is None and halves.info(2, SOURCE) is None)
    halves.change(("RemoveNode", 13, 3))
    halves.heal()
    halves.wait(lambda: halves.info(3, SOURCE) is None and halves.info(3, TARGET) is None)
    assert halves.machines[3].engine.get("default", b"a") is None
    halves.change(("AddNode", 113, 3))
    halves.caught_up()
    assert halves.get(3, b"a") == b"left"
    halves.check_replicas()


def test_late_messages_do_not_bring_the_source_back(halves):
    merge(halves)
    halves.caught_up()
    late = [message for message in halves.sent if message.region_id == SOURCE]
    for message in late[-200:]:
        halves.machines[message.to_peer.store_id].step(RaftMessageReceived(message))
    halves.settle()
    halves.tick(20)
    assert is_gone(halves, SOURCE)
    halves.check_replicas()
    assert all(halves.get(store_id, b"a") == b"left" for store_id in halves.machines)
