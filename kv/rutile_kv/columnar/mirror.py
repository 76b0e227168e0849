"""`MirrorReader`: a table's rows in one region, from a base and its delta where that is right, else from the row store.

The chapter (`rutile_kv.columnar`) says when it is right. A base is built (`building`) by the first read that wants the
table's whole part of the region; reads of small ranges are served from one if it is there, and never build one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from rutile_coprocessor.pruning import Use
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.building import base_of, column_id, column_names, plan_build, scan_for, with_handles
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.overlay import Overlay, lay_over, overlay_of, touched_chunks
from rutile_kv.columnar.pins import Held, RegionPin
from rutile_kv.columnar.rows import Check, handles_of, read_rows
from rutile_kv.columnar.sorted_keys import KeyRange
from rutile_kv.engine.api import Reader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import table_range, user_bound

ENTRY_COST_BYTES = 4096
"""What a record of the delta costs a read, in bytes copied in the same time."""
FOREVER = (1 << 64) - 1
"""A timestamp above all."""

Path = Literal["rows", "mirror", "mirror+delta"]


@dataclass(frozen=True, slots=True)
class RegionData:
    """One region as of one moment: what to read, and what the mirror had of it then."""

    region: metapb.Region
    reader: Reader
    pin: RegionPin | None
    """Taken together with the reader; None when the mirror is not to be used."""


@dataclass(frozen=True, slots=True)
class TableRead:
    """Batches in key order, and what they cost."""

    batches: list[pa.RecordBatch]
    rows_decoded: int
    """Rows that had to be decoded, from the row store or the delta."""
    path: Path
    chunks: int = 0
    """Chunks of the mirror that the ranges may have met."""
    chunks_pruned: int = 0
    """Those of them that were left out because no row in them can meet the request's bounds."""
    base: TableBase | None = None
    """Set if the batches are whole chunks of this base, those numbered `whole`."""
    whole: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What to read of a table: at least one column, by name; ranges of user keys, disjoint and ascending."""

    schema: TableSchema
    columns: tuple[str, ...]
    ranges: Sequence[KeyRange]
    ts: int
    uses: Sequence[Use] = ()
    """What is wanted of the rows, if it is not all; others may be among those that are read."""

    @property
    def arrow_schema(self) -> pa.Schema:
        return self.schema.arrow_schema(self.columns)

    @property
    def column_ids(self) -> list[int]:
        return [column_id(self.schema, name) for name in self.columns]


class MirrorReader:
    """Reads tables of regions. Used by several worker threads at once; the cache does the locking."""

    def __init__(self, cache: ArrowCache | None, *, keeps: bool = True) -> None:
        """Reads that do not keep what they made of the delta leave it to `fold`."""
        self._cache = cache
        self._keeps = keeps

    def read(self, data: RegionData, request: TableRequest, check: Check) -> TableRead:
        """The rows of `request` in the region. The caller has checked the locks of its ranges at its timestamp.

        `check` is told the bytes of what is decoded or copied and raises to give up. Raises EngineCorrupt.
        """
        if self._cache is None or data.pin is None:
            return _from_rows(data, request, check)
        whole = part_of_region(request.schema.table_id, data.region)
        return _Reading(self._cache, data, data.pin, request, whole, check, self._keeps).run()

    def held(self, data: RegionData, request: TableRequest, check: Check) -> Held | None:
        """A base that has what `request` asks for, if there is one, and what was committed after it."""
        if self._cache is None or data.pin is None:
            return None
        key = _base_key(data, request)
        held = self._cache.find(key, data.pin, request.ts)
        if held is None or request.ts < held.base.max_commit_ts or held.base.missing(request.column_ids):
            return None
        ready = held.base.with_columns(request.column_ids)
        if ready is held.base:
            return held
        check(ready.size_beside(held.base))
        return Held(self._cache.put(key, ready, data.pin), held.delta)

    def charge(self, data: RegionData, request: TableRequest, cost_bytes: int) -> None:
        """What a reader paid, in bytes copied in the same time, for reading a base with what was committed after it."""
        if self._cache is not None:
            self._cache.charge(_base_key(data, request), cost_bytes)

    def fold(self, key: BaseKey, data: RegionData, check: Check) -> bool:
        """Make the delta of `key` a part of its base, with all its columns; False if there is no such base any more.

        Nothing but what is committed goes in, and all of it: whoever reads below it uses the base before it.
        """
        held = None if self._cache is None or data.pin is None else self._cache.find(key, data.pin, FOREVER)
        if self._cache is None or data.pin is None or held is None:
            return False
        schema, whole = held.base.schema, part_of_region(key.table_id, data.region)
        request = TableRequest(schema, tuple(column_names(schema, held.base.column_ids)), [whole], FOREVER)
        return _Reading(self._cache, data, data.pin, request, whole, check, keeps=True).run().path != "rows"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One read of one table in one region, with all that its steps want to know."""

    cache: ArrowCache
    data: RegionData
    pin: RegionPin
    request: TableRequest
    whole: KeyRange
    """The table's part of the region."""
    check: Check
    keeps: bool

    def run(self) -> TableRead:
        read = self._without_building()
        if read is not None:
            return read
        with self.cache.turns.of(self._key, self.check):
            self.cache.revive(self._key, self.pin)
            return self._without_building() or self._build()

    def _without_building(self) -> TableRead | None:
        """None if a base is to be built, or columns of one."""
        held = self.cache.find(self._key, self.pin, self.request.ts)
        if held is not None and self.request.ts < held.base.max_commit_ts:
            return self._from_rows()
        if held is not None and not held.base.missing(self.request.column_ids):
            return self._from_base(held)
        return None if self._is_whole else self._from_rows()

    @property
    def _key(self) -> BaseKey:
        return _base_key(self.data, self.request)

    @property
    def _is_whole(self) -> bool:
        return covers(self.request.ranges, self.whole)

    # --- the ways to the rows -----------------------------------------------------------------------------------------

    def _from_rows(self) -> TableRead:
        return _from_rows(self.data, self.request, self.check)

    def _from_base(self, held: Held) -> TableRead:
        """A base that has all columns asked for, with its delta laid over them."""
        overlay, base = self._overlay(held), held.base
        if overlay is None:
            current = self._ready(base)
            return self._cut(current if current is base or not self.keeps else self._keep(current), 0, "mirror")
        goes_on = self.keeps and self._is_newest(overlay)
        current = self._ready(self._laid_over(base, overlay, base.column_ids if goes_on else self.request.column_ids))
        if goes_on:
            self._keep(current)
        else:
            copied = current.size_beside(base)
            self.cache.charge(self._key, copied + ENTRY_COST_BYTES * len(held.delta))
        return self._cut(current, len(overlay.rows.values), "mirror+delta")

    def _build(self) -> TableRead:
        """Decode the columns that are missing over the table's whole part of the region, and keep all."""
        request, held = self.request, self.cache.find(self._key, self.pin, self.request.ts)
        plan = plan_build(request.schema, request.columns, held.base if held else None)
        if held is not None and plan.names == (HIDDEN_HANDLE,):
            return self._add_handles(held)
        self.cache.await_room(self.check)
        scan = scan_for(plan, self.data.reader, self.whole, request.ts, self.check)
        if request.ts < scan.max_commit_ts:
            if held is not None:
                return self._from_rows()
            return TableRead([batch.select(list(request.columns)) for batch in scan.batches], scan.rows, "rows")
        base = base_of(scan, plan, self.pin.index)
        if 2 * base.held_bytes > self.cache.budget_bytes:
            base = base.only([column_id(plan.schema, name) for name in plan.wanted])
        if held is not None:
            base = self._brought_forward(held).join(base)
        return self._cut(self._keep(base), scan.rows, "rows")

    def _add_handles(self, held: Held) -> TableRead:
        """Nothing is decoded: they are in the keys."""
        overlay = self._overlay(held)
        if overlay is not None and not self._is_newest(overlay):
            return self._from_rows()
        return self._cut(self._keep(with_handles(self._brought_forward(held))), 0, "mirror")

    def _keep(self, base: TableBase) -> TableBase:
        return self.cache.put(self._key, self._ready(base), self.pin)

    def _brought_forward(self, held: Held) -> TableBase:
        """The base with all its columns as of the pin's index; the reader has seen that it reads the newest state."""
        overlay, base = self._overlay(held), held.base
        if overlay is None:
            return replace(base, index=self.pin.index)
        return self._laid_over(base, overlay, base.column_ids)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _overlay(self, held: Held) -> Overlay | None:
        if not len(held.delta):
            return None
        ranges = None if self._is_whole else self.request.ranges
        return overlay_of(held.delta, self.data.reader, ranges, self.request.ts, held.base.max_commit_ts)

    def _is_newest(self, overlay: Overlay) -> bool:
        """Whether the overlay makes the base what the table is at the pin's index, so that it can be the next base."""
        return self._is_whole and overlay.max_commit_ts <= self.request.ts

    def _laid_over(self, base: TableBase, overlay: Overlay, column_ids: Sequence[int]) -> TableBase:
        schema = self.request.schema
        names = column_names(schema, column_ids)
        rows = overlay.rows
        handles = handles_of(rows.keys) if HIDDEN_HANDLE in names else None
        batch = RowCodec(schema).decode_batch(rows.values, handles, names)
        added = dict(zip(column_ids, batch.columns, strict=True))
        return lay_over(base, overlay, touched_chunks(base, overlay), added, self.pin.index)

    def _ready(self, base: TableBase) -> TableBase:
        """The base with the columns asked for as they are now."""
        ready = base.with_columns(self.request.column_ids)
        if ready is not base:
            self.check(ready.size_beside(base))
        return ready

    def _cut(self, base: TableBase, rows_decoded: int, path: Path) -> TableRead:
        request = self.request
        without = base.unwanted(request.uses)
        batches = base.batches(request.column_ids, request.arrow_schema, request.ranges, without)
        numbers = [number for number, keys in enumerate(base.keys) if len(keys) and number not in without]
        if [batch.num_rows for batch in batches] != [len(base.keys[number]) for number in numbers]:
            return TableRead(batches, rows_decoded, path, len(base.keys), len(without))
        return TableRead(batches, rows_decoded, path, len(base.keys), len(without), base, numbers)


def _base_key(data: RegionData, request: TableRequest) -> BaseKey:
    schema, region = request.schema, data.region
    return BaseKey(region.id, region.region_epoch.version, schema.table_id, schema.layout_version)


def part_of_region(table_id: int, region: metapb.Region) -> KeyRange:
    """The range of a table's rows within a region, in user keys; empty (start >= end) if there are none."""
    start, end = table_range(table_id)
    region_start, region_end = user_bound(region.start_key), user_bound(region.end_key)
    return max(start, region_start), min(end, region_end) if region_end else end


def covers(ranges: Sequence[KeyRange], whole: KeyRange) -> bool:
    """Whether one of `ranges` holds all of `whole`."""
    return any(start <= whole[0] and (not end or whole[1] <= end) for start, end in ranges)


def _from_rows(data: RegionData, request: TableRequest, check: Check) -> TableRead:
    codec = RowCodec(request.schema)
    scan = read_rows(data.reader, codec, request.columns, request.ranges, request.ts, check)
    return TableRead(scan.batches, scan.rows, "rows")
