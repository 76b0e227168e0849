"""A table in an engine, written as the raftstore writes it: entry by entry, each told to the mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rutile_coprocessor.pruning import Use
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.journals import Journals
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRead, TableRequest
from rutile_kv.engine.api import CF_DEFAULT, CF_WRITE, CF_WRITE_FILE, Modify, Reader
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks_table_files import make_table_file
from rutile_kv.engine.table_file import TableFile
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Write, WriteKind
from rutile_kv.raft.errors import Compacted
from rutile_kv.raft.messages import Entry
from rutile_kv.raftstore.commands import encode_admin, encode_write
from rutile_kv.raftstore.peer_storage import INITIAL_INDEX
from rutile_kv.raftstore.region_reader import RegionReader, RegionSnapshot
from rutile_kv.server.mirror_keeper import go_on_with
from rutile_kv.server.mirror_restore import restore
from rutile_kv.server.mirror_upkeep import MirrorUpkeep
from rutile_kv.server.ranges import intersect
from rutile_kv.server.region_store import user_range
from rutile_kv.txn.model import Command
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import TxnError
from rutile_proto.keys import int_handle, record_key, storage_key, table_range, versioned_key

Row = tuple[str | None, int | None]

SCHEMA = TableSchema(
    table_id=7,
    name="pets",
    columns=(
        Column(1, "name", ColumnType(Kind.VARCHAR, length=1000)),
        Column(2, "legs", ColumnType(Kind.INT)),
    ),
)
ALL_COLUMNS = ("name", "legs", HIDDEN_HANDLE)
WHOLE = (table_range(SCHEMA.table_id),)
CODEC = RowCodec(SCHEMA)

BIGGER = SCHEMA.add_column(Column(3, "colour", ColumnType(Kind.VARCHAR, length=10), default="grey"))
"""The table after ALTER TABLE; rows written before and after it stand side by side."""
BIGGER_CODEC = RowCodec(BIGGER)


@dataclass(frozen=True)
class View:
    """What a reader holds on to: a snapshot of each region, and the mirror as it was then."""

    parts: tuple[RegionData, ...]
    snapshot: Reader
    schema: TableSchema


class MirrorWorld:
    """One store, at first with one region over all keys."""

    def __init__(self, cache: ArrowCache | None = None) -> None:
        self.engine = MemoryEngine()
        self.regions = [metapb.Region(id=3, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))]
        self.indexes = {3: 1}
        self.schema = SCHEMA
        self.cache = ArrowCache() if cache is None else cache
        self.journals = Journals()
        self.upkeep = MirrorUpkeep(self.cache, None, self.journals)
        self.cut_at: dict[int, int] = {}
        """The last entry of each region's log that is gone."""
        self.logs: dict[int, list[Entry]] = {}
        """What was written to each region since its life or its log began."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def apply(self, modifies: Sequence[Modify]) -> None:
        """One log entry in each region it concerns."""
        batch = self.engine.batch()
        for region in self.regions:
            inside = [each for each in modifies if is_inside(region, each[1])]
            if inside:
                self.indexes[region.id] += 1
                entry = Entry(6, self.indexes[region.id], data=encode_write(region.region_epoch, 6, inside))
                self.logs.setdefault(region.id, []).append(entry)
                self.upkeep.on_applied(region, self.indexes[region.id], inside)
        for cf, key, value in modifies:
            if cf == CF_WRITE_FILE:
                batch.ingest(CF_WRITE, TableFile.from_bytes(value or b""))
            elif value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)

    def execute(self, command: Command[object]) -> bool:
        """Run a transaction command; False if it is refused."""
        try:
            outcome = command.process(MvccReader(self.engine), 0)
        except TxnError:
            return False
        self.apply(outcome.modifies)
        return True

    def write(self, handle: int, commit_ts: int, row: Row | None) -> None:
        """Commit `row`, or a delete (None); the transaction began just before."""
        self.bulk(commit_ts, {handle: row})

    def bulk(self, commit_ts: int, rows: dict[int, Row | None]) -> None:
        """Commit rows without locks, as a bulk load does."""
        self.apply(
            [modify for handle, row in rows.items() for modify in committed(handle, commit_ts, row, self.schema)]
        )

    def load(self, commit_ts: int, rows: dict[int, Row | None]) -> None:
        """Rows as an import brings them: a table file for each region, taken over whole."""
        pairs = {key: value for handle, row in sorted(rows.items()) if row is not None
                 for cf, key, value in committed(handle, commit_ts, row, self.schema) if cf == CF_WRITE}  # fmt: skip
        longs = [modify for handle, row in rows.items() if row is not None
                 for modify in committed(handle, commit_ts, row, self.schema) if modify[0] == CF_DEFAULT]  # fmt: skip
        self.apply(longs)
        for region in list(self.regions):
            inside = sorted(key for key in pairs if is_inside(region, key))
            if inside:
                table = make_table_file(inside, [pairs[key] or b"" for key in inside])
                self.apply([(CF_WRITE_FILE, inside[0], table.to_bytes())])

    # --- regions ------------------------------------------------------------------------------------------------------

    def split(self, *handles: int) -> None:
        self.split_at([storage_key(row_key(handle)) for handle in handles])

    def split_at(self, borders: list[bytes]) -> None:
        """Cut the first region that has borders inside it; its rightmost part goes on under its id."""
        before = next((each for each in self.regions if any(is_cut(each, border) for border in borders)), None)
        if before is None:
            return
        inside = sorted(border for border in borders if is_cut(before, border))
        version = before.region_epoch.version + len(inside)
        starts, ends = [before.start_key, *inside], [*inside, before.end_key]
        parts = []
        for start, end in zip(starts, ends, strict=True):
            number = before.id if end == before.end_key else max(self.indexes) + 1
            self.indexes.setdefault(number, INITIAL_INDEX)
            self.cut_at.setdefault(number, INITIAL_INDEX if number != before.id else 0)
            epoch = metapb.RegionEpoch(conf_ver=1, version=version)
            parts.append(metapb.Region(id=number, start_key=start, end_key=end, region_epoch=epoch))
        self.note_change(before)
        for part in (parts[-1], *parts[:-1]):
            self.upkeep.on_region_changed(part, before)
        at = self.regions.index(before)
        self.regions[at : at + 1] = parts

    def merge(self, at: int, into_left: bool = False) -> None:
        """Two neighbours become one, if there are two."""
        if len(self.regions) < 2:
            return
        at %= len(self.regions) - 1
        left, right = self.regions[at : at + 2]
        source, target = (right, left) if into_left else (left, right)
        prepared = with_version(source, source.region_epoch.version + 1)
        self.upkeep.on_region_changed(prepared, source)
        self.note_change(target)
        version = max(prepared.region_epoch.version, target.region_epoch.version) + 1
        after = with_version(target, version)
        after.start_key, after.end_key = left.start_key, right.end_key
        self.upkeep.on_region_merged(prepared, after, self.indexes[target.id])
        self.upkeep.on_region_changed(after, target)
        self.regions[at : at + 2] = [after]

    def note_change(self, before: metapb.Region) -> None:
        """An entry that gives a region another version."""
        self.indexes[before.id] += 1
        command = encode_admin(before.region_epoch, 6, rutilepb.AdminCommand())
        self.logs.setdefault(before.id, []).append(Entry(6, self.indexes[before.id], data=command))

    def alter(self) -> None:
        """From here on rows have one more column."""
        self.schema = BIGGER

    def fold(self, reader: MirrorReader) -> list[bool]:
        """Fold what every region's bases have for deltas; whether there were any."""
        return [
            reader.fold(
                BaseKey(part.region.id, part.region.region_epoch.version, SCHEMA.table_id, layout), part, lambda _: None
            )
            for part in self.view().parts
            for layout in (self.schema.layout_version,)
        ]

    # --- a restart, as AppliedLog -------------------------------------------------------------------------------------

    def region(self, region_id: int) -> metapb.Region | None:
        return next((each for each in self.regions if each.id == region_id), None)

    def applied_index(self, region_id: int) -> int:
        return self.indexes[region_id]

    def applied_entries(self, region_id: int, after: int, max_bytes: int) -> list[Entry]:
        """One at a time."""
        if self.cut_at.get(region_id, 0) > after < self.indexes[region_id]:
            raise Compacted(after)
        return [entry for entry in self.logs.get(region_id, ()) if entry.index > after][:1]

    def save(self, files: MirrorFiles) -> None:
        """Write what is not written, as the keeper does."""
        for key, base in self.cache.unsaved(files.index_of, lambda key, base: True, all_of_it=True).items():
            mapped = files.save(key, base)
            assert mapped is not None
            go_on_with(self.cache, files, self.journals, key, mapped, self.indexes[key.region_id])
        files.retain(self.cache.keys())
        self.journals.retain(files.keys())

    def cut_logs(self, kept: int) -> None:
        """Of every region's log, but for the last `kept` entries."""
        for region in self.regions:
            applied = self.indexes[region.id]
            self.indexes[region.id] += 1
            self.upkeep.on_log_cut(region, self.indexes[region.id])
            self.cut_at[region.id] = max(self.cut_at.get(region.id, 0), applied - kept)

    def restart(self, directory: Path) -> int:
        """The store comes again with the files of the one before, all asleep; the number of bases taken up."""
        self.cache.clear()
        self.journals = Journals()
        self.upkeep = MirrorUpkeep(self.cache, None, self.journals)
        self.files = MirrorFiles(directory, 1 << 30)
        return restore(self.cache, self.files, self.journals, self)

    def wake(self) -> int:
        """Look at all files that nobody has looked at, as the keeper does; the number of bases then."""
        for key in self.files.asleep:
            pin = self.cache.pin(key.region_id, [key.table_id], self.indexes[key.region_id])
            assert pin is not None
            self.cache.revive(key, pin)
        self.files.retain(self.cache.keys())
        return len(self.cache)

    # --- reading ------------------------------------------------------------------------------------------------------

    def local_snapshot(self, region_id: int) -> tuple[RegionSnapshot, metapb.Region, int] | None:
        """What the keeper of a store's mirror is given."""
        region = self.region(region_id)
        if region is None:
            return None
        return RegionSnapshot(self.engine.snapshot(), region), region, self.indexes[region_id]

    def view(self) -> View:
        snapshot = self.engine.snapshot()
        table_ids = [SCHEMA.table_id]
        parts = [
            RegionData(each, RegionReader(snapshot, each), self.cache.pin(each.id, table_ids, self.indexes[each.id]))
            for each in self.regions
        ]
        return View(tuple(parts), snapshot, self.schema)

    def read(
        self,
        reader: MirrorReader,
        ts: int,
        columns: tuple[str, ...] = ALL_COLUMNS,
        ranges: tuple[tuple[bytes, bytes], ...] = WHOLE,
        uses: tuple[Use, ...] = (),
    ) -> TableRead:
        return read_view(self.view(), reader, ts, columns, ranges, uses)


def read_view(
    view: View,
    reader: MirrorReader,
    ts: int,
    columns: tuple[str, ...],
    ranges: tuple[tuple[bytes, bytes], ...],
    uses: tuple[Use, ...] = (),
) -> TableRead:
    """The rows of all regions; the path is that of the region that had most to do."""
    parts = requests_of(view, ts, columns, ranges, uses)
    reads = [reader.read(data, request, lambda size_bytes: None) for data, request in parts]
    paths = [read.path for read in reads]
    path = next(each for each in ("rows", "mirror+delta", "mirror") if each in paths or not paths)
    return TableRead(
        [batch for read in reads for batch in read.batches],
        sum(read.rows_decoded for read in reads),
        path,
        sum(read.chunks for read in reads),
        sum(read.chunks_pruned for read in reads),
    )


def requests_of(
    view: View, ts: int, columns: tuple[str, ...], ranges: tuple[tuple[bytes, bytes], ...], uses: tuple[Use, ...] = ()
) -> list[tuple[RegionData, TableRequest]]:
    """What a scan asks of each region that it meets."""
    inside = ((data, intersect(ranges, intersect([user_range(data.region)], WHOLE))) for data in view.parts)
    return [(data, TableRequest(view.schema, columns, wanted, ts, uses)) for data, wanted in inside if wanted]


def is_inside(region: metapb.Region, key: bytes) -> bool:
    return region.start_key <= key and (not region.end_key or key < region.end_key)


def is_cut(region: metapb.Region, border: bytes) -> bool:
    return is_inside(region, border) and border != region.start_key


def with_version(region: metapb.Region, version: int) -> metapb.Region:
    changed = metapb.Region()
    changed.CopyFrom(region)
    changed.region_epoch.version = version
    return changed


def committed(handle: int, commit_ts: int, row: Row | None, schema: TableSchema = SCHEMA) -> list[Modify]:
    """What a commit of one row leaves, its value in the family default if it is long."""
    kind = WriteKind.DELETE if row is None else WriteKind.PUT
    value = None if row is None else encode(row, schema)
    key = storage_key(row_key(handle))
    modifies: list[Modify] = []
    if value is not None and len(value) > SHORT_VALUE_LIMIT_BYTES:
        modifies.append((CF_DEFAULT, versioned_key(key, commit_ts - 1), value))
        value = None
    return [*modifies, (CF_WRITE, versioned_key(key, commit_ts), Write(kind, commit_ts - 1, value).to_bytes())]


def encode(row: Row, schema: TableSchema) -> bytes:
    """The row in the layout of `schema`; its colour, if it has one, is made of its legs."""
    return CODEC.encode_row(row) if schema is SCHEMA else BIGGER_CODEC.encode_row((*row, f"colour {row[1]}"[:10]))


def row_key(handle: int) -> bytes:
    return record_key(SCHEMA.table_id, int_handle(handle))


def rows_of(read: TableRead) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for batch in read.batches for row in batch.to_pylist()]


def saved(directory: Path) -> tuple[MirrorWorld, MirrorReader]:
    """A world of twenty cats whose mirror is on disk."""
    world = MirrorWorld()
    reader = MirrorReader(world.cache)
    world.bulk(10, {handle: (f"cat {handle}", handle) for handle in range(20)})
    world.read(reader, 20)
    world.save(MirrorFiles(directory, 1 << 20))
    return world, reader
