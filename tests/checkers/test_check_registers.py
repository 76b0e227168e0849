"""The register checker on histories made by hand, against brute force, and on a register that lies."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import pytest
from checkers import registers
from checkers.histories import NEVER, Look, Outcome, RegisterCall, Swap, Write
from checkers.registers import TooTangled, judge_registers
from hypothesis import given, settings
from hypothesis import strategies as st


def call(action: Write | Look | Swap, start: float, end: float = NEVER, outcome: Outcome = Outcome.OK) -> RegisterCall:
    return RegisterCall(1, action, start, end, outcome)


def unknown(action: Write | Look | Swap, start: float) -> RegisterCall:
    return call(action, start, NEVER, Outcome.UNKNOWN)


LINEARIZABLE = {
    "nothing": [],
    "one after the other": [call(Write(1), 0, 1), call(Look(1), 2, 3), call(Write(2), 4, 5), call(Look(2), 6, 7)],
    "a read beside a write, before it": [call(Write(1), 0, 10), call(Look(None), 1, 2)],
    "a read beside a write, after it": [call(Write(1), 0, 10), call(Look(1), 1, 2)],
    "two writes side by side": [call(Write(1), 0, 10), call(Write(2), 0, 10), call(Look(1), 11, 12)],
    "a failed write": [call(Write(1), 0, 1), call(Write(2), 2, 3, Outcome.FAILED), call(Look(1), 4, 5)],
    "an unknown write that did not happen": [unknown(Write(1), 0), call(Look(None), 5, 6), call(Look(None), 7, 8)],
    "an unknown write that happened late": [unknown(Write(1), 0), call(Look(None), 5, 6), call(Look(1), 7, 8)],
    "an unknown write over a known one": [
        call(Write(1), 0, 1), unknown(Write(2), 2), call(Look(1), 3, 4), call(Look(2), 5, 6)
    ],
    "an unknown write of the first value": [
        call(Write(1), 0, 1), unknown(Write(1), 0), call(Write(2), 2, 3), call(Look(1), 4, 5)
    ],
    "touching intervals": [call(Write(1), 0, 1), call(Look(None), 1, 2)],
    "a swap": [call(Write(1), 0, 1), call(Swap(1, 2), 2, 3), call(Look(2), 4, 5)],
    "an unknown swap": [call(Write(1), 0, 1), unknown(Swap(1, 2), 2), call(Look(2), 4, 5)],
    "an unknown write that only a swap has seen": [unknown(Write(1), 0), unknown(Swap(1, 2), 0), call(Look(2), 4, 5)],
}  # fmt: skip

NOT_LINEARIZABLE = {
    "a stale read": [call(Write(1), 0, 1), call(Write(2), 2, 3), call(Look(1), 4, 5)],
    "a write that is gone": [call(Write(1), 0, 1), call(Look(None), 2, 3)],
    "a value from nowhere": [call(Write(1), 0, 1), call(Look(7), 2, 3)],
    "a value from the future": [call(Look(1), 0, 1), call(Write(1), 2, 3)],
    "a failed write that shows": [call(Write(1), 0, 1, Outcome.FAILED), call(Look(1), 2, 3)],
    "new and old again": [call(Write(1), 0, 10), call(Look(1), 1, 2), call(Look(None), 3, 4)],
    "an unknown write that comes and goes": [unknown(Write(1), 0), call(Look(1), 1, 2), call(Look(None), 3, 4)],
    "an unknown write seen before it began": [call(Look(1), 0, 1), unknown(Write(1), 2)],
    "an unknown write that happens twice": [
        unknown(Write(1), 0), call(Look(1), 1, 2), call(Write(2), 3, 4), call(Look(2), 5, 6), call(Look(1), 7, 8)
    ],
    "two swaps of the same value": [call(Write(1), 0, 1), call(Swap(1, 2), 2, 5), call(Swap(1, 3), 2, 5)],
    "a swap of a value it did not hold": [call(Write(1), 0, 1), call(Swap(2, 3), 2, 3)],
    "an unknown swap that could not be": [call(Write(1), 0, 1), unknown(Swap(3, 2), 2), call(Look(2), 4, 5)],
    "readers that disagree": [
        call(Write(1), 0, 10), call(Write(2), 0, 10),
        call(Look(1), 11, 12), call(Look(2), 13, 14),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_linearizable(name: str) -> None:
    assert judge_registers(LINEARIZABLE[name]) == []


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_not_linearizable(name: str) -> None:
    (found,) = judge_registers(NOT_LINEARIZABLE[name])
    assert found.call in NOT_LINEARIZABLE[name] or found.call.outcome is Outcome.UNKNOWN


def test_registers_are_judged_apart() -> None:
    good = [replace(each, register=2) for each in LINEARIZABLE["a swap"]]
    bad = [replace(each, register=3) for each in NOT_LINEARIZABLE["a stale read"]]
    (found,) = judge_registers([*good, *bad])
    assert found.call.register == 3 and found.possible == (2,)


def test_a_value_to_begin_with() -> None:
    assert judge_registers([call(Look(0), 0, 1)], initial=0) == []
    assert judge_registers([unknown(Write(0), 5), call(Look(0), 0, 1)], initial=0) == []
    assert len(judge_registers([call(Look(None), 0, 1)], initial=0)) == 1


def test_a_history_too_tangled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "MAX_CONFIGURATIONS", 50)
    with pytest.raises(TooTangled):
        judge_registers([call(Write(value), 0, 10) for value in range(12)])


def test_many_unknown_writes_are_no_burden() -> None:
    """Each doubles the configurations unless what is certain is used."""
    calls = []
    for at in range(100):
        calls.append(unknown(Write(1000 + at), at))
        calls.append(call(Write(at), at, at + 0.4))
        calls.append(call(Look(1000 + at if at % 3 == 0 else at), at + 0.5, at + 0.9))
    assert judge_registers(calls) == []


# --- against brute force --------------------------------------------------------------------------------------------

ACTIONS = st.one_of(
    st.builds(Write, st.integers(1, 3)),
    st.builds(Look, st.sampled_from([None, 1, 2, 3])),
    st.builds(Swap, st.sampled_from([None, 1, 2]), st.integers(1, 3)),
)
CALLS = st.builds(
    lambda action, start, length, outcome: call(
        action, start, NEVER if outcome is Outcome.UNKNOWN else start + length, outcome
    ),
    ACTIONS,
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([Outcome.OK, Outcome.OK, Outcome.UNKNOWN, Outcome.FAILED]),
)


def explained(calls: list[RegisterCall]) -> bool:
    """Whether some order of all that happened, and some of what may have, explains every answer."""
    sure = [each for each in calls if each.outcome is Outcome.OK]
    open_ = [each for each in calls if each.outcome is Outcome.UNKNOWN and not isinstance(each.action, Look)]
    for chosen in range(1 << len(open_)):
        happened = sure + [each for at, each in enumerate(open_) if chosen >> at & 1]
        if any(_explains(order) for order in permutations(happened)):
            return True
    return False


def _explains(order: tuple[RegisterCall, ...]) -> bool:
    value: int | None = None
    latest = -1.0
    for each in order:
        latest = max(latest, each.invoked_s)
        if each.completed_s < latest:
            return False
        match each.action:
            case Write(written):
                value = written
            case Look(found):
                if found != value:
                    return False
            case Swap(expected, new):
                if value != expected:
                    return False
                value = new
    return True


@given(st.lists(CALLS, max_size=5))
@settings(max_examples=200)
def test_agrees_with_trying_every_order(calls: list[RegisterCall]) -> None:
    assert (judge_registers(calls) == []) is explained(calls)


# --- a register that is right, and one that lies --------------------------------------------------------------------


def calls_of(dice: random.Random, count: int, lies: float) -> list[RegisterCall]:
    """Eight clients; every operation happens at a moment of its own inside its interval, some answers get lost, and now
    and then a read gives an older value."""
    done = []
    for value in range(count):
        at = value + dice.random() * 0.5
        done.append((at, value, dice.random() < 0.5, at - dice.random() * 8, at + dice.random() * 8))
    held: list[int | None] = [None]
    calls = []
    for _, value, writes, start, end in sorted(done):
        lost = dice.random() < 0.05
        if writes:
            held.append(value)
            calls.append(unknown(Write(value), start) if lost else call(Write(value), start, end))
        else:
            found = held[-1] if dice.random() >= lies or len(held) < 30 else held[-25]
            calls.append(call(Look(found), start, end))
    return calls


@pytest.mark.parametrize("seed", range(4))
def test_long_histories(seed: int) -> None:
    dice = random.Random(seed)
    assert judge_registers(calls_of(dice, 300, lies=0.0)) == []
    assert len(judge_registers(calls_of(dice, 300, lies=0.05))) == 1
