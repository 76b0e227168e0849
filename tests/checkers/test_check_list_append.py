"""The list-append checker on histories whose anomalies are known, and on clean ones."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from checkers.histories import NEVER, Append, ListTransaction, Outcome, Read
from checkers.list_append import Anomaly, judge
from checkers.snapshots import judge_snapshots
from checkers.twins import Fault, ListDatabase
from hypothesis import given, settings
from hypothesis import strategies as st

X, Y, Z = 0, 1, 2
KEYS = (X, Y, Z)
A = Append


def r(key: int, *elements: int) -> Read:
    return Read(key, elements)


def at_once(*steps_of: tuple[Append | Read, ...]) -> list[ListTransaction]:
    """Transactions 1, 2, ...: all at the same time, so only what they read orders them."""
    return [ListTransaction(at + 1, steps, Outcome.OK, 0.0, 100.0) for at, steps in enumerate(steps_of)]


def one_after_the_other(*steps_of: tuple[Append | Read, ...]) -> list[ListTransaction]:
    return [ListTransaction(at + 1, steps, Outcome.OK, at, at + 0.5) for at, steps in enumerate(steps_of)]


def kinds(history: list[ListTransaction], realtime: bool = True) -> set[Anomaly]:
    return judge(history, realtime=realtime).kinds


def test_a_serial_history_is_clean() -> None:
    steps = [(A(X, 1), A(Y, 1)), (r(X, 1), A(X, 2), r(X, 1, 2)), (r(X, 1, 2), r(Y, 1)), (A(Z, 1), r(Z, 1))]
    verdict = judge(one_after_the_other(*steps))
    assert verdict.findings == []
    assert {kind.value for kind in verdict.edges} == {"ww", "wr", "rt"}


def test_nothing_is_clean() -> None:
    assert judge([]).findings == []


CASES: dict[str, tuple[Anomaly, list[ListTransaction]]] = {
    # Two transactions write x and y in opposite orders.
    "dirty write": (Anomaly.G0, at_once((A(X, 1), A(Y, 1)), (A(X, 2), A(Y, 2)), (r(X, 1, 2),), (r(Y, 2, 1),))),
    # Each has seen what the other has written.
    "information in a circle": (Anomaly.G1C, at_once((A(X, 1), r(Y, 1)), (A(Y, 1), r(X, 1)))),
    "information in a wider circle": (
        Anomaly.G1C,
        at_once((A(X, 1), r(Z, 1)), (A(Y, 1), r(X, 1)), (A(Z, 1), r(Y, 1))),
    ),
    # The reader sees y after the writer, but x from before it.
    "read skew": (Anomaly.G_SINGLE, at_once((A(X, 1), A(Y, 1)), (r(X), r(Y, 1)), (r(X, 1),))),
    "read skew over a chain": (
        Anomaly.G_SINGLE,
        at_once((A(X, 1), A(Z, 1)), (r(Z, 1), A(Y, 1)), (r(X), r(Y, 1)), (r(X, 1),)),
    ),
    # Two readers see two independent writes in opposite orders: rw edges, but never two in a row.
    "long fork": (
        Anomaly.G_NONADJACENT,
        at_once((A(X, 1),), (A(Y, 1),), (r(X, 1), r(Y)), (r(X), r(Y, 1)), (r(X, 1), r(Y, 1))),
    ),
    "write skew": (Anomaly.G2_ITEM, at_once((r(Y), A(X, 1)), (r(X), A(Y, 1)), (r(X, 1), r(Y, 1)))),
    "lost update": (Anomaly.LOST_UPDATE, at_once((r(X), A(X, 1)), (r(X), A(X, 2)), (r(X, 2),))),
    "lost update that kept both": (Anomaly.LOST_UPDATE, at_once((r(X), A(X, 1)), (r(X), A(X, 2)), (r(X, 1, 2),))),
    "a state from the middle": (Anomaly.G1B, at_once((A(X, 1), A(X, 2)), (r(X, 1),), (r(X, 1, 2),))),
    "orders that disagree": (Anomaly.INCOMPATIBLE_ORDER, at_once((A(X, 1),), (A(X, 2),), (r(X, 1, 2),), (r(X, 2, 1),))),
    "a hole": (Anomaly.INCOMPATIBLE_ORDER, at_once((A(X, 1),), (A(X, 2),), (r(X, 1, 2),), (r(X, 2),))),
    "an element twice": (Anomaly.DUPLICATE, at_once((A(X, 1),), (r(X, 1, 1),))),
    "an element from nowhere": (Anomaly.GARBAGE, at_once((A(X, 1),), (r(X, 1, 7),))),
    "an own append not seen": (Anomaly.INTERNAL, at_once((A(X, 1), r(X)))),
    "two reads that differ": (Anomaly.INTERNAL, at_once((A(X, 1),), (r(X), r(X, 1)))),
    "an append between two reads not seen": (Anomaly.INTERNAL, at_once((r(X), A(X, 1), r(X)))),
    "an acknowledged append gone": (Anomaly.LOST_APPEND, one_after_the_other((A(X, 1),), (r(X),))),
}


@pytest.mark.parametrize("name", CASES)
def test_known_anomalies(name: str) -> None:
    anomaly, history = CASES[name]
    assert anomaly in kinds(history), [str(each) for each in judge(history).findings]


@pytest.mark.parametrize("name", CASES)
def test_only_write_skew_is_allowed(name: str) -> None:
    anomaly, history = CASES[name]
    assert bool(judge(history).forbidden) is (anomaly is not Anomaly.G2_ITEM)


@pytest.mark.parametrize("name", ["dirty write", "information in a circle", "read skew", "long fork", "write skew"])
def test_a_cycle_is_named_by_the_weakest_layer_that_has_it(name: str) -> None:
    anomaly, history = CASES[name]
    cycles = {Anomaly.G0, Anomaly.G1C, Anomaly.G_SINGLE, Anomaly.G_NONADJACENT, Anomaly.G2_ITEM}
    assert kinds(history) & cycles == {anomaly}


@pytest.mark.parametrize(
    "name", ["dirty write", "information in a wider circle", "read skew over a chain", "write skew"]
)
def test_no_cycle_without_one_of_its_transactions(name: str) -> None:
    """Each transaction of the cycle is needed: take any out, with what it wrote, and it is gone."""
    anomaly, history = CASES[name]
    (finding,) = judge(history).of(anomaly)
    for taken in finding.transactions:
        gone = {
            (step.key, step.element)
            for each in history
            if each.id == taken
            for step in each.steps
            if isinstance(step, A)
        }
        rest = [
            replace(each, steps=tuple(_without(step, gone) for step in each.steps))
            for each in history
            if each.id != taken
        ]
        assert judge(rest).of(anomaly) == []


def _without(step: Append | Read, gone: set[tuple[int, int]]) -> Append | Read:
    if isinstance(step, Append):
        return step
    return Read(step.key, tuple(element for element in step.elements if (step.key, element) not in gone))


def test_an_aborted_transaction_that_is_seen() -> None:
    history = at_once((A(X, 1),), (r(X, 1),))
    assert kinds([replace(history[0], outcome=Outcome.FAILED), history[1]]) == {Anomaly.G1A}


def test_an_unknown_outcome_may_be_either() -> None:
    unknown = ListTransaction(1, (A(X, 1), A(Y, 1)), Outcome.UNKNOWN, 0.0, NEVER)
    nothing, all_of_it = at_once((r(X), r(Y)), (r(X, 1), r(Y, 1)))
    assert judge([unknown, replace(nothing, id=2)]).findings == []
    assert judge([unknown, replace(all_of_it, id=2)]).findings == []


def test_an_unknown_update_that_nobody_saw_is_no_lost_update() -> None:
    unknown = ListTransaction(1, (r(X), A(X, 1)), Outcome.UNKNOWN, 0.0, NEVER)
    other = ListTransaction(2, (r(X), A(X, 2)), Outcome.OK, 0.0, 1.0)
    last = ListTransaction(3, (r(X, 2),), Outcome.OK, 2.0, 3.0)
    assert judge([unknown, other, last]).findings == []


def test_an_unknown_outcome_may_not_be_half() -> None:
    unknown = ListTransaction(1, (A(X, 1), A(Y, 1)), Outcome.UNKNOWN, 0.0, NEVER)
    (half,) = at_once((r(X, 1), r(Y)))
    other = ListTransaction(3, (r(Y, 1),), Outcome.OK, 0.0, 100.0)
    assert kinds([unknown, replace(half, id=2), other]) == {Anomaly.G_SINGLE}


def test_an_unknown_outcome_that_shows_late_is_no_anomaly() -> None:
    unknown = ListTransaction(1, (A(X, 1),), Outcome.UNKNOWN, 0.0, NEVER)
    early = ListTransaction(2, (r(X),), Outcome.OK, 5.0, 6.0)
    late = ListTransaction(3, (r(X, 1),), Outcome.OK, 7.0, 8.0)
    assert judge([unknown, early, late]).findings == []


def test_a_stale_read_shows_only_in_real_time() -> None:
    """The first read is of a time before an append that was acknowledged before it began."""
    history = one_after_the_other((A(X, 1),), (r(X),), (r(X, 1),))
    found = judge(history).findings
    assert {(each.anomaly, each.realtime) for each in found} == {(Anomaly.G_SINGLE, True)}
    assert judge(history, realtime=False).findings == []


def test_overlapping_transactions_have_no_real_time_order() -> None:
    history = one_after_the_other((A(X, 1),), (r(X),), (r(X, 1),))
    assert judge([replace(history[0], completed_s=1.2), *history[1:]]).findings == []


def test_causality_across_keys_in_real_time() -> None:
    """y was written after x was acknowledged; whoever sees y must see x."""
    history = one_after_the_other((A(X, 1),), (A(Y, 1),))
    reader = ListTransaction(3, (r(X), r(Y, 1)), Outcome.OK, 0.0, 10.0)
    last = ListTransaction(4, (r(X, 1), r(Y, 1)), Outcome.OK, 20.0, 21.0)
    assert kinds([*history, reader, last]) == {Anomaly.G_SINGLE}
    assert kinds([*history, reader, last], realtime=False) == set()


def test_writes_against_real_time() -> None:
    history = one_after_the_other((A(X, 1),), (A(X, 2),), (r(X, 2, 1),))
    found = judge(history).findings
    assert [(each.anomaly, each.realtime) for each in found] == [(Anomaly.G0, True)]
    assert judge(history, realtime=False).findings == []


def test_write_skew_does_not_hide_read_skew() -> None:
    skew = [replace(each, id=each.id + 10) for each in CASES["write skew"][1]]
    skew = [replace(each, steps=tuple(replace(step, key=step.key + 10) for step in each.steps)) for each in skew]
    assert kinds(CASES["read skew"][1] + skew) == {Anomaly.G_SINGLE, Anomaly.G2_ITEM}


# --- the twin -------------------------------------------------------------------------------------------------------

SCHEDULES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from(KEYS)), max_size=80)


def run(schedule: list[tuple[int, int, int]], fault: Fault = Fault.NONE, serial: bool = False) -> list[ListTransaction]:
    """Four clients, each with a transaction at a time; at the end everything is read."""
    database = ListDatabase(fault)
    running: dict[int, int] = {}
    ids = 0
    for client, what, key in schedule:
        client = 0 if serial else client
        if client not in running:
            ids += 1
            running[client] = ids
            database.begin(ids)
        elif what < 3:
            database.read(running[client], key)
        elif what < 5:
            database.append(running[client], key)
        elif what == 5:
            database.commit(running.pop(client))
        else:
            database.roll_back(running.pop(client))
    for id in running.values():
        database.commit(id)
    database.read_all(ids + 1, KEYS)
    return database.history


@given(SCHEDULES)
def test_serial_histories_are_clean(schedule: list[tuple[int, int, int]]) -> None:
    history = run(schedule, serial=True)
    assert judge(history).findings == []
    assert judge_snapshots(history) == []


@given(SCHEDULES)
def test_histories_under_snapshot_isolation_have_at_most_write_skew(schedule: list[tuple[int, int, int]]) -> None:
    history = run(schedule)
    assert [str(each) for each in judge(history).forbidden] == []
    assert judge_snapshots(history) == []


@given(SCHEDULES, st.randoms(use_true_random=False))
def test_forgetting_outcomes_accuses_nobody(schedule: list[tuple[int, int, int]], dice: random.Random) -> None:
    history = [
        replace(each, outcome=Outcome.UNKNOWN, completed_s=NEVER, commit_ts=0) if dice.random() < 0.3 else each
        for each in run(schedule)
    ]
    assert [str(each) for each in judge(history).forbidden] == []
    assert judge_snapshots(history) == []


EXPECTED = {
    Fault.NO_CONFLICT_CHECK: {Anomaly.LOST_UPDATE, Anomaly.LOST_APPEND, Anomaly.INCOMPATIBLE_ORDER},
    Fault.MOVING_SNAPSHOT: {Anomaly.G_SINGLE, Anomaly.INTERNAL},
    Fault.DIRTY_READS: {Anomaly.G1A, Anomaly.G1B, Anomaly.INTERNAL},
    Fault.STALE_SNAPSHOT: {Anomaly.G_SINGLE},
    Fault.HALF_COMMIT: {Anomaly.LOST_APPEND},
}


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_database_with_a_fault_is_found_out(fault: Fault) -> None:
    """Each fault shows in many random histories, under its own names, and the timestamps tell of it too."""
    dice = random.Random(fault.value)
    found: list[set[Anomaly]] = []
    contradicted = 0
    for _ in range(40):
        schedule = [(dice.randrange(4), dice.randrange(7), dice.choice(KEYS)) for _ in range(250)]
        history = run(schedule, fault)
        found.append({each.anomaly for each in judge(history).forbidden})
        contradicted += bool(judge_snapshots(history))
    assert set().union(*found) >= EXPECTED[fault]
    assert sum(bool(each) for each in found) > 10
    assert contradicted > 10


@given(SCHEDULES, st.data())
@settings(max_examples=60)
def test_a_planted_anomaly_is_found(schedule: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """A clean history, one thing in it changed."""
    history = run([*[(0, 0, X), (0, 3, X), (0, 3, Y), (0, 5, X)], *schedule], serial=True)
    writers = [each for each in history if each.appends() and each.outcome is Outcome.OK]
    victim = data.draw(st.sampled_from(writers))
    key, element = data.draw(st.sampled_from([(s.key, s.element) for s in victim.steps if isinstance(s, Append)]))
    plant = data.draw(st.sampled_from([_abort, _lose, _swap, _repeat]))
    changed, anomalies = plant(history, victim, key, element)
    assert judge(changed).kinds & anomalies


Planted = tuple[list[ListTransaction], set[Anomaly]]


def _abort(history: list[ListTransaction], victim: ListTransaction, key: int, element: int) -> Planted:
    """Its client was told that it failed."""
    changed = [replace(each, outcome=Outcome.FAILED) if each is victim else each for each in history]
    return changed, {Anomaly.G1A}


def _lose(history: list[ListTransaction], victim: ListTransaction, key: int, element: int) -> Planted:
    """Nobody sees the element, apart from its writer."""
    gone = {(key, element)}
    changed = [
        each if each is victim else replace(each, steps=tuple(_without(step, gone) for step in each.steps))
        for each in history
    ]
    return changed, {Anomaly.LOST_APPEND}


def _swap(history: list[ListTransaction], victim: ListTransaction, key: int, element: int) -> Planted:
    """The last reader sees the list backwards; one of a single element, empty."""
    last = history[-1]
    steps = tuple(
        Read(key, step.elements[::-1] if len(step.elements) > 1 else ()) if step.key == key else step
        for step in last.steps
    )
    return [*history[:-1], replace(last, steps=steps)], {
        Anomaly.INCOMPATIBLE_ORDER, Anomaly.LOST_APPEND, Anomaly.G0, Anomaly.G1B, Anomaly.G1C, Anomaly.G_SINGLE
    }  # fmt: skip


def _repeat(history: list[ListTransaction], victim: ListTransaction, key: int, element: int) -> Planted:
    """The last reader sees the element twice."""
    last = history[-1]
    steps = tuple(Read(key, (*step.elements, element)) if step.key == key else step for step in last.steps)
    return [*history[:-1], replace(last, steps=steps)], {Anomaly.DUPLICATE}
