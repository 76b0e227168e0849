"""The bank: money moves between accounts, so every snapshot must hold the same total."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """All balances of one snapshot, and when its client had asked for it."""

    balances: Mapping[int, int]
    invoked_s: float = 0.0


def judge_bank(readings: Iterable[Reading], accounts: Collection[int], total: int) -> list[str]:
    """What is wrong with the readings: accounts missing or unheard of, money made or lost, overdrafts."""
    return [
        f"at {reading.invoked_s:.6f}: {problem}"
        for reading in readings
        for problem in _problems(reading.balances, accounts, total)
    ]


def _problems(balances: Mapping[int, int], accounts: Collection[int], total: int) -> list[str]:
    problems = []
    if sorted(balances) != sorted(accounts):
        problems.append(f"accounts {sorted(balances)} instead of {sorted(accounts)}")
    if sum(balances.values()) != total:
        problems.append(f"a total of {sum(balances.values())} instead of {total}")
    overdrawn = sorted(account for account, balance in balances.items() if balance < 0)
    if overdrawn:
        problems.append(f"accounts {overdrawn} are overdrawn")
    return problems
