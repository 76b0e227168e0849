"""`LiveTables`: which tables are read with what was written beside their bases (`live`), and what is known of each."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from rutile_coprocessor.schema import TableSchema
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.live import LiveRows, LiveTable, Stretch
from rutile_kv.columnar.rows import Check

FEW_ROWS = 131_072
"""Tables of fewer rows are read as bases with the delta laid over them."""
MOST_ADDED = 8
"""Of a delta with more entries than one for so many rows of the bases, the next bases had better be made."""
MAX_TABLES = 64
"""Followed at a time; the one read least recently goes."""

_Followed: TypeAlias = tuple[tuple[weakref.ref[TableBase], ...], LiveTable]


class LiveTables:
    """The tables that are followed, by their bases. Any thread may ask."""

    def __init__(self, few_rows: int = FEW_ROWS) -> None:
        """Tables of fewer rows are not followed."""
        self._few_rows = few_rows
        self._tables: OrderedDict[tuple[int, ...], _Followed] = OrderedDict()
        self._mutex = threading.RLock()  # a base's end may be noticed while this is held

    def __len__(self) -> int:
        return len(self._tables)

    def rows(self, stretches: Sequence[Stretch], schema: TableSchema, ts: int, check: Check) -> LiveRows | None:
        """What a reader sees, who may use all the bases; None if there is a better way."""
        count = sum(stretch.base.row_count for stretch in stretches)
        changes = sum(len(stretch.delta) for stretch in stretches)
        if count < self._few_rows or changes * MOST_ADDED > count:
            return None
        return self._table(stretches, schema).rows(stretches, ts, check)

    def tables(self) -> list[LiveTable]:
        """What is followed; of a table of which several generations of bases are, what was read last."""
        with self._mutex:
            return list({table.keys: table for _, table in self._tables.values()}.values())

    def forget(self, table: LiveTable) -> None:
        """Its bases are of no use any more."""
        with self._mutex:
            for key in [key for key, (_, each) in self._tables.items() if each is table]:
                del self._tables[key]

    def moved(self, old: TableBase, new: TableBase) -> None:
        """What is known of `old` counts for `new`, which has the same rows and columns."""
        with self._mutex:
            for key in [key for key in self._tables if id(old) in key]:
                refs, table = self._tables.pop(key)
                bases = [new if ref() is old else ref() for ref in refs]
                known = [base for base in bases if base is not None]
                if len(known) == len(refs):
                    self._keep(known, table)

    def clear(self) -> None:
        with self._mutex:
            self._tables.clear()

    def _table(self, stretches: Sequence[Stretch], schema: TableSchema) -> LiveTable:
        found, before = self._find(stretches)
        if found is not None:
            return found
        table = LiveTable(stretches, schema) if before is None else _going_on(*before, stretches)
        with self._mutex:
            self._keep([stretch.base for stretch in stretches], table)
            while len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)
        return table

    def _find(self, stretches: Sequence[Stretch]) -> tuple[LiveTable | None, _Followed | None]:
        """The table over these very bases, or else one of the same regions, some of whose bases are others now."""
        key, keys = tuple(id(stretch.base) for stretch in stretches), tuple(stretch.key for stretch in stretches)
        with self._mutex:
            refs, table = self._tables.get(key, ((), None))
            if table is not None and not _changed(refs, stretches):
                self._tables.move_to_end(key)
                return table, None
            return None, next((each for each in reversed(self._tables.values()) if each[1].keys == keys), None)

    def _keep(self, bases: Sequence[TableBase], table: LiveTable) -> None:
        key = tuple(map(id, bases))
        self._tables[key] = tuple(weakref.ref(base, lambda gone: self._forget(key, gone)) for base in bases), table

    def _forget(self, key: tuple[int, ...], gone: weakref.ref[TableBase]) -> None:
        with self._mutex:
            refs, _ = self._tables.get(key, ((), None))
            if any(ref is gone for ref in refs):
                del self._tables[key]


def _changed(refs: Sequence[weakref.ref[TableBase]], stretches: Sequence[Stretch]) -> list[int]:
    """The numbers of the bases that are others now."""
    pairs = enumerate(zip(refs, stretches, strict=True))
    return [part for part, (ref, stretch) in pairs if ref() is not stretch.base]


def _going_on(refs: Sequence[weakref.ref[TableBase]], table: LiveTable, stretches: Sequence[Stretch]) -> LiveTable:
    """Not while the tables' mutex is held: whoever reads `table` may be told of a base's end."""
    return table.with_bases(stretches, _changed(refs, stretches))
