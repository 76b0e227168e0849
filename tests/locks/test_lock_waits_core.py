"""The queue of those who wait for locks: order, times, deadlocks, and any event in any state."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rutile_kv.txn.deadlock import Cycle, WaitFor
from rutile_kv.txn.lock_waits import DEFAULT_TIMEOUT_MS, WAKE_UP_DELAY_MS, LockWaits, timeout_ms
from rutile_kv.txn.wait_events import (
    BeginWait,
    Blocked,
    DeadlockFound,
    EndWait,
    GiveUp,
    Left,
    Refuse,
    Released,
    Taken,
    TimePassed,
    TryAgain,
    WaitEffect,
)
from rutile_proto.errors import LockFacts


def lock(start_ts: int, key: bytes = b"k") -> LockFacts:
    return LockFacts(key, key, start_ts, 3_000, 5)


def blocked(token: int, by: int, now_ms: int = 0, key: bytes = b"k", deadline_ms: int = 1_000) -> Blocked:
    """Request `token` of the transaction of the same number meets a lock of transaction `by`."""
    return Blocked(token, token, lock(by, key), deadline_ms, now_ms)


def without_edges(effects: list[WaitEffect]) -> list[WaitEffect]:
    return [effect for effect in effects if not isinstance(effect, BeginWait | EndWait)]


@pytest.mark.parametrize(
    ("asked", "waits_ms"), [(-1, None), (-1000, None), (0, DEFAULT_TIMEOUT_MS), (1, 1), (999, 999), (50_000, 1_000)]
)
def test_wait_timeouts_mean_what_the_protocol_says(asked: int, waits_ms: int | None) -> None:
    assert timeout_ms(asked) == waits_ms


def test_a_released_lock_wakes_the_first_at_once_and_the_next_after_the_delay() -> None:
    core = LockWaits()
    for token in (1, 2, 3):
        core.handle(blocked(token, by=9))
    assert without_edges(core.handle(Released((b"k",), 100))) == [TryAgain(1)]
    assert core.next_ms() == 100 + WAKE_UP_DELAY_MS
    assert core.handle(TimePassed(100 + WAKE_UP_DELAY_MS - 1)) == []
    assert without_edges(core.handle(TimePassed(100 + WAKE_UP_DELAY_MS))) == [TryAgain(2)]
    assert without_edges(core.handle(TimePassed(100 + 2 * WAKE_UP_DELAY_MS))) == [TryAgain(3)]


def test_once_the_first_has_the_lock_the_rest_wait_for_it() -> None:
    core = LockWaits()
    for token in (1, 2):
        core.handle(blocked(token, by=9))
    core.handle(Released((b"k",), 100))
    assert core.handle(Taken(lock(1))) == [EndWait(WaitFor(2, 9, b"k")), BeginWait(WaitFor(2, 1, b"k"))]
    core.handle(Left(1))
    assert core.handle(TimePassed(500)) == []
    assert without_edges(core.handle(Released((b"k",), 600))) == [TryAgain(2)]


def test_whoever_tries_in_vain_keeps_its_place() -> None:
    core = LockWaits()
    for token in (1, 2):
        core.handle(blocked(token, by=9))
    core.handle(Released((b"k",), 100))
    core.handle(Taken(lock(8)))
    core.handle(blocked(1, by=8, now_ms=101))
    assert without_edges(core.handle(Released((b"k",), 200))) == [TryAgain(1)]


def test_time_is_up_at_the_deadline_and_not_before() -> None:
    core = LockWaits()
    core.handle(blocked(1, by=9, deadline_ms=1_000))
    assert core.next_ms() == 1_000
    assert core.handle(TimePassed(999)) == []
    assert core.handle(TimePassed(1_000)) == [EndWait(WaitFor(1, 9, b"k")), GiveUp(1, lock(9))]
    assert len(core) == 0 and core.next_ms() is None


def test_the_lock_named_when_time_is_up_is_the_one_that_stands_there_now() -> None:
    core = LockWaits()
    core.handle(blocked(1, by=9))
    core.handle(Taken(lock(8)))
    assert without_edges(core.handle(TimePassed(1_000))) == [GiveUp(1, lock(8))]


def test_blocked_after_the_deadline_is_the_end() -> None:
    core = LockWaits()
    core.handle(blocked(1, by=9))
    core.handle(Released((b"k",), 999))
    assert core.handle(TimePassed(1_500)) == []
    assert core.handle(blocked(1, by=8, now_ms=1_500)) == [GiveUp(1, lock(8))]


def test_a_deadlock_refuses_the_request_that_closed_it() -> None:
    core = LockWaits()
    core.handle(blocked(1, by=9))
    core.handle(blocked(2, by=9))
    cycle = Cycle(WaitFor(2, 9, b"k"), (WaitFor(2, 9, b"k"), WaitFor(9, 2, b"l")))
    assert core.handle(DeadlockFound(cycle)) == [EndWait(WaitFor(2, 9, b"k")), Refuse(2, lock(9), cycle)]
    assert core.handle(DeadlockFound(cycle)) == []
    assert core.told() == [WaitFor(1, 9, b"k")]


def test_a_lock_of_the_own_transaction_is_not_waited_for() -> None:
    core = LockWaits()
    core.handle(blocked(1, by=9))
    assert without_edges(core.handle(Taken(lock(1)))) == [TryAgain(1)]


class AnyEventInAnyState(RuleBasedStateMachine):
    """Each request is in exactly one of: waiting in a queue, trying, over; and what the detector is told adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.core = LockWaits()
        self.now_ms = 0
        self.waiting: dict[int, bytes] = {}
        self.first_met: dict[int, int] = {}
        self.trying: dict[int, None] = {}
        self.told: list[WaitFor] = []

    def take(self, effects: list[WaitEffect]) -> None:
        for effect in effects:
            match effect:
                case TryAgain(token):
                    key = self.waiting.pop(token)
                    others = [self.first_met[other] for other, at in self.waiting.items() if at == key]
                    assert not self.in_order or all(self.first_met[token] < other for other in others)
                    self.trying[token] = None
                case GiveUp(token) | Refuse(token):
                    self.waiting.pop(token, None)
                    self.trying.pop(token, None)
                case BeginWait(wait):
                    self.told.append(wait)
                case EndWait(wait):
                    self.told.remove(wait)

    in_order = True

    @rule(key=st.sampled_from([b"a", b"b"]), by=st.integers(90, 92), wait_ms=st.integers(1, 60))
    def comes(self, key: bytes, by: int, wait_ms: int) -> None:
        token = len(self.first_met) + 1
        self.first_met[token], self.waiting[token] = token, key
        self.take(self.core.handle(blocked(token, by, self.now_ms, key, self.now_ms + wait_ms)))

    @precondition(lambda self: self.trying)
    @rule(key=st.sampled_from([b"a", b"b"]), by=st.integers(90, 92), again=st.booleans())
    def an_attempt_ends(self, key: bytes, by: int, again: bool) -> None:
        token = next(iter(self.trying))
        del self.trying[token]
        if again:
            self.waiting[token] = key
            self.take(self.core.handle(blocked(token, by, self.now_ms, key, self.now_ms + 5)))
        else:
            self.take(self.core.handle(Left(token)))

    @rule(key=st.sampled_from([b"a", b"b"]))
    def goes(self, key: bytes) -> None:
        self.take(self.core.handle(Released((key,), self.now_ms)))

    @rule(key=st.sampled_from([b"a", b"b"]), by=st.integers(1, 99))
    def is_taken(self, key: bytes, by: int) -> None:
        self.in_order = False  # a transaction whose own lock it is goes first
        self.take(self.core.handle(Taken(lock(by, key))))
        self.in_order = True

    @rule(ms=st.integers(0, 40))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        self.take(self.core.handle(TimePassed(self.now_ms)))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[token]
        self.take(self.core.handle(Left(token)))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def deadlock(self, data: st.DataObject) -> None:
        wait = data.draw(st.sampled_from(self.told))
        self.take(self.core.handle(DeadlockFound(Cycle(wait, (wait,)))))

    @invariant()
    def adds_up(self) -> None:
        assert len(self.core) == len(self.waiting) + len(self.trying)
        assert sorted(map(repr, self.core.told())) == sorted(map(repr, self.told))
        assert len(self.told) == len(self.core.waits()) == len(self.waiting)
        assert all(self.core.waits_for(key) for key in self.waiting.values())
        assert (self.core.next_ms() is None) <= (not self.waiting)


TestAnyEventInAnyState = AnyEventInAnyState.TestCase
TestAnyEventInAnyState.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
