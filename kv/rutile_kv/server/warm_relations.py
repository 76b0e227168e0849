"""Relations as DuckDB reads them, ready made, for as long as the mirror's bases they are the rows of stand.

What a scan gives is decided by the bases of its regions (where the delta is empty), by the columns and key ranges
asked for, and by what the fragment's conditions leave of them. So while all of those are the same, the same table is
handed out again: no chunk is looked at, none is put beside another. A base that has gone takes its relations with it.

    scan  ──►  base of each region  ──►  the relation of these very bases  ──►  delta empty?  ──►  DuckDB
                    │ none of use                │ none                             │ no
                    ▼                            ▼                                  ▼
            the mirror's batches           put together, kept           live rows beside it, for this
                                           once its chunks are          query only  ──►  DuckDB
                                           narrow

Never of another snapshot: bases are immutable, and one is used only by readers whose timestamp is not below its newest
commit. What was committed after it comes beside it, with a column that says which rows count
(`rutile_kv.columnar.live`): the relation of the bases is the same for everybody, whatever is being written. If two
readers after one another meet the same rows there, because nothing is being written just now, the relation with them is
kept too. A plan that DuckDB made for one of them serves the others (`rutile_coprocessor.prepared`).
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from rutile_coprocessor.encodings import encoded_as
from rutile_coprocessor.scan_source import Live, ScanSource
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.live import LiveRows, Stretch
from rutile_kv.columnar.live_tables import FEW_ROWS, LiveTables
from rutile_kv.columnar.mirror import (
    MirrorReader,
    Path,
    RegionData,
    TableRead,
    covers,
    part_of_region,
)
from rutile_kv.columnar.pins import Held
from rutile_kv.columnar.rows import Check
from rutile_kv.server.narrow_chunks import NarrowChunks
from rutile_kv.server.relation_key import Part, RelationKey, key_of

ADDED_ROW_BYTES = 64
"""What a row beside the bases costs a query, in bytes copied in the same time."""
MAX_RELATIONS = 256
"""Relations kept; the one that was used least recently goes."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scan's rows, and what finding them was."""

    source: ScanSource
    regions: int
    path: Path
    """ "rows" if any of them had to be read from the row store."""
    chunks: int
    chunks_pruned: int
    whole: tuple[tuple[int, ...], ...] = ()
    """If they are whole chunks of bases: which, for each base."""


def put_together(reads: Sequence[TableRead], schema: pa.Schema) -> Loaded:
    """The batches of `reads`, as they come, after one another."""
    return _loaded(ScanSource([batch for read in reads for batch in read.batches], schema), reads)


@dataclass(frozen=True, slots=True)
class _Beside:
    """What was committed after the bases, as the last reader met it."""

    live: weakref.ref[LiveRows]
    loaded: Loaded | None
    """Its rows beside those of the bases; None: only one reader has met it."""


@dataclass(slots=True)
class _Kept:
    bases: tuple[weakref.ref[TableBase], ...]
    loaded: Loaded
    beside: _Beside | None = None


class WarmRelations:
    """Any thread may ask."""

    def __init__(self, budget_bytes: int, few_rows: int = FEW_ROWS) -> None:
        """`budget_bytes`: what narrow chunks may take; 0: all stays as it comes. `few_rows`: see `LiveTables`."""
        self.chunks = NarrowChunks(budget_bytes)
        self.followed = LiveTables(few_rows)
        self._kept: OrderedDict[RelationKey, _Kept] = OrderedDict()
        self._mutex = threading.RLock()  # a base's end may be noticed while this is held

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, mirror: MirrorReader, parts: Sequence[Part], schema: pa.Schema, check: Check) -> Loaded:
        """The rows of a scan's parts, by what was kept of them or by reading them (see `MirrorReader.read`)."""
        if not parts:
            return put_together([], schema)
        helds = [mirror.held(*part, check) for part in parts]
        found = [held for held in helds if held is not None]
        if len(found) < len(parts):
            return self._fresh(mirror, parts, schema, check)
        if not any(len(held.delta) for held in found):
            kept = self._find(key_of(parts), [held.base for held in found])
            return kept or self._fresh(mirror, parts, schema, check)
        return self._under_writes(mirror, parts, found, schema, check) or self._fresh(mirror, parts, schema, check)

    def moved(self, old: TableBase, new: TableBase) -> None:
        """A base goes on as another with the same rows in the same chunks: what was made of them need not be again."""
        for column_id, chunks in new.columns.items():
            for before, now in zip(old.columns.get(column_id, ()), chunks, strict=False):
                self.chunks.moved(before, now)
        self.followed.moved(old, new)

    def clear(self) -> None:
        with self._mutex:
            self._kept.clear()
        self.chunks.clear()
        self.followed.clear()

    def _under_writes(
        self, mirror: MirrorReader, parts: Sequence[Part], helds: Sequence[Held], schema: pa.Schema, check: Check
    ) -> Loaded | None:
        """The bases with what was committed since beside them; None if they are better read anew."""
        request = parts[0][1]
        if not all(covers(each.ranges, part_of_region(each.schema.table_id, data.region)) for data, each in parts):
            return None
        stretches = [_stretch(data, held) for (data, _), held in zip(parts, helds, strict=True)]
        live = self.followed.rows(stretches, request.schema, request.ts, check)
        if live is None:
            return None
        bases = [held.base for held in helds]
        for (data, each), held in zip(parts, helds, strict=True):
            mirror.charge(data, each, len(held.delta) * ADDED_ROW_BYTES)
        return self._met(key_of(parts), bases, live) or self._put_beside(parts, bases, live, schema)

    def _met(self, key: RelationKey, bases: Sequence[TableBase], live: LiveRows) -> Loaded | None:
        """What was kept of these bases with these very rows beside them."""
        with self._mutex:
            kept = self._kept_of(key, bases)
            beside = None if kept is None else kept.beside
            return None if beside is None or beside.live() is not live else beside.loaded

    def _put_beside(
        self, parts: Sequence[Part], bases: Sequence[TableBase], live: LiveRows, schema: pa.Schema
    ) -> Loaded:
        """Kept if another reader has met the same rows before: while a table is written to, hardly one does."""
        key = key_of(parts)
        settled = self._find(key, bases) or self._of_bases(parts, bases, schema)
        loaded = replace(settled, source=_beside(settled, bases, live), path="mirror+delta")
        with self._mutex:
            kept = self._kept_of(key, bases)
            if kept is not None and kept.loaded is settled:
                is_met_again = kept.beside is not None and kept.beside.live() is live
                gone = weakref.ref(live, lambda ref: self._forget_beside(key, ref))
                kept.beside = _Beside(gone, loaded if is_met_again else None)
        return loaded

    def _find(self, key: RelationKey, bases: Sequence[TableBase]) -> Loaded | None:
        """What was made of these bases and no others, one for each part."""
        with self._mutex:
            kept = self._kept_of(key, bases)
            return None if kept is None else kept.loaded

    def _kept_of(self, key: RelationKey, bases: Sequence[TableBase]) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None or any(ref() is not base for ref, base in zip(kept.bases, bases, strict=True)):
            return None
        self._kept.move_to_end(key)
        return kept

    def _fresh(self, mirror: MirrorReader, parts: Sequence[Part], schema: pa.Schema, check: Check) -> Loaded:
        """The rows read; kept for others if they are whole chunks of bases."""
        reads = [mirror.read(data, request, check) for data, request in parts]
        bases = [read.base for read in reads if read.base is not None]
        if len(bases) < len(reads):
            return put_together(reads, schema)
        whole = [read.whole for read in reads]
        pruned = sum(read.chunks_pruned for read in reads)
        return replace(self._of_chunks(parts, bases, whole, pruned, schema), path=_path(reads))

    def _of_bases(self, parts: Sequence[Part], bases: Sequence[TableBase], schema: pa.Schema) -> Loaded:
        """All chunks of the bases but those that the fragment's conditions leave out."""
        without = [base.unwanted(request.uses) for (_, request), base in zip(parts, bases, strict=True)]
        whole = [[number for number, keys in enumerate(base.keys) if len(keys) and number not in left_out]
                 for base, left_out in zip(bases, without, strict=True)]  # fmt: skip
        return self._of_chunks(parts, bases, whole, sum(map(len, without)), schema)

    def _of_chunks(
        self,
        parts: Sequence[Part],
        bases: Sequence[TableBase],
        whole: Sequence[Sequence[int]],
        pruned: int,
        schema: pa.Schema,
    ) -> Loaded:
        """The chunks `whole` of each base; kept for others."""
        columns, settled = [], True
        for column_id, field in zip(parts[0][1].column_ids, schema, strict=True):
            chunks = [base.columns[column_id][at] for base, numbers in zip(bases, whole, strict=True) for at in numbers]
            column, is_settled = self._column(chunks, field.type)
            columns.append(column)
            settled = settled and is_settled
        source = ScanSource.of_columns(columns, schema.names)
        loaded = Loaded(
            source, len(bases), "mirror", sum(len(base.keys) for base in bases), pruned, tuple(map(tuple, whole))
        )
        if settled:
            self._keep(key_of(parts), bases, loaded)
        return loaded

    def _column(self, chunks: Sequence[pa.Array], kind: pa.DataType) -> tuple[pa.ChunkedArray, bool]:
        """The chunks after one another, narrow if all of them are; and whether the next reader gets them so."""
        found = [self.chunks.of(chunk) for chunk in chunks]
        if any(narrow is not chunk for (narrow, _), chunk in zip(found, chunks, strict=True)):
            found = [self.chunks.of(chunk, at_once=True) for chunk in chunks]  # new ones among others that are narrow
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

    def _forget_beside(self, key: RelationKey, gone: weakref.ref[LiveRows]) -> None:
        with self._mutex:
            kept = self._kept.get(key)
            if kept is not None and kept.beside is not None and kept.beside.live is gone:
                kept.beside = None


def _loaded(source: ScanSource, reads: Sequence[TableRead]) -> Loaded:
    chunks, pruned = sum(read.chunks for read in reads), sum(read.chunks_pruned for read in reads)
    return Loaded(source, len(reads), _path(reads), chunks, pruned)


def _path(reads: Sequence[TableRead]) -> Path:
    paths = {read.path for read in reads}
    if not paths or "rows" in paths:
        return "rows"
    return "mirror+delta" if "mirror+delta" in paths else "mirror"


def _stretch(data: RegionData, held: Held) -> Stretch:
    assert data.pin is not None, "what is held was found by a pin"
    return Stretch(data.region, held.base, held.delta, data.pin.index, data.reader)


def _beside(settled: Loaded, bases: Sequence[TableBase], live: LiveRows) -> ScanSource:
    """The chunks of the bases and then what was added, in the same encodings, with a column that says which count."""
    table = settled.source.table
    numbered = enumerate(zip(bases, settled.whole, strict=True))
    marks = [chunk for part, (base, numbers) in numbered for chunk in live.marks(part, base, numbers)]
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        added = [encoded for batch in live.added for encoded in encoded_as(batch.column(name), column.type)]
        columns.append(pa.chunked_array([*column.chunks, *added], column.type))
    marks.append(live.added_marks())
    beside = Live(settled.source, live.hidden_rows, len(live.added_live))
    return ScanSource.of_live(columns, pa.chunked_array(marks, pa.int8()), beside)
