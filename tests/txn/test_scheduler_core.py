"""The scheduler core: latches in order, one answer a command, any event in any state."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from txn_fakes import Touch

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn import scheduler
from rutile_kv.txn.commands import Prewrite
from rutile_kv.txn.events import (
    Effect,
    Event,
    Fail,
    Reply,
    SnapshotFailed,
    SnapshotTaken,
    Submit,
    TakeSnapshot,
    WriteDone,
    WriteFailed,
    WriteModifies,
)
from rutile_kv.txn.latches import Latches
from rutile_kv.txn.model import Mutation, Op
from rutile_kv.txn.scheduler import Phase, Scheduler, UnexpectedEvent
from rutile_proto.errors import KeyIsLocked, NotLeader, ServerIsBusy, TxnAborted

VIEW = MemoryEngine()


def kinds(effects: list[Effect]) -> list[tuple[type[Effect], int]]:
    return [(type(effect), effect.token) for effect in effects]


# --- latches ---


def test_latches_are_first_come_first_served_per_key() -> None:
    latches = Latches()
    assert latches.acquire(1, [b"a", b"b"])
    assert not latches.acquire(2, [b"b", b"c"])
    assert not latches.acquire(3, [b"c"])
    assert latches.acquire(4, [b"d"])
    assert latches.release(1, [b"a", b"b"]) == [2]
    assert latches.release(2, [b"b", b"c"]) == [3]
    assert latches.release(3, [b"c"]) == []
    assert latches.release(4, [b"d"]) == []
    assert len(latches) == 0


def test_a_command_waits_for_all_its_keys() -> None:
    latches = Latches()
    assert latches.acquire(1, [b"a"])
    assert latches.acquire(2, [b"b"])
    assert not latches.acquire(3, [b"a", b"b"])
    assert latches.release(1, [b"a"]) == []
    assert latches.release(2, [b"b"]) == [3]


# --- the life of a command ---


def test_view_decision_write_answer() -> None:
    core = Scheduler()
    assert kinds(core.handle(Submit(1, Touch((b"a",), result=7)))) == [(TakeSnapshot, 1)]
    (write,) = core.handle(SnapshotTaken(1, VIEW))
    assert write == WriteModifies(1, [("default", b"a", b"")])
    assert core.handle(WriteDone(1)) == [Reply(1, 7)]
    assert len(core) == 0


def test_nothing_to_write_is_answered_at_once() -> None:
    core = Scheduler()
    core.handle(Submit(1, Touch((b"a",), result=7, writes=False)))
    assert core.handle(SnapshotTaken(1, VIEW)) == [Reply(1, 7)]


@pytest.mark.parametrize("error", [TxnAborted("no"), RuntimeError("a bug")])
def test_an_error_of_the_command_goes_to_its_caller_and_frees_the_keys(error: Exception) -> None:
    core = Scheduler()
    core.handle(Submit(1, Touch((b"a",), error=error)))
    core.handle(Submit(2, Touch((b"a",))))
    effects = core.handle(SnapshotTaken(1, VIEW))
    assert effects[0] == Fail(1, error)
    assert kinds(effects[1:]) == [(TakeSnapshot, 2)]


def test_failed_views_and_writes_end_the_command() -> None:
    core = Scheduler()
    core.handle(Submit(1, Touch((b"a",))))
    core.handle(Submit(2, Touch((b"a",))))
    lost = NotLeader(1)
    assert kinds(core.handle(SnapshotFailed(1, lost))) == [(Fail, 1), (TakeSnapshot, 2)]
    core.handle(SnapshotTaken(2, VIEW))
    assert core.handle(WriteFailed(2, lost)) == [Fail(2, lost)]
    assert len(core) == 0


def test_keys_named_twice_are_latched_once() -> None:
    core = Scheduler()
    assert kinds(core.handle(Submit(1, Touch((b"a", b"a"))))) == [(TakeSnapshot, 1)]
    core.handle(SnapshotTaken(1, VIEW))
    assert kinds(core.handle(WriteDone(1))) == [(Reply, 1)]


def test_too_many_commands_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "MAX_COMMANDS", 2)
    core = Scheduler()
    for token in (1, 2):
        core.handle(Submit(token, Touch((b"a",))))
    (refusal,) = core.handle(Submit(3, Touch((b"b",))))
    assert isinstance(refusal, Fail)
    assert isinstance(refusal.error, ServerIsBusy)


def test_guards_stand_from_decision_to_the_end_of_the_write() -> None:
    core = Scheduler()
    put = Mutation(Op.PUT, b"k", b"v")
    core.handle(Submit(1, Prewrite((put,), b"k", start_ts=10, ttl_ms=100, use_async_commit=True)))
    core.handle(SnapshotTaken(1, VIEW, max_ts=20))
    guarded = MvccReader(core.guards.over(VIEW))
    assert guarded.get(b"k", 20) is None
    with pytest.raises(KeyIsLocked):
        guarded.get(b"k", 21)
    assert isinstance(guarded.scan(b"", b"", 21, 10)[0][1], KeyIsLocked)
    assert guarded.scan(b"l", b"", 21, 10) == []
    assert [lock.key for lock in guarded.scan_locks(b"", b"", 21, 10)] == [b"k"]
    core.handle(WriteDone(1))
    assert core.guards.over(VIEW) is VIEW


# --- any event in any state ---

TOKENS = st.integers(0, 4)
ERROR = NotLeader(1)
COMMANDS = st.builds(
    Touch,
    st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=3).map(tuple),
    writes=st.booleans(),
    error=st.sampled_from([None, None, TxnAborted("no")]),
)
EVENTS = st.one_of(
    st.builds(Submit, TOKENS, COMMANDS),
    st.builds(SnapshotTaken, TOKENS, st.just(VIEW)),
    st.builds(SnapshotFailed, TOKENS, st.just(ERROR)),
    st.builds(WriteDone, TOKENS),
    st.builds(WriteFailed, TOKENS, st.just(ERROR)),
)


class Watcher:
    """Follows a core through its effects, and knows which events belong where."""

    def __init__(self) -> None:
        self.core = Scheduler()
        self.keys: dict[int, tuple[bytes, ...]] = {}
        """Of commands under way, in the order they came."""
        self.phases: dict[int, Phase] = {}

    def belongs(self, event: Event) -> bool:
        wanted = {
            SnapshotTaken: Phase.READING,
            SnapshotFailed: Phase.READING,
            WriteDone: Phase.WRITING,
            WriteFailed: Phase.WRITING,
        }
        phase = self.phases.get(event.token)
        return phase is None if isinstance(event, Submit) else phase is wanted[type(event)]

    def feed(self, event: Event) -> None:
        if not self.belongs(event):
            with pytest.raises(UnexpectedEvent):
                self.core.handle(event)
            return
        if isinstance(event, Submit):
            self.keys[event.token] = event.command.keys  # type: ignore[attr-defined]
            self.phases[event.token] = Phase.WAITING
        for effect in self.core.handle(event):
            self.see(effect)
        self.check()

    def see(self, effect: Effect) -> None:
        expected = {TakeSnapshot: Phase.WAITING, WriteModifies: Phase.READING}
        if isinstance(effect, TakeSnapshot | WriteModifies):
            assert self.phases[effect.token] is expected[type(effect)]
            self.phases[effect.token] = Phase.READING if isinstance(effect, TakeSnapshot) else Phase.WRITING
        else:
            del self.phases[effect.token], self.keys[effect.token]

    def check(self) -> None:
        assert {token: self.core.phase(token) for token in self.phases} == self.phases
        assert len(self.core) == len(self.phases)
        taken: set[bytes] = set()
        for token, keys in self.keys.items():  # who came first on a key goes first
            assert (self.phases[token] is Phase.WAITING) == bool(taken & set(keys))
            taken |= set(keys)

    def drain(self) -> None:
        while self.phases:
            token, phase = next((t, p) for t, p in self.phases.items() if p is not Phase.WAITING)
            self.feed(SnapshotTaken(token, VIEW) if phase is Phase.READING else WriteDone(token))


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_any_event_in_any_state(events: list[Event]) -> None:
    watcher = Watcher()
    for event in events:
        watcher.feed(event)
    watcher.drain()
    assert len(watcher.core) == 0
    assert len(watcher.core._latches) == 0
