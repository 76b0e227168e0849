"""The bank's checker, and the one of snapshots by timestamps, on readings made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from checkers.bank import Reading, judge_bank
from checkers.histories import NEVER, Append, ListTransaction, Outcome, Read
from checkers.snapshots import judge_snapshots


@pytest.mark.parametrize(
    "balances, problem",
    [
        ({1: 60, 2: 40}, None),
        ({1: 100, 2: 0}, None),
        ({1: 60, 2: 41}, "a total of 101"),
        ({1: 59, 2: 40}, "a total of 99"),
        ({1: 100}, "accounts [1]"),
        ({1: 50, 2: 25, 3: 25}, "accounts [1, 2, 3]"),
        ({1: 101, 2: -1}, "accounts [2] are overdrawn"),
    ],
)
def test_bank(balances: dict[int, int], problem: str | None) -> None:
    problems = judge_bank([Reading({1: 50, 2: 50}), Reading(balances)], [1, 2], 100)
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


def clean() -> list[ListTransaction]:
    """One writes 1 and 2; one reads both; one appends after it."""
    return [
        ListTransaction(1, (Append(0, 1), Append(1, 2)), Outcome.OK, 0, 1, start_ts=10, commit_ts=20),
        ListTransaction(2, (Read(0, (1,)), Read(1, (2,))), Outcome.OK, 2, 3, start_ts=20, commit_ts=20),
        ListTransaction(3, (Read(0, (1,)), Append(0, 3)), Outcome.OK, 4, 5, start_ts=30, commit_ts=40),
        ListTransaction(4, (Read(0, (1,)),), Outcome.OK, 4, 5, start_ts=39, commit_ts=39),
        ListTransaction(5, (Read(0, (1, 3)), Read(1, (2,))), Outcome.OK, 6, 7, start_ts=50, commit_ts=50),
    ]


def test_clean_snapshots() -> None:
    assert judge_snapshots(clean()) == []


@pytest.mark.parametrize(
    "at, change, problem",
    [
        (1, {"steps": (Read(0, ()), Read(1, (2,)))}, "2 at 20 read [] at key 0 instead of [1]"),
        (1, {"steps": (Read(0, (1, 3)), Read(1, (2,)))}, "2 at 20 read [1, 3] at key 0 instead of [1]"),
        (3, {"steps": (Read(0, (1, 3)),)}, "4 at 39 read [1, 3] at key 0 instead of [1]"),
        (4, {"steps": (Read(0, (3, 1)),)}, "5 at 50 read [3, 1] at key 0 instead of [1, 3]"),
        (2, {"start_ts": 19, "steps": (Append(0, 3),)}, "3 began at 19, before 1 wrote key 0"),
        (1, {"start_ts": 19, "steps": ()}, "2 began at 19, after something was acknowledged at 20"),
    ],
)
def test_contradictions(at: int, change: dict[str, object], problem: str) -> None:
    history = clean()
    history[at] = replace(history[at], **change)  # type: ignore[arg-type]
    assert problem in judge_snapshots(history)


def test_unknown_commits_are_left_to_the_graph() -> None:
    lost = ListTransaction(6, (Append(0, 9),), Outcome.UNKNOWN, 5, NEVER, start_ts=45)
    seen = ListTransaction(7, (Read(0, (1, 3, 9)),), Outcome.OK, 8, 9, start_ts=60, commit_ts=60)
    assert judge_snapshots([*clean(), lost, seen]) == []
    assert judge_snapshots([*clean(), lost]) == []
