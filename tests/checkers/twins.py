"""Databases that are obviously right, and the same with one known fault: they write histories for the checkers.

`ListDatabase` keeps all versions of all lists and gives snapshot isolation in the plainest way: a transaction reads as
of its start, and commits if nobody has committed to its keys since. A `Fault` takes one of its promises away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from checkers.histories import Append, ListTransaction, Outcome, Read


class Fault(Enum):
    """What a database may forget to do."""

    NONE = auto()
    NO_CONFLICT_CHECK = auto()
    """The last committer wins: updates are lost."""
    MOVING_SNAPSHOT = auto()
    """Each read sees what is committed by then: read committed."""
    DIRTY_READS = auto()
    """Reads see what running transactions have written."""
    STALE_SNAPSHOT = auto()
    """Snapshots lag behind what was acknowledged."""
    HALF_COMMIT = auto()
    """A commit forgets all keys but the first."""


@dataclass
class _Running:
    id: int
    began: int
    snapshot: int
    steps: list[Append | Read] = field(default_factory=list)
    lists: dict[int, tuple[int, ...]] = field(default_factory=dict)


class ListDatabase:
    """Its clock ticks with every call, so each call has a moment of its own. Lists are replaced as a whole, as a client
    of a key-value store has to."""

    def __init__(self, fault: Fault = Fault.NONE) -> None:
        self.history: list[ListTransaction] = []
        self._fault = fault
        self._now = 0
        self._versions: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        self._running: dict[int, _Running] = {}
        self._elements = 0

    def begin(self, id: int) -> None:
        now = self._tick()
        lag = 12 if self._fault is Fault.STALE_SNAPSHOT else 0
        self._running[id] = _Running(id, now, max(0, now - lag))

    def read(self, id: int, key: int) -> None:
        transaction = self._running[id]
        transaction.steps.append(Read(key, self._list_of(transaction, key)))

    def append(self, id: int, key: int) -> None:
        """Reads the list first, as a client has to; that read is not in the history."""
        transaction = self._running[id]
        self._elements += 1
        transaction.lists[key] = (*self._list_of(transaction, key), self._elements)
        transaction.steps.append(Append(key, self._elements))

    def commit(self, id: int) -> None:
        transaction = self._running.pop(id)
        now = self._tick()
        conflict = any(
            version > transaction.snapshot for key in transaction.lists for version, _ in self._versions.get(key, ())
        )
        if conflict and self._fault is not Fault.NO_CONFLICT_CHECK:
            self._note(transaction, Outcome.FAILED, 0)
            return
        kept = 1 if self._fault is Fault.HALF_COMMIT else len(transaction.lists)
        for key in sorted(transaction.lists)[:kept]:
            self._versions.setdefault(key, []).append((now, transaction.lists[key]))
        self._note(transaction, Outcome.OK, now if transaction.lists else transaction.snapshot)

    def roll_back(self, id: int) -> None:
        self._note(self._running.pop(id), Outcome.FAILED, 0)

    def read_all(self, id: int, keys: Sequence[int]) -> None:
        """A last transaction that reads everything."""
        self.begin(id)
        self._running[id].snapshot = self._now
        for key in keys:
            self.read(id, key)
        self.commit(id)

    def _list_of(self, transaction: _Running, key: int) -> tuple[int, ...]:
        if key in transaction.lists:
            return transaction.lists[key]
        if self._fault is Fault.DIRTY_READS:
            for other in self._running.values():
                if key in other.lists:
                    return other.lists[key]
        upto = self._now if self._fault is Fault.MOVING_SNAPSHOT else transaction.snapshot
        return next((value for at, value in reversed(self._versions.get(key, [])) if at <= upto), ())

    def _tick(self) -> int:
        self._now += 1
        return self._now

    def _note(self, transaction: _Running, outcome: Outcome, commit_ts: int) -> None:
        ended = self._tick()
        self.history.append(
            ListTransaction(
                transaction.id,
                tuple(transaction.steps),
                outcome,
                transaction.began,
                ended,
                transaction.snapshot,
                commit_ts,
            )
        )
