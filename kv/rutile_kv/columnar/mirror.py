"""`MirrorReader`: a table's rows in one region, from a base where that is right, else from the row store.

The chapter (`rutile_kv.columnar`) says when a base is right. A base is built by the first read that wants the table's
whole part of the region; reads of small ranges are served from one if it is there, and never build one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, TableSchema
from rutile_kv.columnar.base import KeyRange, TableBase
from rutile_kv.columnar.cache import ArrowCache, BaseKey
from rutile_kv.columnar.rows import Check, RowScan, read_rows
from rutile_kv.engine.api import Reader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import table_range, user_bound

HIDDEN_HANDLE_ID = -1
"""The hidden handle's place among column ids, which are positive."""

Path = Literal["rows", "mirror"]


@dataclass(frozen=True, slots=True)
class RegionData:
    """One region as of one moment: what to read, and which version of it that is."""

    region: metapb.Region
    reader: Reader
    data_version: int | None
    """None when it is not known for sure: the mirror is left alone then."""


@dataclass(frozen=True, slots=True)
class TableRead:
    """Batches in key order, and what they cost."""

    batches: list[pa.RecordBatch]
    rows_decoded: int
    """Rows that had to be decoded from the row store."""
    path: Path


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What to read of a table: at least one column, by name; ranges of user keys, disjoint and ascending."""

    schema: TableSchema
    columns: tuple[str, ...]
    ranges: Sequence[KeyRange]
    ts: int

    @property
    def arrow_schema(self) -> pa.Schema:
        return self.schema.arrow_schema(self.columns)

    @property
    def column_ids(self) -> list[int]:
        return [column_id(self.schema, name) for name in self.columns]


class MirrorReader:
    """Reads tables of regions. Used by several worker threads at once; the cache does the locking."""

    def __init__(self, cache: ArrowCache | None) -> None:
        self._cache = cache

    def read(self, data: RegionData, request: TableRequest, check: Check) -> TableRead:
        """The rows of `request` in the region. The caller has checked the locks of its ranges at its timestamp.

        `check` is told the bytes of each decoded batch and raises to give up. Raises EngineCorrupt.
        """
        if self._cache is None or data.data_version is None:
            return _from_rows(data, request, check)
        key = BaseKey(
            data.region.id,
            data.region.region_epoch.version,
            request.schema.table_id,
            request.schema.layout_version,
        )
        held = self._cache.find(key, data.data_version)
        if held is not None and request.ts < held.max_commit_ts:
            return _from_rows(data, request, check)
        if held is not None and not held.missing(request.column_ids):
            return TableRead(_cut(held, request), 0, "mirror")
        whole = part_of_region(request.schema.table_id, data.region)
        if not _covers(request.ranges, whole):
            return _from_rows(data, request, check)
        return self._build(self._cache, key, held, data, request, whole, check)

    def _build(
        self,
        cache: ArrowCache,
        key: BaseKey,
        held: TableBase | None,
        data: RegionData,
        request: TableRequest,
        whole: KeyRange,
        check: Check,
    ) -> TableRead:
        """Decode the columns that `held` lacks, over the table's whole part of the region, and keep them."""
        assert data.data_version is not None
        absent = held.missing(request.column_ids) if held else request.column_ids
        names = [name for name in request.columns if column_id(request.schema, name) in absent]
        scan = read_rows(data.reader, RowCodec(request.schema), names, [whole], request.ts, check)
        if request.ts < scan.max_commit_ts:
            return TableRead(scan.batches, scan.rows, "rows")
        base = _base_of(scan, absent, data.data_version)
        if held is not None:
            base = held.join(base)
        cache.put(key, base)
        return TableRead(_cut(base, request), scan.rows, "rows")


def column_id(schema: TableSchema, name: str) -> int:
    return HIDDEN_HANDLE_ID if name == HIDDEN_HANDLE else schema.column(name).id


def part_of_region(table_id: int, region: metapb.Region) -> KeyRange:
    """The range of a table's rows within a region, in user keys; empty (start >= end) if there are none."""
    start, end = table_range(table_id)
    region_start, region_end = user_bound(region.start_key), user_bound(region.end_key)
    return max(start, region_start), min(end, region_end) if region_end else end


def _covers(ranges: Sequence[KeyRange], whole: KeyRange) -> bool:
    """Whether one of `ranges` holds all of `whole`."""
    return any(start <= whole[0] and (not end or whole[1] <= end) for start, end in ranges)


def _cut(base: TableBase, request: TableRequest) -> list[pa.RecordBatch]:
    return base.batches(request.column_ids, request.arrow_schema, request.ranges)


def _base_of(scan: RowScan, column_ids: Sequence[int], data_version: int) -> TableBase:
    columns = {
        wanted: tuple(batch.column(position) for batch in scan.batches) for position, wanted in enumerate(column_ids)
    }
    return TableBase(data_version, scan.max_commit_ts, tuple(scan.keys), columns)


def _from_rows(data: RegionData, request: TableRequest, check: Check) -> TableRead:
    codec = RowCodec(request.schema)
    scan = read_rows(data.reader, codec, request.columns, request.ranges, request.ts, check)
    return TableRead(scan.batches, scan.rows, "rows")
