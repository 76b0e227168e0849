"""What clients saw: the histories that the checkers judge.

A client notes when it began an operation, what it did, when it ended and how. Times are of one clock (seconds of
`time.monotonic()`); that a client may be slow to note them only makes intervals longer, which never accuses anybody
wrongly. An operation whose answer was lost may have happened at any time since, or may yet, or never.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

NEVER = math.inf
"""When an operation ended that nobody heard the end of."""


class Outcome(Enum):
    """What the client was told."""

    OK = auto()
    FAILED = auto()
    """It did not happen, and never will."""
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Append:
    """One element put to the end of a list. No element is appended to the same key twice."""

    key: int
    element: int


@dataclass(frozen=True, slots=True)
class Read:
    """A whole list, as it was found."""

    key: int
    elements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ListTransaction:
    """A transaction over lists, its steps in program order."""

    id: int
    steps: tuple[Append | Read, ...]
    outcome: Outcome = Outcome.OK
    invoked_s: float = 0.0
    completed_s: float = NEVER
    start_ts: int = 0
    """What it read at, 0 if the client does not know."""
    commit_ts: int = 0
    """Where its appends became visible, 0 if the client does not know."""

    def appends(self) -> dict[int, list[int]]:
        """The elements appended, by key."""
        found: dict[int, list[int]] = {}
        for step in self.steps:
            if isinstance(step, Append):
                found.setdefault(step.key, []).append(step.element)
        return found


@dataclass(frozen=True, slots=True)
class Write:
    """A register is set."""

    value: int


@dataclass(frozen=True, slots=True)
class Look:
    """A register is read."""

    value: int | None


@dataclass(frozen=True, slots=True)
class Swap:
    """A register is set, because it held `expected`. One that was refused is a `Look` at what it held instead."""

    expected: int | None
    value: int


@dataclass(frozen=True, slots=True)
class RegisterCall:
    """One operation on one register."""

    register: int
    action: Write | Look | Swap
    invoked_s: float
    completed_s: float = NEVER
    outcome: Outcome = Outcome.OK


Event = TypeVar("Event")


@dataclass
class Recorder(Generic[Event]):
    """Collects events from many threads."""

    events: list[Event] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last_id: int = 0

    def note(self, event: Event) -> None:
        """Add one event."""
        with self._lock:
            self.events.append(event)

    def next_id(self) -> int:
        """A number nobody else gets."""
        with self._lock:
            self._last_id += 1
            return self._last_id
