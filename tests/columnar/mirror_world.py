"""A table in an engine, written version by version, with the data version the raftstore would keep."""

from __future__ import annotations

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRead, TableRequest
from rutile_kv.engine.api import CF_WRITE
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import int_handle, record_key, storage_key, table_range, versioned_key

SCHEMA = TableSchema(
    table_id=7,
    name="pets",
    columns=(
        Column(1, "name", ColumnType(Kind.VARCHAR, length=40)),
        Column(2, "legs", ColumnType(Kind.INT)),
    ),
)
ALL_COLUMNS = ("name", "legs", HIDDEN_HANDLE)
WHOLE = (table_range(SCHEMA.table_id),)


class MirrorWorld:
    """One region over all keys; `write` commits one version of one row."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.region = metapb.Region(id=3, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))
        self.data_version = 1
        self._codec = RowCodec(SCHEMA)

    def write(self, handle: int, commit_ts: int, row: tuple[str | None, int | None] | None) -> None:
        """Commit `row`, or a delete (None); the transaction began just before."""
        kind = WriteKind.DELETE if row is None else WriteKind.PUT
        value = None if row is None else self._codec.encode_row(row)
        record = Write(kind, commit_ts - 1, value)
        batch = self.engine.batch()
        batch.put(CF_WRITE, versioned_key(storage_key(row_key(handle)), commit_ts), record.to_bytes())
        self.engine.write(batch)
        self.data_version += 1

    def read(
        self,
        reader: MirrorReader,
        ts: int,
        columns: tuple[str, ...] = ALL_COLUMNS,
        ranges: tuple[tuple[bytes, bytes], ...] = WHOLE,
    ) -> TableRead:
        data = RegionData(self.region, self.engine, self.data_version)
        return reader.read(data, TableRequest(SCHEMA, columns, ranges, ts), lambda size_bytes: None)


def row_key(handle: int) -> bytes:
    return record_key(SCHEMA.table_id, int_handle(handle))


def rows_of(read: TableRead) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for batch in read.batches for row in batch.to_pylist()]
