"""A table in an engine, written as the raftstore writes it: entry by entry, each told to the mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRead, TableRequest
from rutile_kv.engine.api import CF_DEFAULT, CF_WRITE, Modify, Reader
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Write, WriteKind
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_kv.txn.model import Command
from rutile_proto import metapb_pb2 as metapb
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


@dataclass(frozen=True)
class View:
    """What a reader holds on to: a snapshot with its region, and the mirror as it was then."""

    data: RegionData
    snapshot: Reader


class MirrorWorld:
    """One region, at first over all keys."""

    def __init__(self, cache: ArrowCache | None = None) -> None:
        self.engine = MemoryEngine()
        self.region = metapb.Region(id=3, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))
        self.index = 1
        self.cache = ArrowCache() if cache is None else cache
        self.cache.follow()

    # --- writing ------------------------------------------------------------------------------------------------------

    def apply(self, modifies: Sequence[Modify]) -> None:
        """One log entry; what lies beyond the region is another region's."""
        batch = self.engine.batch()
        self.index += 1
        for cf, key, value in modifies:
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        end = self.region.end_key
        self.cache.applied(self.region.id, self.index, [each for each in modifies if not end or each[1] < end])
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
        self.apply([modify for handle, row in rows.items() for modify in committed(handle, commit_ts, row)])

    def split(self, handle: int) -> None:
        """The region keeps what is below `handle`."""
        epoch = metapb.RegionEpoch(conf_ver=1, version=self.region.region_epoch.version + 1)
        self.region = metapb.Region(id=3, end_key=storage_key(row_key(handle)), region_epoch=epoch)
        self.index += 1
        self.cache.drop_region(3)

    # --- reading ------------------------------------------------------------------------------------------------------

    def view(self) -> View:
        snapshot = RegionReader(self.engine.snapshot(), self.region)
        pin = self.cache.pin(self.region.id, [SCHEMA.table_id], self.index)
        return View(RegionData(self.region, snapshot, pin), snapshot)

    def read(
        self,
        reader: MirrorReader,
        ts: int,
        columns: tuple[str, ...] = ALL_COLUMNS,
        ranges: tuple[tuple[bytes, bytes], ...] = WHOLE,
    ) -> TableRead:
        return read_view(self.view(), reader, ts, columns, ranges)


def read_view(
    view: View, reader: MirrorReader, ts: int, columns: tuple[str, ...], ranges: tuple[tuple[bytes, bytes], ...]
) -> TableRead:
    return reader.read(view.data, TableRequest(SCHEMA, columns, ranges, ts), lambda size_bytes: None)


def committed(handle: int, commit_ts: int, row: Row | None) -> list[Modify]:
    """What a commit of one row leaves, its value in the family default if it is long."""
    kind = WriteKind.DELETE if row is None else WriteKind.PUT
    value = None if row is None else CODEC.encode_row(row)
    key = storage_key(row_key(handle))
    modifies: list[Modify] = []
    if value is not None and len(value) > SHORT_VALUE_LIMIT_BYTES:
        modifies.append((CF_DEFAULT, versioned_key(key, commit_ts - 1), value))
        value = None
    return [*modifies, (CF_WRITE, versioned_key(key, commit_ts), Write(kind, commit_ts - 1, value).to_bytes())]


def row_key(handle: int) -> bytes:
    return record_key(SCHEMA.table_id, int_handle(handle))


def rows_of(read: TableRead) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for batch in read.batches for row in batch.to_pylist()]
