"""The row codec: round trips over all types, the batch half against the scalar half, older layouts, refusals."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from coprocessor_strategies import column_types, sample_value, tables, values_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_coprocessor.row import CHUNK_ROWS, RowCodec
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, Scalar, TableSchema
from rutile_coprocessor.value_errors import (
    ColumnValueError,
    NullNotAllowed,
    ValueOutOfRange,
    ValueTooLong,
    WrongValueType,
)
from rutile_proto.errors import EngineCorrupt, InvalidRequest, LayoutMismatch

Row = tuple[Scalar, ...]


def to_batch(schema: TableSchema, rows: list[Row]) -> pa.RecordBatch:
    arrow = schema.arrow_schema()
    columns = [[row[place] for row in rows] for place in range(len(schema.columns))]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, arrow.types, strict=True)], schema=arrow
    )


@given(tables())
def test_scalar_and_batch_agree_and_round_trip(table: tuple[TableSchema, list[Row]]) -> None:
    schema, rows = table
    codec, batch = RowCodec(schema), to_batch(schema, rows)
    encoded = [codec.encode_row(row) for row in rows]
    assert codec.encode_batch(batch) == encoded
    assert [codec.decode_row(data) for data in encoded] == rows
    decoded = codec.decode_batch(encoded)
    decoded.validate(full=True)
    assert decoded.equals(batch)


@given(tables(), st.data())
def test_a_slice_of_a_batch_encodes_like_its_rows(table: tuple[TableSchema, list[Row]], data: st.DataObject) -> None:
    schema, rows = table
    codec = RowCodec(schema)
    start = data.draw(st.integers(0, len(rows)))
    assert codec.encode_batch(to_batch(schema, rows).slice(start)) == [codec.encode_row(row) for row in rows[start:]]


@given(tables(), column_types, st.data())
@settings(max_examples=50)
def test_older_layouts_read_with_defaults_and_without_dropped_columns(
    table: tuple[TableSchema, list[Row]], kind: ColumnType, data: st.DataObject
) -> None:
    old, rows = table
    default = data.draw(st.none() | values_of(kind))
    position = data.draw(st.integers(0, len(old.columns)))
    grown = old.add_column(Column(100, "added", kind, default=default), position)
    shrunk = grown.drop_column("c0")
    place = [column.name for column in old.columns].index("c0")
    encoded = [RowCodec(old).encode_row(row) for row in rows]
    wider = [(*row[:position], default, *row[position:]) for row in rows]
    encoded += [RowCodec(grown).encode_row(row) for row in wider]
    place += position <= place
    expected = [(*row[:place], *row[place + 1 :]) for row in wider] * 2
    shuffle = data.draw(st.permutations(range(len(expected))))
    codec = RowCodec(shrunk)
    assert [codec.decode_row(row) for row in encoded] == expected
    mixed = codec.decode_batch([encoded[place] for place in shuffle])
    assert mixed.equals(to_batch(shrunk, [expected[place] for place in shuffle]))


def test_many_chunks_projection_and_hidden_handles() -> None:
    schema = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.INT)), Column(2, "b", ColumnType(Kind.TEXT))))
    codec, count = RowCodec(schema), CHUNK_ROWS + 3
    values = [codec.encode_row((row, None if row % 3 else "x" * (row % 30))) for row in range(count)]
    batch = codec.decode_batch(values, np.arange(count), ["b", HIDDEN_HANDLE])
    assert batch.schema.names == ["b", HIDDEN_HANDLE]
    assert batch.column(1).to_pylist() == list(range(count))
    assert batch.column(0).to_pylist() == [None if row % 3 else "x" * (row % 30) for row in range(count)]
    assert codec.encode_batch(codec.decode_batch(values)) == values
    with pytest.raises(InvalidRequest, match="no handles were given"):
        codec.decode_batch(values, None, [HIDDEN_HANDLE])


def one_column(kind: ColumnType, nullable: bool = True) -> RowCodec:
    return RowCodec(TableSchema(1, "t", (Column(1, "price", kind, nullable),)))


MISFITS: list[tuple[ColumnType, Scalar, pa.DataType, type[ColumnValueError]]] = [
    (ColumnType(Kind.TINYINT), 128, pa.int64(), ValueOutOfRange),
    (ColumnType(Kind.BIGINT, unsigned=True), -1, pa.int64(), ValueOutOfRange),
    (ColumnType(Kind.INT), "1", pa.string(), WrongValueType),
    (ColumnType(Kind.INT), 1.0, pa.float64(), WrongValueType),
    (ColumnType(Kind.YEAR), 2156, pa.int32(), ValueOutOfRange),
    (ColumnType(Kind.DECIMAL, precision=4, scale=1), Decimal("1000"), pa.decimal128(10, 1), ValueOutOfRange),
    (ColumnType(Kind.DECIMAL, precision=4, scale=1), Decimal("1.25"), pa.decimal128(10, 2), ValueOutOfRange),
    (
        ColumnType(Kind.DECIMAL, precision=4, scale=1, unsigned=True),
        Decimal("-1"),
        pa.decimal128(4, 1),
        ValueOutOfRange,
    ),
    (ColumnType(Kind.DOUBLE), float("nan"), pa.float64(), ValueOutOfRange),
    (ColumnType(Kind.FLOAT), 1e39, pa.float64(), ValueOutOfRange),
    (ColumnType(Kind.VARCHAR, length=2), "äöü", pa.string(), ValueTooLong),
    (ColumnType(Kind.TEXT, length=255), "x" * 256, pa.string(), ValueTooLong),
    (ColumnType(Kind.VARBINARY, length=2), b"abc", pa.binary(), ValueTooLong),
    (ColumnType(Kind.VARCHAR, length=9), b"abc", pa.binary(), WrongValueType),
    (ColumnType(Kind.DATE), datetime(2024, 1, 1), pa.timestamp("us"), WrongValueType),
    (ColumnType(Kind.DATETIME), datetime(2024, 1, 1, 0, 0, 0, 5), pa.timestamp("us"), ValueOutOfRange),
    (ColumnType(Kind.DATETIME), date(2024, 1, 1), pa.date32(), WrongValueType),
    (ColumnType(Kind.TIME), timedelta(hours=839), pa.duration("us"), ValueOutOfRange),
]


@pytest.mark.parametrize(("kind", "value", "arrow_type", "error"), MISFITS, ids=lambda part: str(part)[:30])
def test_what_a_column_cannot_hold_is_refused_by_name(
    kind: ColumnType, value: Scalar, arrow_type: pa.DataType, error: type[ColumnValueError]
) -> None:
    codec = one_column(kind)
    with pytest.raises(error, match="column price: ") as scalar:
        codec.encode_row((value,))
    with pytest.raises(error, match="column price: ") as vector:
        codec.encode_batch(pa.record_batch({"price": pa.array([None, value], arrow_type)}))
    assert scalar.value.column == vector.value.column == "price"


@given(column_types)
def test_null_in_a_not_null_column_is_refused(kind: ColumnType) -> None:
    codec = one_column(kind, nullable=False)
    with pytest.raises(NullNotAllowed):
        codec.encode_row((None,))
    with pytest.raises(NullNotAllowed):
        codec.encode_batch(pa.record_batch({"price": pa.array([sample_value(kind), None], kind.arrow_type)}))


def test_batches_of_the_same_family_convert_and_missing_columns_are_named() -> None:
    codec = one_column(ColumnType(Kind.INT))
    assert codec.encode_batch(pa.record_batch({"PRICE": pa.array([5], pa.int64())})) == [codec.encode_row((5,))]
    with pytest.raises(InvalidRequest, match="lacks columns price"):
        codec.encode_batch(pa.record_batch({"other": pa.array([5])}))
    with pytest.raises(InvalidRequest, match="2 values for 1 columns"):
        codec.encode_row((1, 2))


def test_damaged_rows_are_found() -> None:
    schema = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.INT)), Column(2, "b", ColumnType(Kind.TEXT))))
    codec = RowCodec(schema)
    good = codec.encode_row((5, "hello"))
    for bad in (good[:-1], good + b"x", good[:6], b"", b"\x02" + good[1:]):
        with pytest.raises(EngineCorrupt):
            codec.decode_row(bad)
        with pytest.raises(EngineCorrupt):
            codec.decode_batch([good, bad])
    with pytest.raises(LayoutMismatch, match="row layout 9 is newer"):
        codec.decode_row(b"\x01\x09\x00" + good[3:])


def test_a_row_without_a_column_that_every_row_has_is_not_read() -> None:
    old = TableSchema(1, "t", (Column(1, "a", ColumnType(Kind.INT)),))
    data = RowCodec(old).encode_row((5,))
    new = old.add_column(Column(2, "b", ColumnType(Kind.INT), in_every_row=True))
    assert TableSchema.from_bytes(new.to_bytes()) == new
    with pytest.raises(LayoutMismatch, match="column b changed after the row was written"):
        RowCodec(new).decode_row(data)
    with pytest.raises(LayoutMismatch):
        RowCodec(new).decode_batch([data])
    assert RowCodec(new).decode_batch([data], columns=["a"]).to_pydict() == {"a": [5]}
