"""What writes cost the next analytical query: `python benchmarks/mirror_delta.py [rows]`.

A table in a RocksDB engine, written entry by entry with each entry told to the mirror, as the raftstore does. After 0,
1, 1,000 and 20,000 updates the same query (three ways to the rows, then DuckDB) is timed:

    rows          from the row store, as every query did before there was a mirror
    base only     the mirror without its delta: a write sends the next query back to the row store
    mirror        base and delta

Times are processor time of this process, so a busy neighbour does not count. The updates of a round are spread evenly
over the table. "first" is the query that meets them, "next" the one after.
"""

import sys
import tempfile
from collections.abc import Callable
from time import process_time

import numpy as np
import pyarrow as pa

from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRequest
from rutile_kv.engine.api import CF_WRITE, Modify
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import int_handle, record_key, storage_key, table_range, versioned_key
from rutile_proto.timestamps import compose

SCHEMA = TableSchema(
    table_id=7,
    name="orders",
    columns=(
        Column(1, "id", ColumnType(Kind.BIGINT), nullable=False),
        Column(2, "city", ColumnType(Kind.VARCHAR, length=20)),
        Column(3, "amount", ColumnType(Kind.DECIMAL, precision=15, scale=2)),
        Column(4, "day", ColumnType(Kind.DATE)),
        Column(5, "note", ColumnType(Kind.VARCHAR, length=60)),
    ),
    primary_key=(1,),
    handle="int",
)
COLUMNS = ("city", "amount", "day")
ALL = tuple(column.name for column in SCHEMA.columns)
WHOLE = [table_range(SCHEMA.table_id)]
QUERY = "SELECT city, count(*), sum(amount), max(day) FROM s0 WHERE day < DATE '2020-01-01' GROUP BY city"
REGION = metapb.Region(id=1, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))
ROUNDS = 3
UPDATES = (0, 1, 1000, 20_000)


class Table:
    """The rows, and a clock that gives every entry a commit timestamp and an index."""

    def __init__(self, engine: RocksEngine, rows: int) -> None:
        self.engine, self.rows, self.index = engine, rows, 0
        self.cache = ArrowCache(1 << 30)
        self.cache.follow()
        self.apply_seconds = 0.0
        self._codec = RowCodec(SCHEMA)
        self.write(range(rows), 1)

    @property
    def now(self) -> int:
        return compose(1_700_000_000_000 + self.index, 0)

    def write(self, handles: range, entry_rows: int) -> None:
        """Commit new versions, `entry_rows` to an entry (bulk if 1: the first load)."""
        values = self._codec.encode_batch(self._batch(handles))
        modifies: list[list[Modify]] = [[]]
        for handle, value in zip(handles, values, strict=True):
            if len(modifies[-1]) >= max(entry_rows, 1):
                modifies.append([])
            key = storage_key(record_key(SCHEMA.table_id, int_handle(handle)))
            record = Write(WriteKind.PUT, self.now, value).to_bytes()
            modifies[-1].append((CF_WRITE, versioned_key(key, self.now + 1), record))
        for entry in modifies:
            self._apply(entry)

    def _apply(self, entry: list[Modify]) -> None:
        self.index += 1
        batch = self.engine.batch()
        for cf, key, value in entry:
            assert value is not None
            batch.put(cf, key, value)
        began = process_time()
        self.cache.applied(REGION.id, self.index, entry)
        self.apply_seconds += process_time() - began
        self.engine.write(batch)

    def _batch(self, handles: range) -> pa.RecordBatch:
        ids = np.arange(handles.start, handles.stop, handles.step)
        return pa.record_batch(
            {
                "id": pa.array(ids),
                "city": pa.array([f"city {each % 50}" for each in ids.tolist()]),
                "amount": pa.array((ids * 31 + self.index) % 100_000)
                .cast(pa.decimal128(19, 0))
                .cast(pa.decimal128(21, 2)),
                "day": pa.array(((ids * 7 + self.index) % 20_000).astype(np.int32)).cast(pa.date32()),
                "note": pa.array([f"order number {each} of many others" for each in ids.tolist()]),
            }
        )

    def query(self, executor: Executor, reader: MirrorReader) -> tuple[float, str, list[pa.RecordBatch]]:
        """Processor seconds from snapshot to the last page, the path, and the answer."""
        began = process_time()
        with self.engine.snapshot() as snapshot:
            pin = self.cache.pin(REGION.id, [SCHEMA.table_id], self.index)
            request = TableRequest(SCHEMA, COLUMNS, WHOLE, self.now + 1)
            read = reader.read(RegionData(REGION, snapshot, pin), request, lambda size_bytes: None)
        with executor.run(Fragment(QUERY, (Scan("s0", SCHEMA, COLUMNS, tuple(WHOLE)),)), {"s0": read.batches}) as run:
            pages = list(run)
        return process_time() - began, read.path, pages

    def warm(self, executor: Executor, reader: MirrorReader) -> None:
        """Have a base with all columns, as a store has that has seen several queries."""
        with self.engine.snapshot() as snapshot:
            pin = self.cache.pin(REGION.id, [SCHEMA.table_id], self.index)
            reader.read(
                RegionData(REGION, snapshot, pin), TableRequest(SCHEMA, ALL, WHOLE, self.now + 1), lambda _: None
            )
        self.query(executor, reader)


def best(action: Callable[[], float]) -> float:
    return min(action() for _ in range(ROUNDS))


def answer(pages: list[pa.RecordBatch]) -> list[dict[str, object]]:
    return sorted((row for page in pages for row in page.to_pylist()), key=str)


def measure(table: Table, executor: Executor, updates: int) -> None:
    rows_reader, mirror = MirrorReader(None), MirrorReader(table.cache)
    firsts, nexts = [], []
    for _ in range(ROUNDS):
        table.cache.drop_region(REGION.id)
        table.warm(executor, mirror)
        before = table.apply_seconds
        if updates:
            table.write(range(0, table.rows, max(1, table.rows // updates))[:updates], 10)
        applied = table.apply_seconds - before
        seconds, path, pages = table.query(executor, mirror)
        firsts.append(seconds)
        nexts.append(table.query(executor, mirror)[0])
        assert answer(pages) == answer(table.query(executor, rows_reader)[2]), "both paths answer alike"
    by_rows = best(lambda: table.query(executor, rows_reader)[0])
    base_only = by_rows if updates else min(firsts)
    first, following = min(firsts), min(nexts)
    print(
        f"{updates:7,} {by_rows * 1e3:10.1f} {base_only * 1e3:12.1f} {first * 1e3:13.1f} {following * 1e3:12.1f}"
        f" {by_rows / first:10.1f} {base_only / first:13.1f} {applied / max(updates, 1) * 1e6:12.2f}   {path}"
    )


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as directory:
        engine = RocksEngine.open(directory)
        executor = Executor()
        table = Table(engine, rows)
        print(f"{rows:,} rows; processor ms, best of {ROUNDS}; note: what following costs the apply path, us a row")
        print("updates    by rows    base only  mirror first  mirror next  rows/first  base/first   us to note   path")
        for updates in UPDATES:
            measure(table, executor, updates)
        executor.close()
        engine.close()


if __name__ == "__main__":
    main()
