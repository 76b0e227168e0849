"""Configurations: every change keeps the rules or is refused, and its bytes come back as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.raft.conf_change import change_simply, changed, checked, enter_joint, leave_joint
from rutile_kv.raft.errors import InvalidConfChange, MalformedConfChange
from rutile_kv.raft.messages import ConfChange, ConfChangeKind, ConfChangeSingle, ConfChangeTransition, ConfState

SINGLES = st.builds(ConfChangeSingle, st.sampled_from(ConfChangeKind), st.integers(0, 6))
CHANGES = st.builds(
    ConfChange, st.lists(SINGLES, max_size=4).map(tuple), st.sampled_from(ConfChangeTransition), st.binary(max_size=9)
)


@given(CHANGES)
def test_bytes_come_back(change: ConfChange) -> None:
    assert ConfChange.from_bytes(change.to_bytes()) == change


@given(st.one_of(st.binary(max_size=30), st.binary(max_size=30).map(lambda tail: b"\x01" + tail)))
def test_other_bytes_are_refused_or_mean_something(data: bytes) -> None:
    try:
        change = ConfChange.from_bytes(data)
    except MalformedConfChange:
        return
    assert change.to_bytes() == data


@given(st.lists(CHANGES, max_size=12))
def test_changes_keep_the_rules(changes: list[ConfChange]) -> None:
    conf_state = ConfState((1, 2, 3), (4,))
    for change in changes:
        before = conf_state
        try:
            conf_state = changed(conf_state, change)
        except InvalidConfChange:
            continue
        assert checked(conf_state) is conf_state
        assert list(conf_state.members()) == sorted(set(conf_state.members()))
        assert quorums_meet(before, conf_state)


def quorums_meet(before: ConfState, after: ConfState) -> bool:
    """Whether no two decisions of neighbouring configurations can be taken by different peers: tried by all splits."""
    peers = sorted({*before.members(), *after.members()})
    for bits in range(1 << len(peers)):
        side = {peer for position, peer in enumerate(peers) if bits >> position & 1}
        if decides(before, side) and decides(after, set(peers) - side):
            return False
    return True


def decides(conf_state: ConfState, peers: set[int]) -> bool:
    halves = [half for half in (conf_state.voters, conf_state.voters_outgoing) if half]
    return all(2 * len(peers & {*half}) > len(half) for half in halves)


@given(st.lists(SINGLES, min_size=1, max_size=4).map(tuple), st.booleans())
def test_joint_and_left_is_as_changed_at_once(changes: tuple[ConfChangeSingle, ...], auto_leave: bool) -> None:
    start = ConfState((1, 2, 3), (4,))
    try:
        joint = enter_joint(start, changes, auto_leave)
    except InvalidConfChange:
        return
    assert (joint.voters_outgoing, joint.auto_leave) == (start.voters, auto_leave)
    one_by_one = ConfState((*start.voters, 9), start.learners)  # 9 keeps it from ever being empty
    for change in changes:
        one_by_one = change_simply(one_by_one, (change,))
    left = leave_joint(joint)
    assert (left.voters, left.learners) == (tuple(v for v in one_by_one.voters if v != 9), one_by_one.learners)
