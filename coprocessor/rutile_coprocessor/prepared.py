"""Cursors that know a fragment's relations and have its plan made, for the next run over the very same relations.

Registering relations and planning take 2 to 10 ms of one thread, as long as many a query runs. So a cursor whose run
has ended well is kept, by its text and by the identity of its sources; the second run of these prepares the statement
there, later ones only execute it. What a cursor was given it can only be used with, and it goes when a source goes,
which it never keeps. DuckDB holds back the whole result of a prepared statement, so only those of few rows are kept.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import duckdb

from rutile_coprocessor.scan_sizes import Told
from rutile_coprocessor.scan_source import ScanSource

MAX_STATEMENTS = 128
"""Texts kept; those used least recently go."""
MAX_IDLE = 2
"""Cursors kept of one text."""
FEW_ROWS = 10_000
"""A result of more rows had better be made as it is read."""
_NAME = "fragment"

Key: TypeAlias = tuple[str, tuple[tuple[str, int], ...]]
"""A text, and the identity of the source of each relation."""
Tell: TypeAlias = Callable[[duckdb.DuckDBPyConnection, str], Told]
"""Gives a text with the same answer over the relations a cursor has, but with what is known of them (`scan_sizes`)."""


@dataclass(slots=True)
class _Idle:
    sources: tuple[weakref.ref[ScanSource], ...]
    cursors: list[Planned] = field(default_factory=list)


@dataclass(slots=True)
class Planned:
    """A cursor with its relations registered, that only one run uses at a time."""

    cursor: duckdb.DuckDBPyConnection
    text: str
    is_used: bool = False
    """Whether it has served a run."""
    is_prepared: bool = False
    note: str = ""
    """What the statement tells DuckDB of its relations."""

    def statement(self, tell: Tell) -> str:
        """What to run. May take the time of counting rows and planning; raises duckdb.Error."""
        if self.is_prepared:
            return f"EXECUTE {_NAME}"
        told = tell(self.cursor, self.text)
        if self.is_used:
            self.cursor.execute(f"PREPARE {_NAME} AS {told.text}")
            self.is_prepared = True
        self.is_used, self.note = True, told.note
        return f"EXECUTE {_NAME}" if self.is_prepared else told.text


class PlannedCursors:
    """Any thread may ask."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Key, _Idle] = OrderedDict()
        self._mutex = threading.RLock()  # a source's end may be noticed while this is held

    def __len__(self) -> int:
        return sum(len(each.cursors) for each in self._idle.values())

    def take(self, text: str, sources: Mapping[str, ScanSource]) -> Planned | None:
        """A cursor that has run this text over these sources before; it is the caller's until given back."""
        key = _key(text, sources)
        with self._mutex:
            idle = self._idle.get(key)
            if idle is None or not idle.cursors or not _are(idle, sources):
                return None
            self._idle.move_to_end(key)
            return idle.cursors.pop()

    def give(self, sources: Mapping[str, ScanSource], planned: Planned, rows_out: int) -> None:
        """Keep a cursor whose run over `sources` has ended well, or close it."""
        key = _key(planned.text, sources)
        with self._mutex:
            idle = self._idle.get(key)
            if rows_out > FEW_ROWS or (idle is not None and len(idle.cursors) >= MAX_IDLE):
                planned.cursor.close()
                return
            if idle is None or not _are(idle, sources):
                refs = tuple(weakref.ref(each, lambda gone: self._forget(key, gone)) for each in sources.values())
                idle = self._idle[key] = _Idle(refs)
            idle.cursors.append(planned)
            self._idle.move_to_end(key)
            while len(self._idle) > MAX_STATEMENTS:
                _close(self._idle.popitem(last=False)[1])

    def clear(self) -> None:
        """Close all that are idle."""
        with self._mutex:
            while self._idle:
                _close(self._idle.popitem()[1])

    def _forget(self, key: Key, gone: weakref.ref[ScanSource]) -> None:
        with self._mutex:
            idle = self._idle.get(key)
            if idle is not None and any(ref is gone for ref in idle.sources):
                _close(self._idle.pop(key))


def _key(text: str, sources: Mapping[str, ScanSource]) -> Key:
    return text, tuple((name, id(source)) for name, source in sources.items())


def _are(idle: _Idle, sources: Mapping[str, ScanSource]) -> bool:
    """Whether these are the sources themselves, and not others in their place in memory."""
    return all(ref() is source for ref, source in zip(idle.sources, sources.values(), strict=True))


def _close(idle: _Idle) -> None:
    for planned in idle.cursors:
        planned.cursor.close()
