"""Handles: how a primary key names its row within the table's key range.

| schema.handle | handle                                                                                        |
|---------------|-----------------------------------------------------------------------------------------------|
| "int"         | the value as int64; BIGINT UNSIGNED is moved down by 2^63, so that the order stays             |
| "common"      | the encodings of the key's columns, one after the other (rutile_proto.codec)                  |
| "hidden"      | a row id, as int64                                                                            |

The order of handles as bytes is the order of the keys as values, column by column: numbers and times by value, text by
its UTF-8 bytes (utf8mb4_bin), ENUM and SET by their numbers. So a range of keys is a range of handles, and a prefix of
columns a prefix of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rutile_coprocessor.column_types import MAX_INT64_PRECISION, ColumnType, Kind
from rutile_coprocessor.enumerations import numbers_of_texts
from rutile_coprocessor.row_arrow import Int64Array, checked_array, raw_values
from rutile_coprocessor.row_layout import INT128, storage_dtype
from rutile_coprocessor.row_values import Converter, storage_reader, storage_writer
from rutile_coprocessor.schema import Column, Scalar, TableSchema
from rutile_coprocessor.value_errors import NullNotAllowed
from rutile_proto import codec
from rutile_proto.errors import InvalidRequest, MalformedEncoding

ByteMatrix: TypeAlias = npt.NDArray[np.uint8]
Encoder: TypeAlias = Callable[[Any], bytes]
Decoder: TypeAlias = Callable[[bytes, int], tuple[Any, int]]

_SIGN = 1 << 63


class HandleCodec:
    """Handles of one table."""

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self._columns = schema.primary_key_columns
        self._is_int = schema.handle == "int"
        self._shift = _SIGN if self._is_int and is_unsigned_64(self._columns[0].type) else 0
        self._plan = [scalar_plan(column) for column in self._columns]

    # --- one key ---

    def encode(self, key: Sequence[Scalar]) -> bytes:
        """The handle of a primary key, its values in key order. Raises a ColumnValueError, NULL included."""
        if len(key) != len(self._columns):
            raise InvalidRequest(f"{len(key)} values for a key of {len(self._columns)} columns")
        return self.encode_prefix(key)

    def encode_prefix(self, key: Sequence[Scalar]) -> bytes:
        """What the handles of all rows with these values in the key's first columns start with."""
        parts = []
        for column, value, (write, encode, _, _) in zip(self._columns, key, self._plan, strict=False):
            if value is None:
                raise NullNotAllowed(column.name, "NULL in a primary key")
            parts.append(encode(write(value)))
        return b"".join(parts)

    def decode(self, handle: bytes) -> tuple[Scalar, ...]:
        """The primary key a handle names. Raises MalformedEncoding."""
        offset, key = 0, []
        for _, _, decode, read in self._plan:
            stored, offset = decode(handle, offset)
            key.append(stored if read is None else read(stored))
        if offset != len(handle):
            raise MalformedEncoding(f"{len(handle) - offset} bytes follow the handle {handle[:offset].hex()}")
        return tuple(key)

    def int_of(self, value: int) -> int:
        """The int64 that stands for a value of an "int" primary key (keys.int_handle takes it)."""
        return value - self._shift

    def value_of(self, handle: int) -> int:
        """The reverse of `int_of`."""
        return handle + self._shift

    # --- many keys ---

    def int_handles(self, batch: pa.RecordBatch) -> Int64Array:
        """The int64 handles of each row, for a table whose handle is "int" (keys.record_keys takes them)."""
        if not self._is_int:
            raise InvalidRequest(f"table {self.schema.name} has no integer handle")
        array = _key_array(self._columns[0], batch)
        values = raw_values(array, storage_dtype(self._columns[0].type))
        if self._shift:
            return (values ^ np.uint64(_SIGN)).view(np.int64)
        return values.astype(np.int64)

    def encode_batch(self, batch: pa.RecordBatch) -> list[bytes]:
        """The handle of each row. Raises a ColumnValueError."""
        return self.encode_array(batch).to_pylist()  # type: ignore[no-any-return]

    def encode_array(self, batch: pa.RecordBatch) -> pa.Array:
        """The handle of each row, as large_binary. Raises a ColumnValueError."""
        if self.schema.handle == "hidden":
            raise InvalidRequest(f"table {self.schema.name} has no primary key")
        parts = [encode_values(column.type, _key_array(column, batch)) for column in self._columns]
        return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def scalar_plan(column: Column) -> tuple[Converter, Encoder, Decoder, Converter | None]:
    """(to the stored form, its encoding, the decoding, from the stored form or None) of one key column."""
    return storage_writer(column), *_scalar_codec(column.type), storage_reader(column.type)


def _scalar_codec(kind: ColumnType) -> tuple[Encoder, Decoder]:
    if kind.is_variable:
        return codec.encode_bytes, codec.decode_bytes
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        return codec.encode_float64, codec.decode_float64
    if kind.kind is Kind.DECIMAL:
        narrow = kind.precision <= MAX_INT64_PRECISION
        return (codec.encode_decimal, codec.decode_decimal) if narrow else (_encode_int128, _decode_int128)
    if is_unsigned_64(kind):
        return codec.encode_uint64, codec.decode_uint64
    return codec.encode_int64, codec.decode_int64


def _encode_int128(stored: bytes) -> bytes:
    return codec.encode_decimal(int.from_bytes(stored, "little", signed=True))


def _decode_int128(buffer: bytes, offset: int) -> tuple[bytes, int]:
    unscaled, end = codec.decode_decimal(buffer, offset)
    return unscaled.to_bytes(16, "little", signed=True), end


def is_unsigned_64(kind: ColumnType) -> bool:
    """Whether values are encoded as unsigned 64-bit numbers: BIGINT UNSIGNED, BIT, ENUM and SET."""
    return (kind.kind is Kind.BIGINT and kind.unsigned) or kind.kind is Kind.BIT or kind.is_enumerated


def _key_array(column: Column, batch: pa.RecordBatch) -> pa.Array:
    positions = {name.lower(): place for place, name in enumerate(batch.schema.names)}
    if column.name.lower() not in positions:
        raise InvalidRequest(f"the batch lacks the key column {column.name}")
    array = checked_array(column, batch.column(positions[column.name.lower()]))
    if array.null_count:
        raise NullNotAllowed(column.name, "NULL in a primary key")
    return array


def encode_values(kind: ColumnType, array: pa.Array) -> pa.Array:
    """The encodings of a key column's values, as large_binary; what stands where there are NULLs is anything."""
    if kind.is_variable:
        return encode_bytes_array(array.cast(pa.binary()))
    matrix = _encode_fixed(kind, array) if not kind.is_enumerated else _encode_enumerated(kind, array)
    rows, width = matrix.shape
    fixed = pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(np.ascontiguousarray(matrix))])
    return fixed.cast(pa.large_binary())


def _encode_fixed(kind: ColumnType, array: pa.Array) -> ByteMatrix:
    if kind.kind is Kind.DECIMAL:
        halves = raw_values(array, INT128)
        low = halves[:, 0].astype(">i8").view(np.uint8).reshape(-1, 8)
        return np.concatenate([codec.encode_int64_array(halves[:, 1]), low], axis=1)
    values = raw_values(array, storage_dtype(kind))
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        doubles = values.astype(np.float64)
        bits = doubles.view(np.uint64)
        ordered = np.where(doubles >= 0, bits | np.uint64(_SIGN), ~bits)
        return ordered.astype(">u8").view(np.uint8).reshape(-1, 8)
    if is_unsigned_64(kind):
        return values.astype(">u8").view(np.uint8).reshape(-1, 8)
    return codec.encode_int64_array(values.astype(np.int64))


def _encode_enumerated(kind: ColumnType, array: pa.Array) -> ByteMatrix:
    return numbers_of_texts(kind, array, np.dtype(np.uint64)).astype(">u8").view(np.uint8).reshape(-1, 8)


def encode_bytes_array(array: pa.Array) -> pa.Array:
    """codec.encode_bytes of each value: the groups of all rows lie in one matrix, whose ninth column marks them."""
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    groups = lengths // codec.GROUP + 1
    ends = np.cumsum(groups)
    padded = np.zeros(int(ends[-1]) * codec.GROUP if len(ends) else 0, np.uint8)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]] if data_buffer else padded[:0]
    padded[np.arange(len(data)) + np.repeat((ends - groups) * codec.GROUP - (offsets[:-1] - offsets[0]), lengths)] = (
        data
    )
    matrix = np.full((len(padded) // codec.GROUP, codec.GROUP + 1), 0xFF, np.uint8)
    matrix[:, :-1] = padded.reshape(-1, codec.GROUP)
    matrix[ends - 1, -1] = 0xFF - (codec.GROUP - lengths % codec.GROUP)
    starts = np.concatenate([[0], ends]) * (codec.GROUP + 1)
    return pa.Array.from_buffers(pa.large_binary(), len(array), [None, pa.py_buffer(starts), pa.py_buffer(matrix)])
