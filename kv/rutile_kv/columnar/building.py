"""Building a base: a table's whole part of a region, decoded once for everybody.

*All columns at once.* Most of the cost of a row is to pull it out of the engine and to see which of its versions
counts: of 1.1 microseconds for a row of TPC-H's lineitem, with three columns it is 0.9. So whoever builds a base
decodes the other columns of a narrow table too, and the next query, which wants others, finds them. Documents, large
objects and what is left of a wide table are decoded when they are asked for, and join the base.

*One builder.* Whoever wants a base that another is building waits for it (`Turns`), and looks again.

*No faster than the disk.* Bases that are not written yet are this process's own memory. When those of a budget are half
of it, the next is begun only when the keeper has written some (`ArrowCache.await_room`), or they would push each other
out before any of them is used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.rows import Check, RowScan, handles_of
from rutile_kv.columnar.sorted_keys import KeyRange, SortedKeys
from rutile_kv.engine.api import Reader
from rutile_kv.mvcc.bulk import visible_blocks
from rutile_proto.keys import storage_bound

HIDDEN_HANDLE_ID = -1
"""The hidden handle's place among column ids, which are positive."""
NARROW_ROW_BYTES = 1024
"""All columns of a table whose rows are likely to be no wider are decoded at once."""
LIKELY_TEXT_BYTES = 32
"""What a text is taken for."""
WAIT_SECONDS = 0.05
"""How often whoever waits looks whether it is still wanted."""
_SEPARATE = (Kind.BLOB, Kind.TEXT, Kind.JSON)
"""Never decoded without having been asked for."""


class Turns:
    """One builder at a time for a base. For any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[BaseKey] = set()

    @contextmanager
    def of(self, key: BaseKey, check: Check) -> Iterator[None]:
        """Be the one who builds the base of `key`. `check` is asked now and then while others are at it, and raises to
        give up."""
        with self._changed:
            while key in self._taken:
                self._changed.wait(WAIT_SECONDS)
                check(0)
            self._taken.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._taken.discard(key)
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to decode of a table."""

    schema: TableSchema
    wanted: tuple[str, ...]
    """The columns somebody waits for, and pays for in his memory limit."""
    beside: tuple[str, ...] = ()
    """Others."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.wanted + self.beside


def plan_build(schema: TableSchema, wanted: Sequence[str], base: TableBase | None) -> Plan:
    """What is missing in `base` of the columns `wanted`; if there is no base yet, what else goes into it."""
    if base is not None:
        missing = base.missing([column_id(schema, name) for name in wanted])
        return Plan(schema, tuple(name for name in wanted if column_id(schema, name) in missing))
    asked = {name.lower() for name in wanted}
    columns = [column for column in schema.columns if column.type.kind not in _SEPARATE]
    is_narrow = sum(likely_bytes(column.type) for column in columns) <= NARROW_ROW_BYTES
    beside = [column.name for column in columns if is_narrow and column.name.lower() not in asked]
    return Plan(schema, tuple(wanted), tuple(beside))


def likely_bytes(kind: ColumnType) -> int:
    """About what a value takes in Arrow."""
    if kind.is_variable or kind.is_enumerated:
        return LIKELY_TEXT_BYTES
    bits: int = kind.arrow_type.bit_width
    return bits // 8


def scan_for(plan: Plan, reader: Reader, whole: KeyRange, ts: int, check: Check) -> RowScan:
    """The rows of `whole` as of `ts` with the plan's columns. `check` is told the bytes of those that are wanted.

    Raises EngineCorrupt.
    """
    found, codec = RowScan(), RowCodec(plan.schema)
    for visible in visible_blocks(reader, storage_bound(whole[0]), storage_bound(whole[1]) or None, ts):
        found.max_commit_ts = max(found.max_commit_ts, visible.newest_ts)
        if len(visible):
            handles = handles_of(visible.keys) if HIDDEN_HANDLE in plan.wanted else None
            batch = codec.decode_bytes(visible.parts, handles, plan.names)
            check(batch.select(list(plan.wanted)).nbytes)
            found.batches.append(batch)
            found.keys.append(visible.keys)
    return found


def base_of(scan: RowScan, plan: Plan, index: int) -> TableBase:
    """What a scan of a table's whole part of a region found; one empty chunk if that was nothing."""
    empty = pa.RecordBatch.from_pylist([], schema=plan.schema.arrow_schema(plan.names))
    batches: list[pa.RecordBatch] = scan.batches or [empty]
    keys: list[SortedKeys] = scan.keys or [[]]
    ids = [column_id(plan.schema, name) for name in plan.names]
    columns = {wanted: tuple(batch.column(position) for batch in batches) for position, wanted in enumerate(ids)}
    return TableBase(index, scan.max_commit_ts, tuple(keys), columns, plan.schema)


def with_handles(base: TableBase) -> TableBase:
    """The base with the hidden handles, which are in its keys."""
    handles = tuple(pa.array(handles_of(keys) if len(keys) else [], pa.int64()) for keys in base.keys)
    return replace(base, columns={**base.columns, HIDDEN_HANDLE_ID: handles}, zones={**base.zones})


def column_id(schema: TableSchema, name: str) -> int:
    """Under which id a base has a column."""
    return HIDDEN_HANDLE_ID if name == HIDDEN_HANDLE else schema.column(name).id


def column_names(schema: TableSchema, column_ids: Sequence[int]) -> list[str]:
    """The names of columns; an id that is no column's is the hidden handle's."""
    name_of = {column.id: column.name for column in schema.columns}
    return [name_of.get(each, HIDDEN_HANDLE) for each in column_ids]
