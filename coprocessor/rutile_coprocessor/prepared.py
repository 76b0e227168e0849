"""Cursors that know a fragment's relations and have its plan made, for the next run over relations of the same shape.

Registering relations and planning take 2 to 10 ms of one thread, as long as many a query runs. So a cursor whose run
has ended well is kept, by its text and by the shape of its sources; the second run of these prepares the statement
there, later ones only execute it, whatever rows the sources have by then (`stand_in`). A cursor that waits keeps none.
What DuckDB is told of the rows is part of the statement, so it is told each time, and where that changed, the statement
is prepared anew. DuckDB holds back the whole result of a prepared statement, so only those of few rows are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import duckdb

from rutile_coprocessor.scan_sizes import Told
from rutile_coprocessor.scan_source import ScanSource, Shape
from rutile_coprocessor.stand_in import StandIn

MAX_STATEMENTS = 128
"""Texts kept; those used least recently go."""
MAX_IDLE = 2
"""Cursors kept of one text."""
FEW_ROWS = 10_000
"""A result of more rows had better be made as it is read."""
_NAME = "fragment"

Key: TypeAlias = tuple[str, tuple[tuple[str, Shape], ...]]
"""A text, and the shape of each relation."""
Tell: TypeAlias = Callable[[duckdb.DuckDBPyConnection, str], Told]
"""Gives a text with the same answer over the relations a cursor has, but with what is known of them (`scan_sizes`)."""


@dataclass(slots=True)
class Planned:
    """A cursor with its relations registered, that only one run uses at a time."""

    cursor: duckdb.DuckDBPyConnection
    text: str
    relations: Mapping[str, StandIn]
    is_used: bool = False
    """Whether it has served a run."""
    prepared: str | None = None
    """The statement that has its plan here."""
    note: str = ""
    """What the statement tells DuckDB of its relations."""

    def read(self, sources: Mapping[str, ScanSource]) -> None:
        """The next run is over these sources."""
        for name, source in sources.items():
            self.relations[name].stand_for(source.table)

    def leave(self) -> None:
        """Keep no rows."""
        for stand_in in self.relations.values():
            stand_in.leave()

    def statement(self, tell: Tell) -> str:
        """What to run. May take the time of counting rows and planning; raises duckdb.Error."""
        told = tell(self.cursor, self.text)
        self.note = told.note
        if not self.is_used:
            self.is_used = True
            return told.text
        if self.prepared != told.text:
            self.prepared = None
            self.cursor.execute(f"PREPARE {_NAME} AS {told.text}")
            self.prepared = told.text
        return f"EXECUTE {_NAME}"


class PlannedCursors:
    """Any thread may ask."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Key, list[Planned]] = OrderedDict()
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, text: str, sources: Mapping[str, ScanSource]) -> Planned | None:
        """A cursor that has run this text over sources like these, reading these; the caller's until given back."""
        with self._mutex:
            idle = self._idle.get(_key(text, sources))
            planned = idle.pop() if idle else None
        if planned is not None:
            planned.read(sources)
        return planned

    def give(self, sources: Mapping[str, ScanSource], planned: Planned, rows_out: int) -> None:
        """Keep a cursor whose run over `sources` has ended well, or close it."""
        key = _key(planned.text, sources)
        planned.leave()
        gone = [planned]
        with self._mutex:
            if rows_out <= FEW_ROWS and len(self._idle.get(key, ())) < MAX_IDLE:
                self._idle.setdefault(key, []).append(planned)
                self._idle.move_to_end(key)
                gone = self._idle.popitem(last=False)[1] if len(self._idle) > MAX_STATEMENTS else []
        for each in gone:
            each.cursor.close()

    def clear(self) -> None:
        """Close all that are idle."""
        with self._mutex:
            idle = [planned for each in self._idle.values() for planned in each]
            self._idle.clear()
        for planned in idle:
            planned.cursor.close()


def _key(text: str, sources: Mapping[str, ScanSource]) -> Key:
    return text, tuple((name, source.shape) for name, source in sources.items())
