"""Rows per second through the row codec, on a table like TPC-H's lineitem, beside pyarrow's own IPC of the same batch.

python benchmarks/row_codec.py [rows]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema

REPEATS = 5
MONEY = ColumnType(Kind.DECIMAL, precision=15, scale=2)
LINEITEM = (
    ("l_orderkey", ColumnType(Kind.BIGINT)), ("l_partkey", ColumnType(Kind.BIGINT)),
    ("l_suppkey", ColumnType(Kind.BIGINT)), ("l_linenumber", ColumnType(Kind.INT)),
    ("l_quantity", MONEY), ("l_extendedprice", MONEY), ("l_discount", MONEY), ("l_tax", MONEY),
    ("l_returnflag", ColumnType(Kind.CHAR, length=1)), ("l_linestatus", ColumnType(Kind.CHAR, length=1)),
    ("l_shipdate", ColumnType(Kind.DATE)), ("l_commitdate", ColumnType(Kind.DATE)),
    ("l_receiptdate", ColumnType(Kind.DATE)), ("l_shipinstruct", ColumnType(Kind.CHAR, length=25)),
    ("l_shipmode", ColumnType(Kind.CHAR, length=10)), ("l_comment", ColumnType(Kind.VARCHAR, length=44)),
)  # fmt: skip


def lineitem_schema() -> TableSchema:
    columns = tuple(Column(place + 1, name, kind, nullable=False) for place, (name, kind) in enumerate(LINEITEM))
    return TableSchema(1, "lineitem", columns, (1, 4), "common")


def lineitem_batch(schema: TableSchema, rows: int) -> pa.RecordBatch:
    """Random values of the right types and lengths."""
    random = np.random.default_rng(7)
    texts = pa.array(["carefully final deposits sleep furiously bold"[:end] for end in range(1, 45)])
    arrays = []
    for column in schema.columns:
        kind = column.type.arrow_type
        if column.type.is_variable:
            longest = min(column.type.length, 44)
            picked = random.integers(max(0, longest - 20), longest, rows)
            arrays.append(texts.take(pa.array(picked)))
        elif pa.types.is_decimal(kind):
            cents = np.zeros((rows, 2), np.int64)
            cents[:, 0] = random.integers(0, 10_000_000, rows)
            arrays.append(pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(cents)]))
        else:
            arrays.append(pa.array(random.integers(0, 10_000, rows).astype(np.int32)).cast(kind))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow_schema())


def seconds(work: Callable[[], Any]) -> float:
    """The best of a few runs."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def ipc_bytes(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def main(rows: int) -> None:
    schema = lineitem_schema()
    codec, batch = RowCodec(schema), lineitem_batch(schema, rows)
    values, stream = codec.encode_batch(batch), ipc_bytes(batch)
    row = tuple(batch.slice(0, 1).to_pylist()[0].values())
    encode, decode = seconds(lambda: codec.encode_batch(batch)), seconds(lambda: codec.decode_batch(values))
    two = seconds(lambda: codec.decode_batch(values, None, ["l_shipdate", "l_extendedprice"]))
    write, read = seconds(lambda: ipc_bytes(batch)), seconds(lambda: pa.ipc.open_stream(stream).read_all())
    print(f"{rows} rows of {sum(map(len, values)) / rows:.0f} bytes, 16 columns")
    print(f"encode_batch            {rows / encode:>12,.0f} rows/s   {encode / write:8.1f} x the time of Arrow IPC")
    print(f"decode_batch            {rows / decode:>12,.0f} rows/s   {decode / read:8.1f} x the time of Arrow IPC")
    print(f"decode_batch, 2 columns {rows / two:>12,.0f} rows/s")
    one_out = seconds(lambda: [codec.encode_row(row) for _ in range(1000)]) / 1000
    one_in = seconds(lambda: [codec.decode_row(values[0]) for _ in range(1000)]) / 1000
    print(f"encode_row              {1e6 * one_out:12.1f} µs")
    print(f"decode_row              {1e6 * one_in:12.1f} µs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
