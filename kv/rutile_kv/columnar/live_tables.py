"""`LiveTables`: which tables are read with what was written beside their bases (`live`), and what is known of each."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence

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


class LiveTables:
    """The tables that are followed, by their bases. Any thread may ask."""

    def __init__(self, few_rows: int = FEW_ROWS) -> None:
        """Tables of fewer rows are not followed."""
        self._few_rows = few_rows
        self._tables: OrderedDict[tuple[int, ...], tuple[tuple[weakref.ref[TableBase], ...], LiveTable]] = OrderedDict()
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
        key = tuple(id(stretch.base) for stretch in stretches)
        with self._mutex:
            refs, table = self._tables.get(key, ((), None))
            if table is None or any(ref() is not each.base for ref, each in zip(refs, stretches, strict=True)):
                table = LiveTable(stretches, schema)
                self._keep([stretch.base for stretch in stretches], table)
            self._tables.move_to_end(key)
            while len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)
            return table

    def _keep(self, bases: Sequence[TableBase], table: LiveTable) -> None:
        key = tuple(map(id, bases))
        self._tables[key] = tuple(weakref.ref(base, lambda gone: self._forget(key, gone)) for base in bases), table

    def _forget(self, key: tuple[int, ...], gone: weakref.ref[TableBase]) -> None:
        with self._mutex:
            refs, _ = self._tables.get(key, ((), None))
            if any(ref is gone for ref in refs):
                del self._tables[key]
