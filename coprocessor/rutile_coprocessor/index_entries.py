"""Index entries: the values of a row's indexed columns as bytes that sort as the values do.

| part        | bytes                                                                                                  |
|-------------|--------------------------------------------------------------------------------------------------------|
| NULL        | 00: before every value                                                                                 |
| a value     | a flag that tells its kind (01 bytes, 03 int, 04 unsigned, 05 float, 06 decimal), then the encoding a  |
|             | primary key would have (`handles`)                                                                     |
| prefix(n)   | the encoding of the first n characters of a text, or n bytes of a binary value                         |

The flags are TiDB's. A prefix of columns is a prefix of bytes, so a condition on the first columns is one range. What
follows the values in a key (the row's handle, unless the entry is unique) is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.handles import encode_values, is_unsigned_64, scalar_plan
from rutile_coprocessor.row_arrow import checked_array
from rutile_coprocessor.schema import Column, Scalar
from rutile_proto.errors import MalformedEncoding

NULL_FLAG = 0
_NULL = bytes([NULL_FLAG])
_EMPTY = pa.scalar(b"", pa.large_binary())
NOT_NULL = b"\x01"
"""Every value's part sorts at or after this, every NULL before."""


class IndexCodec:
    """The values part of the entries of one index: columns in key order, each whole or a prefix."""

    def __init__(self, columns: Sequence[tuple[Column, int | None]]) -> None:
        self._columns = [column for column, _ in columns]
        self._lengths = [length for _, length in columns]
        self._plan = [(_flag(column.type), *scalar_plan(column)) for column, _ in columns]

    def encode(self, values: Sequence[Scalar]) -> bytes:
        """The values, or those of the first columns. Raises a ColumnValueError for a value not of its column."""
        parts = []
        for value, length, (flag, write, encode, _, _) in zip(values, self._lengths, self._plan, strict=False):
            if value is None:
                parts.append(_NULL)
            else:
                parts.append(flag)
                parts.append(encode(write(cut(value, length))))
        return b"".join(parts)

    def encode_arrays(self, arrays: Sequence[pa.Array]) -> pa.Array:
        """`encode` of many rows, whose columns are `arrays`, as large_binary. Raises a ColumnValueError."""
        parts = [
            _encode_column(column, length, plan[0], array)
            for column, length, plan, array in zip(self._columns, self._lengths, self._plan, arrays, strict=True)
        ]
        return pc.binary_join_element_wise(*parts, _EMPTY)

    def decode(self, data: bytes, offset: int = 0) -> tuple[list[Scalar], int]:
        """(values, where they end); of a prefix column what the entry has of it. Raises MalformedEncoding."""
        values: list[Scalar] = []
        for flag, _, _, decode, read in self._plan:
            if offset >= len(data):
                raise MalformedEncoding(f"the index entry {data.hex()} ends before its last column")
            found, offset = data[offset], offset + 1
            if found == NULL_FLAG:
                values.append(None)
            elif found == flag[0]:
                stored, offset = decode(data, offset)
                values.append(stored if read is None else read(stored))
            else:
                raise MalformedEncoding(f"the flag {found} at {offset - 1} in the index entry {data.hex()}")
        return values, offset


def cut(value: Scalar, length: int | None) -> Scalar:
    """What an index on the first `length` characters or bytes keeps of a value."""
    if length is None or not isinstance(value, str | bytes):
        return value
    return value[:length]


def _encode_column(column: Column, length: int | None, flag: bytes, array: pa.Array) -> pa.Array:
    array = checked_array(column, array)
    if length is not None and column.type.is_character:
        array = pc.utf8_slice_codeunits(array, 0, length)
    elif length is not None and column.type.is_variable:
        array = pc.binary_slice(array, 0, length)
    encoded = encode_values(column.type, array)
    flagged = pc.binary_join_element_wise(pa.scalar(flag, pa.large_binary()), encoded, _EMPTY)
    return pc.if_else(array.is_null(), pa.scalar(_NULL, pa.large_binary()), flagged) if array.null_count else flagged


def _flag(kind: ColumnType) -> bytes:
    if kind.is_variable:
        return b"\x01"
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        return b"\x05"
    if kind.kind is Kind.DECIMAL:
        return b"\x06"
    return b"\x04" if is_unsigned_64(kind) else b"\x03"
