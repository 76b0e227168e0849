"""Reading scans through an index: the choice of the path, by asking the index, and the rows at its end.

The choice is a dive: the entries of a path's ranges are read, up to a limit. If there are no more, the path is taken,
and what was read is already its first half; otherwise the next path is tried, and after the last one the scan is read
as if there were no index (a fragment beside the data beats any number of single rows fetched from afar). Statistics,
where a table has them (`rutile.statistics`), put the paths in order and spare the dives that would be in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from rutile.planner.index_paths import IndexPath
from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.session.storage import KvSnapshot, Pair
from rutile.statistics.estimate import path_rows
from rutile.statistics.model import TableStatistics
from rutile_coprocessor.schema import HIDDEN_HANDLE, Scalar

MAX_LOOKUPS = 1_000
"""Rows fetched one by one, at most."""
MAX_COVERED = 10_000
"""Entries read in place of rows, at most."""


HOPELESS = 4
"""A path expected to have this many times more entries than may be read is not tried: estimates err, but not so far."""


@dataclass(frozen=True)
class IndexRead:
    """A path taken, with the entries (for the primary key: rows) its dive has found."""

    path: IndexPath
    entries: tuple[Pair, ...]


class Statistics(Protocol):
    """`rutile.statistics.known.KnownStatistics`, as far as it is asked here."""

    def of(self, table_id: int) -> TableStatistics | None: ...


async def choose_paths(
    plan: QueryPlan, reader: KvSnapshot, ts: int, statistics: Statistics | None = None
) -> dict[str, IndexRead] | None:
    """How to read every scan of the query as of `ts` through an index; None if one of them is better read otherwise."""
    if not plan.scans or any(not scan.paths for scan in plan.scans):
        return None
    promising = {scan.name: promising_paths(scan, statistics) for scan in plan.scans}
    if not all(promising.values()):
        return None
    chosen: dict[str, IndexRead] = {}
    for scan in plan.scans:
        read = await _choose(promising[scan.name], reader, ts)
        if read is None:
            return None
        chosen[scan.name] = read
    return chosen


def promising_paths(scan: ScanPlan, statistics: Statistics | None) -> tuple[IndexPath, ...]:
    """The paths worth a dive, the best first: by the entries they are expected to have, if the table was analyzed."""
    known = statistics.of(scan.schema.table_id) if statistics is not None else None
    if known is None or all(path.forced or path.is_unique or path.limit is not None for path in scan.paths):
        return scan.paths
    expected = [(path_rows(scan, path, known), place, path) for place, path in enumerate(scan.paths)]
    worth = [each for each in expected if each[2].forced or each[0] <= HOPELESS * _most(each[2])]
    return tuple(path for _, _, path in sorted(worth, key=lambda each: (not each[2].is_unique, each[0], each[1])))


def _most(path: IndexPath) -> int:
    return MAX_COVERED if path.covering else MAX_LOOKUPS


async def _choose(paths: Sequence[IndexPath], reader: KvSnapshot, ts: int) -> IndexRead | None:
    for path in paths:
        if path.index is not None and path.index.info.readable_from > ts:
            continue
        entries = await _dive(path, reader)
        if entries is not None:
            return IndexRead(path, tuple(entries))
    return None


async def _dive(path: IndexPath, reader: KvSnapshot) -> list[Pair] | None:
    """The entries of the path; None if there are too many. Several ranges share the limit."""
    most = None if path.forced else _most(path)
    if path.limit is not None:
        if most is not None and path.limit > most:
            return None
        most = path.limit
    found: list[Pair] = []
    for start, end in path.ranges.ranges:
        ask = None if most is None else most - len(found) + (path.limit is None)
        found += await reader.scan(start, end, ask, reverse=path.reverse)
        if most is not None and path.limit is None and len(found) > most:
            return None
    return found


async def fetch_rows(scan: ScanPlan, read: IndexRead, reader: KvSnapshot) -> pa.RecordBatch:
    """The scan's columns of the rows at the end of a path."""
    path = read.path
    if path.index is not None and path.covering:
        return _covered(scan, read)
    if path.index is None:
        pairs = list(read.entries)
    else:
        keys = [scan.table.row_key_beside(key, path.index.read(key, value)[1]) for key, value in read.entries]
        rows = await reader.batch_get(keys) if keys else {}
        pairs = [(key, rows[key]) for key in keys]
    return scan.table.rows.decode_batch([value for _, value in pairs], row_ids(scan, pairs), scan.columns)


def row_ids(scan: ScanPlan, pairs: Sequence[Pair]) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """The hidden row ids in the keys, if the scan asks for them."""
    if HIDDEN_HANDLE not in scan.columns:
        return None
    return np.fromiter((scan.table.row_id_of(key) for key, _ in pairs), np.int64, len(pairs))


def _covered(scan: ScanPlan, read: IndexRead) -> pa.RecordBatch:
    """The columns out of the entries themselves: indexed values, and the primary key in the handle."""
    index, table = read.path.index, scan.table
    assert index is not None
    columns: dict[str, list[Scalar]] = {name: [] for name in scan.columns}
    for key, value in read.entries:
        values, handle = index.read(key, value)
        held: dict[str, Scalar] = {}
        if table.is_hidden:
            held[HIDDEN_HANDLE] = table.row_id_of(table.prefix + handle)
        else:
            names = (column.name for column in table.schema.primary_key_columns)
            held.update(zip(names, table.handles.decode(handle), strict=True))
        held.update(
            (column.name, found)
            for column, part, found in zip(index.columns, index.info.columns, values, strict=True)
            if part.length is None
        )
        for name, column in columns.items():
            column.append(held[name])
    return _batch(scan, columns)


def _batch(scan: ScanPlan, columns: dict[str, list[Scalar]]) -> pa.RecordBatch:
    schema = scan.schema.arrow_schema(scan.columns)
    arrays = [_array(columns[field.name], field) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Scalar], field: pa.Field) -> pa.Array:
    if pa.types.is_boolean(field.type):
        return pa.array([None if value is None else bool(value) for value in values], field.type)
    return pa.array(values, field.type)
