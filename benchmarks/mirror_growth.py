"""What Q1 and Q6 pay as the mirror's delta grows, and as its rows are cut into more regions.

    python benchmarks/mirror_growth.py [--scale 0.5] [--data DIR]      about two minutes

TPC-H's lineitem stands in a mirror, without a store around it. Changes come as log entries of fifty rows all over the
table, each with a new price and quantity, and are told to the mirror as the raftstore tells it; nothing folds. For each
size of the delta:

    first     the query that meets the delta: it decodes it
    next      the query after it, which goes on from what the first one left behind
    kept up   the query that comes when the store has kept up with the delta, as it does after every thousand changes

Milliseconds of wall time, the best of three; ratios are to the first row. Every answer is compared with DuckDB's own
over a table of its own with the same changes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rutile.nodes.demo import make_tpch_files
from rutile_coprocessor.execute import Executor
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader, RegionData, TableRequest
from rutile_kv.engine.api import CF_WRITE, Modify, Snapshot
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_kv.server.keeping_up import KeepingUp
from rutile_kv.server.warm_relations import WarmRelations
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import record_key, storage_key, table_range, versioned_key
from rutile_proto.timestamps import compose

MONEY = ColumnType(Kind.DECIMAL, precision=15, scale=2)
DATE, INT, BIGINT = ColumnType(Kind.DATE), ColumnType(Kind.INT), ColumnType(Kind.BIGINT)
LETTER = ColumnType(Kind.VARCHAR, length=1)
COLUMNS = {
    "l_orderkey": BIGINT, "l_linenumber": INT, "l_quantity": MONEY, "l_extendedprice": MONEY, "l_discount": MONEY,
    "l_tax": MONEY, "l_returnflag": LETTER, "l_linestatus": LETTER,
    "l_shipdate": DATE, "l_shipmode": ColumnType(Kind.VARCHAR, length=10),
}  # fmt: skip
SCHEMA = TableSchema(
    table_id=7,
    name="lineitem",
    columns=tuple(Column(at, name, kind, nullable=False) for at, (name, kind) in enumerate(COLUMNS.items(), 1)),
    primary_key=(1, 2),
    handle="common",
)
QUERIES = {
    "Q1": (
        "SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice),"
        " sum(l_extendedprice * (1 - l_discount)), sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)),"
        " count(*) FROM s0 WHERE l_shipdate <= DATE '1998-09-02' GROUP BY l_returnflag, l_linestatus",
        ("l_quantity", "l_extendedprice", "l_discount", "l_tax", "l_returnflag", "l_linestatus", "l_shipdate"),
    ),
    "Q6": (
        "SELECT sum(l_extendedprice * l_discount) FROM s0 WHERE l_shipdate >= DATE '1994-01-01'"
        " AND l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
        ("l_quantity", "l_extendedprice", "l_discount", "l_shipdate"),
    ),
}
"""Text and columns."""
CHUNK_ROWS = 65_536
ENTRY_ROWS = 50
ROUNDS = 3
LOADED_AT = compose(1_700_000_000_000, 0)


@dataclass(slots=True)
class Part:
    """One region, and the index applied to it."""

    region: metapb.Region
    rows: range
    index: int = 10


class Mirror:
    """The table's rows, cut into regions, in a mirror; and the same table in a DuckDB of its own."""

    def __init__(self, rows: pa.Table, regions: int) -> None:
        self._batch = rows.combine_chunks().to_batches()[0]
        self._codec = RowCodec(SCHEMA)
        handles = HandleCodec(SCHEMA).encode_batch(self._batch)
        self._keys = [record_key(SCHEMA.table_id, handle) for handle in handles]
        self._engine = MemoryEngine()
        self._now = LOADED_AT
        self._chance = np.random.default_rng(7)
        self.cache = ArrowCache(8 << 30, max_log_entries=1 << 22)
        self.cache.follow()
        self.reader = MirrorReader(self.cache)
        self.relations = WarmRelations(1 << 30)
        self.executor = Executor(memory_limit_bytes=4 << 30)
        cuts = np.linspace(0, len(self._keys), regions + 1).astype(int).tolist()
        self.parts = [self._part(number, low, high) for number, (low, high) in enumerate(pairwise(cuts))]
        self.twin = duckdb.connect()
        self.twin.execute("CREATE TABLE s0 AS SELECT * FROM rows").fetchall()

    def _part(self, number: int, low: int, high: int) -> Part:
        """A region with a base of these rows."""
        end = storage_key(self._keys[high]) if high < len(self._keys) else b""
        start = storage_key(self._keys[low]) if low else b""
        region = metapb.Region(id=number + 1, start_key=start, end_key=end)
        region.region_epoch.version = 1
        part = Part(region, range(low, high))
        pin = self.cache.pin(region.id, [SCHEMA.table_id], part.index)
        assert pin is not None, "the mirror is followed"
        cuts = [*range(low, high, CHUNK_ROWS), high]
        width = len(self._keys[0])
        keys = tuple(
            np.frombuffer(b"".join(self._keys[a:b]), np.uint8).reshape(b - a, width) for a, b in pairwise(cuts)
        )
        columns = {
            column.id: tuple(self._batch.column(column.name).slice(a, b - a) for a, b in pairwise(cuts))
            for column in SCHEMA.columns
        }
        key = BaseKey(region.id, 1, SCHEMA.table_id, SCHEMA.layout_version)
        self.cache.put(key, TableBase(part.index, LOADED_AT, keys, columns, SCHEMA), pin)
        return part

    def change(self, count: int) -> float:
        """Write `count` rows anew, all over the table; the seconds it took to tell the mirror."""
        if count > len(self._keys):
            return self.change(len(self._keys)) + self.change(count - len(self._keys))
        chosen = np.sort(self._chance.choice(len(self._keys), size=count, replace=False))
        rows = self._changed(pa.array(chosen))
        self.twin.register("changed", rows)
        self.twin.execute(
            "UPDATE s0 SET l_quantity = changed.l_quantity, l_extendedprice = changed.l_extendedprice FROM changed"
            " WHERE s0.l_orderkey = changed.l_orderkey AND s0.l_linenumber = changed.l_linenumber"
        )
        values = self._codec.encode_batch(rows)
        seconds = 0.0
        for part in self.parts:
            low, high = np.searchsorted(chosen, [part.rows.start, part.rows.stop]).tolist()
            inside = self._chance.permutation(np.arange(low, high)).tolist()
            for at in range(0, len(inside), ENTRY_ROWS):
                pairs = [(int(chosen[each]), values[each]) for each in inside[at : at + ENTRY_ROWS]]
                seconds += self._apply(part, pairs)
        return seconds

    def _changed(self, positions: pa.Array) -> pa.RecordBatch:
        rows = self._batch.take(positions)
        for name, most in (("l_quantity", 5_000), ("l_extendedprice", 10_000_000)):
            cents = pa.array(self._chance.integers(100, most, len(rows))).cast(pa.decimal128(19, 0))
            hundred = pa.scalar(100, pa.decimal128(3, 0))
            value = pa.compute.divide(cents.cast(pa.decimal128(21, 2)), hundred).cast(pa.decimal128(15, 2), safe=False)
            rows = rows.set_column(rows.schema.get_field_index(name), name, value)
        return rows

    def _apply(self, part: Part, pairs: Sequence[tuple[int, bytes]]) -> float:
        self._now += 1 << 18
        part.index += 1
        entry: list[Modify] = [
            (
                CF_WRITE,
                versioned_key(storage_key(self._keys[row]), self._now),
                Write(WriteKind.PUT, self._now - 1, value).to_bytes(),
            )
            for row, value in pairs
        ]
        began = time.perf_counter()
        self.cache.applied(part.region.id, part.index, entry)
        return time.perf_counter() - began

    def query(self, name: str) -> tuple[float, list[tuple[object, ...]]]:
        """Seconds and the answer, through the mirror."""
        text, columns = QUERIES[name]
        began = time.perf_counter()
        fragment = Fragment(text, (Scan("s0", SCHEMA, columns, (table_range(SCHEMA.table_id),)),))
        uses = self.executor.bounds(fragment).get("s0", ())
        request = TableRequest(SCHEMA, columns, [table_range(SCHEMA.table_id)], self._now + 1, uses)
        pins = (self.cache.pin(part.region.id, [SCHEMA.table_id], part.index) for part in self.parts)
        parts = [
            (RegionData(part.region, self._engine, pin), request) for part, pin in zip(self.parts, pins, strict=True)
        ]
        loaded = self.relations.load(self.reader, parts, SCHEMA.arrow_schema(columns), lambda size_bytes: None)
        assert loaded.path != "rows", "the mirror has all of it"
        with self.executor.run(fragment, {"s0": loaded.source}) as run:
            pages = list(run)
        seconds = time.perf_counter() - began
        return seconds, sorted(tuple(row.values()) for page in pages for row in page.to_pylist())

    def keep_up(self) -> None:
        """What a store does behind the queries' backs."""
        asyncio.run(KeepingUp(self.cache, self.relations.followed, self._local_snapshot).catch_up())

    def _local_snapshot(self, region_id: int) -> tuple[Snapshot, metapb.Region, int]:
        (part,) = (part for part in self.parts if part.region.id == region_id)
        return self._engine.snapshot(), part.region, part.index

    def check(self, name: str, answer: list[tuple[object, ...]]) -> None:
        """Raises AssertionError unless DuckDB answers the same over its own table."""
        expected = sorted(self.twin.execute(QUERIES[name][0]).fetchall())
        assert answer == expected, f"{name}: {answer} is not {expected}"

    def close(self) -> None:
        self.executor.close()
        self.twin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--data", type=Path, help="where TPC-H's files are, or are to be kept")
    parser.add_argument("--changes", type=int, nargs="+", default=[0, 1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--regions", type=int, nargs="+", default=[1, 4, 16, 64])
    options = parser.parse_args()
    table = _lineitem(options.scale, options.data)
    print(f"lineitem at scale {options.scale:g}: {table.num_rows:,} rows; ms, best of {ROUNDS}, and ratio")
    _delta_growth(table, options.changes)
    _region_growth(table, options.regions)


def _lineitem(scale: float, kept: Path | None) -> pa.Table:
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as name:
        folder = kept or Path(name)
        if not (folder / "lineitem.parquet").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_tpch_files(scale, folder)
        table = pq.read_table(folder / "lineitem.parquet", columns=list(COLUMNS))
    return table.cast(SCHEMA.arrow_schema(tuple(COLUMNS)))


def _delta_growth(table: pa.Table, sizes: Sequence[int]) -> None:
    kinds = "".join(f"{name + ' ' + kind:>16}" for name in QUERIES for kind in ("first", "next", "kept up"))
    print(f"  changes{kinds}   us a row to note")
    ratios = _Ratios()
    mirror = Mirror(table, 1)
    for size in sizes:
        rows = []
        for name in QUERIES:
            firsts, nexts, kept, noted = [], [], [], 0.0
            for _ in range(ROUNDS):
                noted = mirror.change(size) if size else 0.0
                seconds, answer = mirror.query(name)
                mirror.check(name, answer)
                firsts.append(seconds)
                nexts.append(mirror.query(name)[0])
                kept.append(_kept_up(mirror, name, size))
            rows += [min(firsts), min(nexts), min(kept)]
        print(f"{size:9,} {'  '.join(ratios.of(rows))} {noted / max(1, size) * 1e6:10.2f}", flush=True)
    mirror.close()


def _kept_up(mirror: Mirror, name: str, changes: int) -> float:
    if changes:
        mirror.change(changes)
    mirror.keep_up()
    seconds, answer = mirror.query(name)
    mirror.check(name, answer)
    return seconds


def _region_growth(table: pa.Table, counts: Sequence[int]) -> None:
    print("  regions              Q1            Q6    with 1,000 changes: Q1            Q6")
    ratios = _Ratios()
    for count in counts:
        mirror = Mirror(table, count)
        quiet = [min(mirror.query(name)[0] for _ in range(ROUNDS)) for name in QUERIES]
        changed = [min(_met(mirror, name) for _ in range(ROUNDS)) for name in QUERIES]
        print(f"{count:9,} {'  '.join(ratios.of([*quiet, *changed]))}", flush=True)
        mirror.close()


def _met(mirror: Mirror, name: str) -> float:
    mirror.change(1_000)
    seconds, answer = mirror.query(name)
    mirror.check(name, answer)
    return seconds


class _Ratios:
    """Figures of a row, each with its ratio to that of the first row."""

    def __init__(self) -> None:
        self._first: list[float] = []

    def of(self, row: Sequence[float]) -> Iterator[str]:
        self._first = self._first or list(row)
        return (f"{each * 1e3:8.1f} {each / first:4.2f}x" for each, first in zip(row, self._first, strict=True))


if __name__ == "__main__":
    main()
