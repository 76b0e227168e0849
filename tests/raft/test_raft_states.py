"""State × input: whatever a peer is doing, any message, report or call leaves it in a valid state or is refused as
declared."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.raft.config import Config
from rutile_kv.raft.errors import (
    InvalidConfChange,
    MalformedConfChange,
    ProposalDropped,
    ReadyOutstanding,
)
from rutile_kv.raft.messages import (
    TRANSFER_CONTEXT,
    ConfChange,
    ConfChangeKind,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfState,
    Entry,
    EntryKind,
    Message,
    MessageKind,
    SnapshotMeta,
)
from rutile_kv.raft.node import RawNode
from rutile_kv.raft.ready import Ready, Role
from rutile_kv.raft.storage import MemoryStorage
from rutile_proto.errors import InvalidRequest

ME = 1
CONF_STATES = (
    ConfState((1,)),
    ConfState((1, 2, 3)),
    ConfState((2, 3), (1,)),
    ConfState((1, 2), (4,), (2, 3), auto_leave=True),
    ConfState((2, 3)),
)
SMALL = st.integers(0, 9)
CHANGES = st.builds(
    ConfChange,
    st.lists(st.builds(ConfChangeSingle, st.sampled_from(ConfChangeKind), st.integers(1, 4)), max_size=2).map(tuple),
    st.sampled_from(ConfChangeTransition),
)
ENTRIES = st.one_of(
    st.builds(Entry, SMALL, SMALL, st.just(EntryKind.NORMAL), st.binary(max_size=3)),
    st.builds(Entry, SMALL, SMALL, st.just(EntryKind.CONF_CHANGE), CHANGES.map(ConfChange.to_bytes)),
)
SNAPSHOTS = st.builds(SnapshotMeta, SMALL, SMALL, st.sampled_from(CONF_STATES))
MESSAGES = st.builds(
    Message,
    kind=st.sampled_from(MessageKind),
    to=st.sampled_from((ME, ME, ME, 2)),
    sender=st.integers(0, 4),
    term=SMALL,
    log_term=SMALL,
    index=SMALL,
    entries=st.lists(ENTRIES, max_size=3).map(tuple),
    commit=SMALL,
    snapshot=st.none() | SNAPSHOTS,
    reject=st.booleans(),
    reject_hint=SMALL,
    context=st.sampled_from((b"", b"r", TRANSFER_CONTEXT)),
    commit_term=SMALL,
)
PLAUSIBLE = st.tuples(
    st.sampled_from(MessageKind), st.sampled_from((2, 3)), st.integers(-1, 1), st.integers(-2, 0), st.integers(0, 3)
)


def wait(node: RawNode, ticks: int) -> None:
    for _ in range(ticks):
        node.tick()


CALLS: dict[str, Callable[[RawNode, int], object]] = {
    "tick": lambda node, _: node.tick(),
    "long": lambda node, _: wait(node, 25),
    "campaign": lambda node, _: node.campaign(),
    "propose": lambda node, number: node.propose(b"x" * number),
    "read": lambda node, number: node.read_index(b"%d" % number),
    "transfer": lambda node, number: node.transfer_leader(number),
    "unreachable": lambda node, number: node.report_unreachable(number),
    "snapshot": lambda node, number: node.report_snapshot(number // 2, bool(number % 2)),
    "ping": lambda node, _: node.ping(),
}
INPUTS = st.one_of(
    MESSAGES,
    PLAUSIBLE,
    CHANGES,
    st.sampled_from(("take", "give", "apply", "work", "work")),
    st.tuples(st.sampled_from(sorted(CALLS)), st.integers(0, 4)),
)


class Driver:
    """One peer, its disk, and the promises that hold whatever it is fed."""

    def __init__(self, conf_state: ConfState, pre_vote: bool, check_quorum: bool) -> None:
        self.storage = MemoryStorage(conf_state)
        config = Config(
            ME, fresh=True, pre_vote=pre_vote, check_quorum=check_quorum, max_inflight=2, max_uncommitted_bytes=5
        )
        self.node = RawNode(config, self.storage, random.Random(1))
        self.outstanding: Ready | None = None
        self.to_apply: list[Entry] = []
        self.committed: list[tuple[int, int]] = []
        self.term = 0

    def feed(self, given_input: object) -> None:
        match given_input:
            case Message():
                self.node.step(given_input)
            case ConfChange():
                self._call(lambda: self.node.propose_conf_change(given_input))
            case (str() as name, int() as number):
                self._call(lambda: CALLS[name](self.node, number))
            case (MessageKind() as kind, int() as sender, int() as term, int() as index, int() as count):
                self.node.step(self._plausible(kind, sender, term, index, count))
            case str() as name:
                getattr(self, name)()
        self.check()

    def _call(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(ProposalDropped, InvalidConfChange):  # as declared
            call()

    def _plausible(self, kind: MessageKind, sender: int, term: int, back: int, count: int) -> Message:
        """A message that fits the peer's term and log."""
        node, log = self.node, self.node._core.log
        index = max(log.first_index - 1, node.last_index + back)
        term = max(node.term + term, 0)
        entries = tuple(Entry(max(term, 1), index + 1 + offset) for offset in range(count))
        return Message(
            kind, ME, sender, term, log_term=log.term(index), index=index, entries=entries, commit=index,
            snapshot=SnapshotMeta(index, log.term(index), node.conf_state) if index else None,
        )  # fmt: skip

    def take(self) -> None:
        if self.outstanding is None and self.node.has_ready():
            self.outstanding = self.node.ready()
            assert self.outstanding.entries == sorted(self.outstanding.entries, key=lambda entry: entry.index)

    def give(self) -> None:
        ready, self.outstanding = self.outstanding, None
        if ready is None:
            return
        if ready.snapshot is not None:
            self.storage.install(ready.snapshot)
            self.to_apply.clear()
        self.storage.append(ready.entries)
        self.storage.hard_state = ready.hard_state or self.storage.hard_state
        self.node.advance(ready)
        self.to_apply += ready.committed_entries

    def apply(self) -> None:
        for entry in self.to_apply:
            if entry.kind is EntryKind.CONF_CHANGE:
                with contextlib.suppress(InvalidConfChange, MalformedConfChange):  # nobody checked these proposals
                    self.node.apply_conf_change(ConfChange.from_bytes(entry.data))
            self.node.advance_apply(entry.index)
        self.to_apply.clear()

    def work(self) -> None:
        for _ in range(3):
            self.take()
            self.give()
            self.apply()

    def check(self) -> None:
        node, core = self.node, self.node._core
        log, status = core.log, node.status()
        assert node.term >= self.term, "terms never fall"
        self.term = node.term
        assert status.applied <= log.handed_out <= status.commit <= status.last_index
        assert (node.role is Role.LEADER) == (node.leader_id == ME)
        assert node.role is Role.FOLLOWER or core.is_promotable()
        terms = [log.term(index) for index in range(log.first_index - 1, log.last_index + 1)]
        assert terms == sorted(terms) and terms[-1] <= node.term
        assert all(log.matches(i, t) for i, t in self.committed if i >= log.first_index), "committed is for ever"
        known = self.committed[-1][0] if self.committed else 0
        self.committed += [
            (index, log.term(index)) for index in range(max(known + 1, log.first_index), log.committed + 1)
        ]
        for progress in status.progress:
            assert progress.match < progress.next and progress.match <= status.last_index
        if node.is_leader:
            assert [progress.peer_id for progress in status.progress] == list(node.conf_state.members())
        assert not (node.lease_valid() and not node.is_leader)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CONF_STATES), st.booleans(), st.booleans(), st.lists(INPUTS, max_size=40))
def test_any_input_in_any_state(conf: ConfState, pre_vote: bool, check_quorum: bool, inputs: list[object]) -> None:
    driver = Driver(conf, pre_vote, check_quorum)
    for given_input in inputs:
        driver.feed(given_input)
    driver.give()
    driver.work()
    driver.check()


LEAD = [("campaign", 0), "work", "work"]
GRANTS = [
    Message(kind, ME, sender, 1)
    for kind in (MessageKind.PRE_VOTE_RESPONSE, MessageKind.VOTE_RESPONSE)
    for sender in (2, 3)
]
STATES: dict[Role, list[object]] = {
    Role.FOLLOWER: [],
    Role.PRE_CANDIDATE: [("campaign", 0)],
    Role.CANDIDATE: [("campaign", 0), *GRANTS[:1]],
    Role.LEADER: [("campaign", 0), GRANTS[0], "work", GRANTS[2], "work"],
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("taken", [False, True])
@settings(max_examples=60, deadline=None)
@given(given_input=INPUTS)
def test_every_role_meets_every_input(role: Role, taken: bool, given_input: object) -> None:
    driver = Driver(ConfState((1, 2, 3)), pre_vote=True, check_quorum=True)
    for prelude in STATES[role]:
        driver.feed(prelude)
    assert driver.node.role is role
    if taken:
        driver.take()
    driver.feed(given_input)
    driver.give()
    driver.work()
    driver.check()


def test_a_ready_is_given_back_before_the_next() -> None:
    node = RawNode(Config(ME), MemoryStorage(ConfState((1,))), random.Random(1))
    node.campaign()
    ready = node.ready()
    assert not node.has_ready()
    with pytest.raises(ReadyOutstanding):
        node.ready()
    node.advance(ready)
    with pytest.raises(ReadyOutstanding):
        node.advance(ready)


@pytest.mark.parametrize("wrong", [{"id": 0}, {"heartbeat_ticks": 10}, {"heartbeat_ticks": 0}, {"max_inflight": 0}])
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest):
        Config(**{"id": 1, **wrong})  # type: ignore[arg-type]
