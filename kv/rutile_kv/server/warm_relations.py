"""Relations as DuckDB reads them, ready made, for as long as the mirror's bases they are the rows of stand.

What a scan gives is decided by the bases of its regions (where the delta is empty), by the columns and key ranges
asked for, and by what the fragment's conditions leave of them. So while all of those are the same, the same table is
handed out again: no chunk is looked at, none is put beside another. A base that has gone takes its relations with it.

    scan  ──►  base of each region, delta empty?  ──►  the relation of these very bases  ──►  DuckDB
                         │ no                                    │ none
                         └────────►  the mirror's batches  ◄─────┘  ──►  kept, once its chunks are narrow

Never of another snapshot: bases are immutable, and one is used only by readers whose timestamp is not below its newest
commit, at an index up to which nothing was committed after it.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import pyarrow as pa

from rutile_coprocessor.scan_source import ScanSource
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.mirror import MirrorReader, Path, RegionData, TableRead, TableRequest
from rutile_kv.columnar.rows import Check
from rutile_kv.columnar.sorted_keys import KeyRange
from rutile_kv.server.narrow_chunks import NarrowChunks

MAX_RELATIONS = 256
"""Relations kept; the one that was used least recently goes."""


Part: TypeAlias = tuple[RegionData, TableRequest]
"""A region, and what a scan reads there."""


@dataclass(frozen=True, slots=True)
class RelationKey:
    """What is asked of the bases."""

    layout: int
    """The version of the tables' layout, which they share."""
    columns: tuple[tuple[int, str], ...]
    uses: str
    """The conditions, spelled out: 1 and 1.0 are different bounds."""
    ranges: tuple[tuple[int, int, tuple[KeyRange, ...]], ...]
    """Those wanted of each region and table, by their ids."""


def key_of(parts: Sequence[Part]) -> RelationKey:
    """The key of a scan's parts, of which there is at least one: their requests differ only in tables and ranges."""
    request = parts[0][1]
    columns = tuple(zip(request.column_ids, request.columns, strict=True))
    wanted = tuple((data.region.id, each.schema.table_id, tuple(each.ranges)) for data, each in parts)
    return RelationKey(request.schema.layout_version, columns, repr(request.uses), wanted)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scan's rows, and what finding them was."""

    source: ScanSource
    regions: int
    path: Path
    """ "rows" if any of them had to be read from the row store."""
    chunks: int
    chunks_pruned: int


def put_together(reads: Sequence[TableRead], schema: pa.Schema) -> Loaded:
    """The batches of `reads`, as they come, after one another."""
    return _loaded(ScanSource([batch for read in reads for batch in read.batches], schema), reads)


@dataclass(frozen=True, slots=True)
class _Kept:
    bases: tuple[weakref.ref[TableBase], ...]
    loaded: Loaded


class WarmRelations:
    """Any thread may ask."""

    def __init__(self, budget_bytes: int) -> None:
        """`budget_bytes`: what narrow chunks may take; 0: all stays as it comes."""
        self.chunks = NarrowChunks(budget_bytes)
        self._kept: OrderedDict[RelationKey, _Kept] = OrderedDict()
        self._mutex = threading.RLock()  # a base's end may be noticed while this is held

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, mirror: MirrorReader, parts: Sequence[Part], schema: pa.Schema, check: Check) -> Loaded:
        """The rows of a scan's parts, by what was kept of them or by reading them (see `MirrorReader.read`)."""
        if not parts:
            return put_together([], schema)
        return self._warm(mirror, parts) or self._fresh(mirror, parts, schema, check)

    def clear(self) -> None:
        with self._mutex:
            self._kept.clear()
        self.chunks.clear()

    def _warm(self, mirror: MirrorReader, parts: Sequence[Part]) -> Loaded | None:
        """What was kept of the bases that the parts are read from, if nothing was committed after them."""
        bases = []
        for data, request in parts:
            base = mirror.settled(data, request)
            if base is None:
                return None
            bases.append(base)
        return self._find(key_of(parts), bases)

    def _find(self, key: RelationKey, bases: Sequence[TableBase]) -> Loaded | None:
        """What was made of these bases and no others, one for each part."""
        with self._mutex:
            kept = self._kept.get(key)
            if kept is None or any(ref() is not base for ref, base in zip(kept.bases, bases, strict=True)):
                return None
            self._kept.move_to_end(key)
            return kept.loaded

    def _fresh(self, mirror: MirrorReader, parts: Sequence[Part], schema: pa.Schema, check: Check) -> Loaded:
        """The rows read; kept for others if they are whole chunks of bases."""
        reads = [mirror.read(data, request, check) for data, request in parts]
        bases = [read.base for read in reads if read.base is not None]
        if len(bases) < len(reads):
            return put_together(reads, schema)
        columns, settled = [], True
        for column_id, field in zip(parts[0][1].column_ids, schema, strict=True):
            chunks = [base.columns[column_id][at] for base, read in zip(bases, reads, strict=True) for at in read.whole]
            column, is_settled = self._column(chunks, field.type)
            columns.append(column)
            settled = settled and is_settled
        loaded = _loaded(ScanSource.of_columns(columns, schema.names), reads)
        if settled:
            self._keep(key_of(parts), bases, replace(loaded, path="mirror"))
        return loaded

    def _column(self, chunks: Sequence[pa.Array], kind: pa.DataType) -> tuple[pa.ChunkedArray, bool]:
        """The chunks after one another, narrow if all of them are; and whether the next reader gets them so."""
        found = [self.chunks.of(chunk) for chunk in chunks]
        settled = all(is_settled for _, is_settled in found)
        if len({narrow.type for narrow, _ in found}) == 1:
            return pa.chunked_array([narrow for narrow, _ in found]), settled
        return pa.chunked_array(chunks, kind), settled

    def _keep(self, key: RelationKey, bases: Sequence[TableBase], loaded: Loaded) -> None:
        refs = tuple(weakref.ref(base, lambda gone: self._forget(key, gone)) for base in bases)
        with self._mutex:
            self._kept[key] = _Kept(refs, loaded)
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_RELATIONS:
                self._kept.popitem(last=False)

    def _forget(self, key: RelationKey, gone: weakref.ref[TableBase]) -> None:
        with self._mutex:
            kept = self._kept.get(key)
            if kept is not None and any(ref is gone for ref in kept.bases):
                del self._kept[key]


def _loaded(source: ScanSource, reads: Sequence[TableRead]) -> Loaded:
    chunks, pruned = sum(read.chunks for read in reads), sum(read.chunks_pruned for read in reads)
    return Loaded(source, len(reads), _path(reads), chunks, pruned)


def _path(reads: Sequence[TableRead]) -> Path:
    paths = {read.path for read in reads}
    if not paths or "rows" in paths:
        return "rows"
    return "mirror+delta" if "mirror+delta" in paths else "mirror"
