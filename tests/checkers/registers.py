"""Linearizability of registers: is there one moment inside each operation's interval at which it happened?

Registers are judged one by one (linearizability is local, Herlihy and Wing 1990). The search is Wing and Gong's with
Lowe's memo, in the order of the events ("just in time"): a *configuration* is what the register may hold now, and which
of the operations under way have already happened. An operation that begins joins those under way. When one ends, every
configuration is carried on by letting operations under way happen until the ended one has; those in which it cannot
have happened are dropped. Equal configurations are one, which keeps their number small. None left: not linearizable,
and the operation that just ended is where it shows.

A write of unknown outcome stays under way for ever: it may happen late, or not at all. That would make configurations
pile up, so what is certain is used first: a write whose value nobody has seen is as good as not there, and the only
write of a value that was seen happened before the first operation that saw it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from checkers.histories import NEVER, Look, Outcome, RegisterCall, Swap, Write

MAX_CONFIGURATIONS = 200_000
"""A history that needs more is too tangled to be judged; the checker says so instead of running for hours."""

Configuration: TypeAlias = tuple[int | None, frozenset[int]]
"""The register's value, and which operations under way have happened."""


class TooTangled(Exception):
    """Too many configurations."""


@dataclass(frozen=True, slots=True)
class NotLinearizable:
    """No order explains this operation; `possible` is what the register may have held just before it ended."""

    call: RegisterCall
    possible: tuple[int | None, ...]

    def __str__(self) -> str:
        interval = f"[{self.call.invoked_s:.6f}, {self.call.completed_s:.6f}]"
        return f"register {self.call.register}: {self.call.action} in {interval}, when it held {self.possible}"


def judge_registers(history: Iterable[RegisterCall], initial: int | None = None) -> list[NotLinearizable]:
    """The first operation of each register that nothing explains. TooTangled if that cannot be found out."""
    by_register: dict[int, list[RegisterCall]] = {}
    for call in history:
        by_register.setdefault(call.register, []).append(call)
    verdicts = [_judge(calls, initial) for _, calls in sorted(by_register.items())]
    return [verdict for verdict in verdicts if verdict is not None]


def _judge(calls: Sequence[RegisterCall], initial: int | None) -> NotLinearizable | None:
    calls = _only_what_matters(calls, initial)
    moments = [(call.invoked_s, 0, at) for at, call in enumerate(calls)]  # a tie counts as overlapping
    moments += [(call.completed_s, 1, at) for at, call in enumerate(calls) if call.completed_s < NEVER]
    under_way: dict[int, RegisterCall] = {}
    configurations: set[Configuration] = {(initial, frozenset())}
    for _, ends, at in sorted(moments):
        if not ends:
            under_way[at] = calls[at]
            continue
        after = _let_happen(at, under_way, configurations)
        if not after:
            return NotLinearizable(calls[at], tuple(sorted({value for value, _ in configurations}, key=str)))
        del under_way[at]
        configurations = {(value, happened - {at}) for value, happened in after}
    return None


def _let_happen(
    wanted: int, under_way: dict[int, RegisterCall], configurations: set[Configuration]
) -> set[Configuration]:
    """All ways on to where `wanted` has happened, and nothing after it: that may happen later as well."""
    reached: set[Configuration] = set()
    seen = set(configurations)
    left = list(configurations)
    while left:
        value, happened = left.pop()
        if wanted in happened:
            reached.add((value, happened))
            continue
        for at, call in under_way.items():
            if at in happened:
                continue
            for following in _effects(call, value):
                configuration = (following, happened | {at})
                if configuration not in seen:
                    seen.add(configuration)
                    left.append(configuration)
        if len(seen) > MAX_CONFIGURATIONS:
            raise TooTangled(f"{len(seen)} configurations, {len(under_way)} operations under way")
    return reached


def _effects(call: RegisterCall, value: int | None) -> list[int | None]:
    """What the register holds if the operation happens now; nothing if it cannot have happened now."""
    match call.action:
        case Write(written):
            return [written]
        case Look(found):
            return [value] if found == value else []
        case Swap(expected, new):
            return [new] if value == expected else []


def _only_what_matters(calls: Sequence[RegisterCall], initial: int | None) -> list[RegisterCall]:
    """Without what failed, reads nobody heard the answer of, and unknown writes that left no trace."""
    seen: dict[int | None, float] = {}
    writers: dict[int, int] = {}
    for call in calls:
        for value in _witnessed(call):
            seen[value] = min(seen.get(value, NEVER), call.completed_s)
        if isinstance(call.action, Write | Swap) and call.outcome is not Outcome.FAILED:
            writers[call.action.value] = writers.get(call.action.value, 0) + 1
    kept = []
    for call in calls:
        if call.outcome is Outcome.OK:
            kept.append(call)
        elif call.outcome is Outcome.UNKNOWN and not isinstance(call.action, Look) and call.action.value in seen:
            sole = writers[call.action.value] == 1 and call.action.value != initial
            kept.append(replace(call, completed_s=seen[call.action.value] if sole else NEVER))
    return kept


def _witnessed(call: RegisterCall) -> list[int | None]:
    """Values that the register held before this operation ended, by what its client was told."""
    if call.outcome is not Outcome.OK:
        # A swap of unknown outcome that did happen would be a witness too; assume it, for dropping writes only.
        return [call.action.expected] if isinstance(call.action, Swap) and call.outcome is Outcome.UNKNOWN else []
    match call.action:
        case Look(found):
            return [found]
        case Swap(expected):
            return [expected]
    return []
