"""The rules of merging as functions, and a log with merges told once more."""

import pytest

from rutile_kv.raft.messages import Entry, EntryKind
from rutile_kv.raftstore.commands import encode_admin, encode_write
from rutile_kv.raftstore.merge import (
    MAX_ABSORBED,
    absorbed_with,
    check_merge,
    is_refused,
    merged,
    prepared,
    rolled_back,
)
from rutile_kv.raftstore.replay import Wrote, replay
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest

VOTER, LEARNER, INCOMING = metapb.PeerRole.Voter, metapb.PeerRole.Learner, metapb.PeerRole.IncomingVoter


def region(region_id, start, end, version=4, roles=(VOTER, VOTER, VOTER)):
    peers = [metapb.Peer(id=10 * region_id + at, store_id=at, role=role) for at, role in enumerate(roles, 1)]
    epoch = metapb.RegionEpoch(conf_ver=3, version=version)
    return metapb.Region(id=region_id, start_key=start, end_key=end, region_epoch=epoch, peers=peers)


LEFT, RIGHT = region(1, b"", b"m", version=4), region(2, b"m", b"", version=9)


def test_the_versions_of_a_merge_only_rise():
    ready = prepared(LEFT)
    assert (ready.region_epoch.version, ready.region_epoch.conf_ver) == (5, 4)
    assert rolled_back(ready).region_epoch.version == 6
    whole = merged(RIGHT, ready)
    assert (whole.id, whole.start_key, whole.end_key) == (2, b"", b"")
    assert (whole.region_epoch.version, whole.region_epoch.conf_ver) == (10, 3)
    assert merged(region(2, b"m", b"", version=2), ready).region_epoch.version == 6
    assert (LEFT.region_epoch.version, RIGHT.start_key) == (4, b"m"), "nothing is changed in place"


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (RIGHT, LEFT, "right neighbour"),
        (LEFT, region(2, b"n", b""), "right neighbour"),
        (LEFT, region(2, b"m", b"", roles=(VOTER, VOTER, INCOMING)), "under way"),
        (LEFT, region(2, b"m", b"", roles=(VOTER, VOTER)), "different stores"),
        (LEFT, region(2, b"m", b"", roles=(VOTER, VOTER, LEARNER)), "different stores"),
    ],
)
def test_what_does_not_fit(source, target, why):
    check_merge(LEFT, RIGHT)
    with pytest.raises(InvalidRequest, match=why):
        check_merge(source, target)


def test_a_merge_is_refused_by_any_later_epoch():
    assert not is_refused(RIGHT, RIGHT.region_epoch)
    assert not is_refused(RIGHT, metapb.RegionEpoch(conf_ver=3, version=8)), "a target that lags proves nothing"
    assert is_refused(RIGHT, metapb.RegionEpoch(conf_ver=4, version=9))
    assert is_refused(RIGHT, metapb.RegionEpoch(conf_ver=3, version=10))


def test_a_region_remembers_what_it_absorbed_and_what_that_had():
    assert absorbed_with((), 7, ()) == (7,)
    assert absorbed_with((7,), 9, (8,)) == (7, 8, 9)
    many = absorbed_with(range(MAX_ABSORBED), MAX_ABSORBED, ())
    assert len(many) == MAX_ABSORBED and many[-1] == MAX_ABSORBED and 0 not in many


def entries(*commands):
    return [Entry(6, index, EntryKind.NORMAL, data) for index, data in enumerate(commands, 6)]


def put(at, key):
    return encode_write(at.region_epoch, 6, [("default", key, b"v")])


def test_the_log_of_a_target_is_told_through_the_merge():
    ready = prepared(LEFT)
    whole = merged(RIGHT, ready)
    commit = rutilepb.AdminCommand(commit_merge=rutilepb.CommitMerge(source=ready, commit=8))
    log = entries(
        put(RIGHT, b"n"), encode_admin(RIGHT.region_epoch, 6, commit), put(RIGHT, b"late"), put(whole, b"a"),
        encode_admin(RIGHT.region_epoch, 6, commit), put(whole, b"b"),
    )  # fmt: skip
    told = list(replay(RIGHT, log))
    assert told == [
        Wrote(RIGHT, 6, [("default", b"n", b"v")]),
        Wrote(whole, 9, [("default", b"a", b"v")]),
        Wrote(whole, 11, [("default", b"b", b"v")]),
    ]


def test_the_log_of_a_source_is_told_through_a_merge_that_was_off():
    ready = prepared(LEFT)
    after = rolled_back(ready)
    prepare = rutilepb.AdminCommand(prepare_merge=rutilepb.PrepareMerge(min_index=5, target=RIGHT))
    misfit = rutilepb.AdminCommand(prepare_merge=rutilepb.PrepareMerge(min_index=5, target=region(3, b"z", b"")))
    off = rutilepb.AdminCommand(rollback_merge=rutilepb.RollbackMerge(commit=7))
    log = entries(
        encode_admin(LEFT.region_epoch, 6, misfit), encode_admin(LEFT.region_epoch, 6, prepare), put(LEFT, b"late"),
        encode_admin(ready.region_epoch, 6, off), put(after, b"a"),
    )  # fmt: skip
    assert list(replay(LEFT, log)) == [Wrote(after, 10, [("default", b"a", b"v")])]
