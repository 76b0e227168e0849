"""From one configuration to the next: what a `ConfChange` makes of a `ConfState` (thesis §4).

Changes of one voter go in one step, because majorities before and after always share a peer (thesis §4.1, Figure 4.3).
Anything larger goes through a joint configuration (thesis §4.3, Figure 4.7; paper §6):

    simple ──enter──▶ joint: old voters in `voters_outgoing`, new ones in `voters` ──leave──▶ simple

Unlike in the papers a configuration counts from when its entry is applied, not from when it is appended. That is safe
because
1. the leader proposes a change only when it has applied every earlier one (`Leader.propose_conf_change`), so an
   entry of a change arrives together with the news that the change before it is committed; and
2. a peer does not campaign while it knows of a committed change it has not applied (`Core.campaign`);
so a candidate is never more than one change behind anybody, and neighbouring configurations share a voter in all
quorums.
"""

from __future__ import annotations

from rutile_kv.raft.errors import InvalidConfChange
from rutile_kv.raft.messages import (
    NO_PEER,
    ConfChange,
    ConfChangeKind,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfState,
)


def changed(conf_state: ConfState, change: ConfChange) -> ConfState:
    """The configuration after `change`. Raises InvalidConfChange."""
    if change.leaves_joint:
        return leave_joint(conf_state)
    if change.enters_joint:
        return enter_joint(conf_state, change.changes, change.transition is not ConfChangeTransition.EXPLICIT)
    return change_simply(conf_state, change.changes)


def change_simply(conf_state: ConfState, changes: tuple[ConfChangeSingle, ...]) -> ConfState:
    """Change at most one voter in one step. Raises InvalidConfChange."""
    _require(not conf_state.is_joint, "leave the joint configuration first")
    after = _apply(conf_state, changes)
    _require(len({*conf_state.voters} ^ {*after.voters}) <= 1, "more than one voter changes: use a joint configuration")
    return checked(after)


def enter_joint(conf_state: ConfState, changes: tuple[ConfChangeSingle, ...], auto_leave: bool) -> ConfState:
    """The joint configuration between this one and the changed one. Raises InvalidConfChange."""
    _require(not conf_state.is_joint, "leave the joint configuration first")
    _require(bool(conf_state.voters), "an empty configuration cannot become joint")
    joint = ConfState(conf_state.voters, conf_state.learners, voters_outgoing=conf_state.voters, auto_leave=auto_leave)
    return checked(_apply(joint, changes))


def leave_joint(conf_state: ConfState) -> ConfState:
    """The new half alone; who was waiting to become a learner is one now. Raises InvalidConfChange."""
    _require(conf_state.is_joint, "there is no joint configuration to leave")
    learners = tuple(sorted(conf_state.learners + conf_state.learners_next))
    return checked(ConfState(conf_state.voters, learners))


def checked(conf_state: ConfState) -> ConfState:
    """The same configuration, if it keeps the rules. Raises InvalidConfChange."""
    voters, learners = {*conf_state.voters, *conf_state.voters_outgoing}, {*conf_state.learners}
    _require(bool(conf_state.voters), "the last voter cannot be removed")
    _require(not voters & learners, "a peer cannot be voter and learner at once")
    _require({*conf_state.learners_next} <= {*conf_state.voters_outgoing}, "only outgoing voters become learners later")
    _require(not {*conf_state.learners_next} & {*conf_state.voters}, "a voter to be cannot become a learner")
    _require(conf_state.is_joint or not conf_state.auto_leave, "only a joint configuration is left")
    return conf_state


def _apply(conf_state: ConfState, changes: tuple[ConfChangeSingle, ...]) -> ConfState:
    """Change `voters` and the learners; the outgoing half stays as it is."""
    _require(len({change.peer_id for change in changes}) == len(changes), "one peer is changed twice")
    voters, learners, learners_next = {*conf_state.voters}, {*conf_state.learners}, {*conf_state.learners_next}
    for change in changes:
        _require(change.peer_id > NO_PEER, f"peer id {change.peer_id} must be above 0")
        for members in (voters, learners, learners_next):
            members.discard(change.peer_id)
        if change.kind is ConfChangeKind.ADD_VOTER:
            voters.add(change.peer_id)
        elif change.kind is ConfChangeKind.ADD_LEARNER:
            (learners_next if change.peer_id in conf_state.voters_outgoing else learners).add(change.peer_id)
    return ConfState(
        voters=tuple(sorted(voters)),
        learners=tuple(sorted(learners)),
        voters_outgoing=conf_state.voters_outgoing,
        learners_next=tuple(sorted(learners_next)),
        auto_leave=conf_state.auto_leave,
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidConfChange(otherwise)
