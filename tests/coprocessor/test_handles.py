"""Handles: order of bytes is order of values, for every type a key may have, one by one and in batches."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from coprocessor_strategies import column_types, sample_value, values_of
from hypothesis import given
from hypothesis import strategies as st

from rutile_coprocessor.enumerations import number_of_text
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar, TableSchema
from rutile_coprocessor.value_errors import NullNotAllowed, ValueOutOfRange
from rutile_proto import keys
from rutile_proto.errors import InvalidRequest, MalformedEncoding


def key_schema(kinds: list[ColumnType]) -> TableSchema:
    columns = tuple(Column(place + 1, f"k{place}", kind, nullable=False) for place, kind in enumerate(kinds))
    return TableSchema(1, "t", columns, tuple(column.id for column in columns), "common")


def key_batch(schema: TableSchema, rows: list[tuple[Scalar, ...]]) -> pa.RecordBatch:
    arrow = schema.arrow_schema()
    arrays = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(arrow.types)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


def sort_key(row: tuple[Any, ...], kinds: list[ColumnType]) -> tuple[Any, ...]:
    """Text orders by its UTF-8 bytes, ENUM and SET by their numbers."""
    return tuple(
        number_of_text(kind, value) if kind.is_enumerated else value.encode() if isinstance(value, str) else value
        for value, kind in zip(row, kinds, strict=True)
    )


@given(st.lists(column_types, min_size=1, max_size=3), st.data())
def test_handles_order_like_values_and_decode_to_them(kinds: list[ColumnType], data: st.DataObject) -> None:
    schema = key_schema(kinds)
    handles = HandleCodec(schema)
    rows = data.draw(st.lists(st.tuples(*(values_of(kind) for kind in kinds)), max_size=6))
    encoded = [handles.encode(row) for row in rows]
    assert [sort_key(handles.decode(handle), kinds) for handle in encoded] == [sort_key(row, kinds) for row in rows]
    assert handles.encode_batch(key_batch(schema, rows)) == encoded
    assert handles.encode_batch(key_batch(schema, rows).slice(1)) == encoded[1:]
    for left, left_handle in zip(rows, encoded, strict=True):
        assert left_handle.startswith(handles.encode_prefix(left[:-1]))
        for right, right_handle in zip(rows, encoded, strict=True):
            assert (sort_key(left, kinds) < sort_key(right, kinds)) == (left_handle < right_handle)


@given(
    st.sampled_from([Kind.TINYINT, Kind.INT, Kind.BIGINT]).flatmap(
        lambda kind: st.booleans().map(lambda unsigned: ColumnType(kind, unsigned))
    ),
    st.data(),
)
def test_integer_handles(kind: ColumnType, data: st.DataObject) -> None:
    schema = TableSchema(1, "t", (Column(1, "id", kind, nullable=False),), (1,), "int")
    handles = HandleCodec(schema)
    values = sorted(data.draw(st.lists(values_of(kind), min_size=1)))
    batch = key_batch(schema, [(value,) for value in values])
    numbers = handles.int_handles(batch)
    assert numbers.tolist() == [handles.int_of(value) for value in values] == sorted(numbers.tolist())
    assert [handles.value_of(number) for number in numbers.tolist()] == values
    assert [keys.int_handle(number) for number in numbers.tolist()] == handles.encode_batch(batch)
    assert [handles.encode((value,)) for value in values] == handles.encode_batch(batch)


def test_refusals() -> None:
    handles = HandleCodec(key_schema([ColumnType(Kind.TINYINT), ColumnType(Kind.TEXT)]))
    with pytest.raises(NullNotAllowed, match="column k1: NULL in a primary key"):
        handles.encode((1, None))
    with pytest.raises(ValueOutOfRange, match="column k0"):
        handles.encode((200, "x"))
    with pytest.raises(InvalidRequest, match="1 values for a key of 2 columns"):
        handles.encode((1,))
    with pytest.raises(MalformedEncoding):
        handles.decode(handles.encode((1, "x")) + b"!")
    with pytest.raises(InvalidRequest, match="no integer handle"):
        handles.int_handles(key_batch(handles.schema, [(1, "x")]))
    with pytest.raises(NullNotAllowed):
        handles.encode_batch(pa.record_batch({"k0": pa.array([None], pa.int8()), "k1": ["x"]}))
    with pytest.raises(InvalidRequest, match="lacks the key column k1"):
        handles.encode_batch(pa.record_batch({"k0": pa.array([1], pa.int8())}))


def test_tables_without_a_primary_key_have_no_handles_of_their_own() -> None:
    column = Column(1, "v", ColumnType(Kind.INT))
    handles = HandleCodec(TableSchema(1, "t", (column,)))
    with pytest.raises(InvalidRequest, match="has no primary key"):
        handles.encode_batch(pa.record_batch({"v": pa.array([sample_value(column.type)], pa.int32())}))
