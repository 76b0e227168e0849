"""Columns between Arrow and the bytes of many rows: the vectorised half of the row codec.

Reading never touches single values. Fixed-width columns are strided copies out of the prefix array. A variable column
becomes an Arrow string *view* array, sixteen bytes a row pointing into the joined row bytes, and Arrow's own cast from
views to plain strings does the copying. Writing joins each row's prefix and texts with Arrow's element-wise join.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.enumerations import check_texts, numbers_of_texts, texts_of_numbers
from rutile_coprocessor.row_bytes import VIEW_INLINE, gather
from rutile_coprocessor.row_layout import INT128, RowLayout, field_name, storage_dtype
from rutile_coprocessor.row_values import EPOCH_ORDINAL, MAX_TIME_US, MICROSECONDS_PER_DAY, fraction_step_us
from rutile_coprocessor.schema import Column
from rutile_coprocessor.value_errors import NullNotAllowed, ValueOutOfRange, ValueTooLong, WrongValueType
from rutile_proto.errors import EngineCorrupt

Int64Array: TypeAlias = npt.NDArray[np.int64]
FIRST_DAY = 1 - EPOCH_ORDINAL
LAST_DAY = 3_652_059 - EPOCH_ORDINAL
"""0001-01-01 and 9999-12-31, in days since 1970."""


# --- reading ----------------------------------------------------------------------------------------------------------


class RowBlock:
    """Rows of one layout, as bytes: `buffer` holds them (and at least twelve bytes after the last), at `starts`.

    Raises EngineCorrupt if the lengths and end offsets of any row do not fit together.
    """

    def __init__(self, layout: RowLayout, buffer: bytes, starts: Int64Array, lengths: Int64Array) -> None:
        self._layout = layout
        self._buffer = buffer
        self._bodies = starts + layout.prefix_size
        if len(starts) and int(lengths.min()) < layout.prefix_size:
            raise EngineCorrupt(f"a row of {int(lengths.min())} bytes is shorter than its layout {layout.version}")
        self._prefixes = gather(buffer, starts, layout.dtype)
        self._any_null = np.bitwise_or.reduce(self._prefixes["nulls"], axis=0)
        self._check_ends(lengths - layout.prefix_size)

    def __len__(self) -> int:
        return len(self._prefixes)

    def _check_ends(self, body_lengths: Int64Array) -> None:
        before: npt.NDArray[Any] = np.zeros(len(body_lengths), np.uint32)
        for column in self._layout.variable:
            ends = self._prefixes[field_name(column.id)]
            if not (before <= ends).all():
                raise EngineCorrupt("the end offsets of a row go backwards")
            before = ends
        if not np.array_equal(before, body_lengths):
            raise EngineCorrupt("a row's length does not match its last end offset")

    def column(self, column: Column) -> pa.Array:
        """The values of one column of the layout."""
        slot = self._layout.slots[column.id]
        validity, null_count = self._validity(slot.index)
        if column.type.is_enumerated:
            numbers = self._prefixes[field_name(column.id)]
            return texts_of_numbers(column.type, numbers, validity, null_count)
        if not column.type.is_variable:
            data = _arrow_values(column.type, self._prefixes[field_name(column.id)])
            buffers = [validity, pa.py_buffer(data)]
            return pa.Array.from_buffers(column.type.arrow_type, len(self), buffers, null_count)
        views = pa.py_buffer(self._views(slot.order))
        kind = pa.string_view() if column.type.is_character else pa.binary_view()
        buffers = [validity, views, pa.py_buffer(self._buffer)]
        return pa.Array.from_buffers(kind, len(self), buffers, null_count).cast(column.type.arrow_type)

    def _validity(self, index: int) -> tuple[pa.Buffer | None, int]:
        byte, bit = divmod(index, 8)
        if not self._any_null[byte] & (1 << bit):
            return None, 0
        valid = (self._prefixes["nulls"][:, byte] & (1 << bit)) == 0
        return pa.py_buffer(np.packbits(valid, bitorder="little")), len(valid) - int(np.count_nonzero(valid))

    def _views(self, order: int) -> npt.NDArray[np.int32]:
        """Arrow's binary views: length, then the first twelve bytes, or four of them, buffer number and offset."""
        variable = self._layout.variable
        ends = self._prefixes[field_name(variable[order].id)].astype(np.int64)
        begins = self._bodies
        if order:
            before = self._prefixes[field_name(variable[order - 1].id)]
            begins, ends = begins + before, ends - before
        views = np.empty((len(ends), 4), np.int32)
        views[:, 0] = ends
        views[:, 1:] = gather(self._buffer, begins, np.dtype(("<i4", (3,))))
        outside = ends > VIEW_INLINE
        views[outside, 2] = 0
        views[outside, 3] = begins[outside]
        return views


def _arrow_values(kind: ColumnType, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if kind.kind is not Kind.DECIMAL or storage_dtype(kind) == INT128:
        return np.ascontiguousarray(stored)
    halves = np.empty((len(stored), 2), np.int64)
    halves[:, 0] = stored
    halves[:, 1] = halves[:, 0] >> 63
    return halves


# --- writing ----------------------------------------------------------------------------------------------------------


def encode_rows(layout: RowLayout, arrays: list[pa.Array]) -> pa.Array:
    """The rows whose columns, in the layout's order, are `arrays`, as large_binary. Raises a ColumnValueError for what
    does not fit."""
    count = len(arrays[0])
    prefixes = np.zeros(count, layout.dtype)
    prefixes["format"], prefixes["version"] = 1, layout.version
    ends = np.zeros(count, np.int64)
    texts: list[pa.Array] = []
    for column, given in zip(layout.columns, arrays, strict=True):
        array = checked_array(column, given)
        nulls = _write_nulls(layout, prefixes, column, array)
        if column.type.is_variable:
            ends += _text_lengths(array)
            texts.append(array.cast(pa.large_binary()))
        values = ends if column.type.is_variable else _stored_values(column.type, array, nulls)
        prefixes[field_name(column.id)] = values
    return _join(layout, prefixes, texts)


def _join(layout: RowLayout, prefixes: npt.NDArray[Any], texts: list[pa.Array]) -> pa.Array:
    size = layout.prefix_size
    fixed = pa.Array.from_buffers(pa.binary(size), len(prefixes), [None, pa.py_buffer(prefixes.view(np.uint8))])
    head = fixed.cast(pa.large_binary())
    if not texts:
        return head
    parts = [head, *texts, pa.scalar(b"", pa.large_binary())]
    return pc.binary_join_element_wise(*parts, null_handling="replace", null_replacement="")


def _write_nulls(
    layout: RowLayout, prefixes: npt.NDArray[Any], column: Column, array: pa.Array
) -> npt.NDArray[np.bool_] | None:
    """Marks the column's NULLs, and returns where they are, or None if there are none."""
    if not array.null_count:
        return None
    if not column.nullable:
        raise NullNotAllowed(column.name, "NULL in a NOT NULL column")
    nulls: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    byte, bit = divmod(layout.slots[column.id].index, 8)
    prefixes["nulls"][:, byte] |= nulls.astype(np.uint8) << bit
    return nulls


def raw_values(array: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The values buffer of a fixed-width array; what lies under NULLs is anything."""
    buffer = array.buffers()[1]
    base = dtype.base
    per_value = dtype.itemsize // base.itemsize
    flat = np.frombuffer(buffer, base, count=(array.offset + len(array)) * per_value)
    return flat[array.offset * per_value :].reshape(len(array), *dtype.shape)


def _stored_values(kind: ColumnType, array: pa.Array, nulls: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    if kind.is_enumerated:
        return numbers_of_texts(kind, array, storage_dtype(kind))
    narrow = kind.kind is Kind.DECIMAL and storage_dtype(kind) != INT128
    values = raw_values(array, INT128 if narrow else storage_dtype(kind))
    values = values[:, 0] if narrow else values
    if nulls is None:
        return values
    values = values.copy()
    values[nulls] = 0
    return values


def _text_lengths(array: pa.Array) -> npt.NDArray[Any]:
    return pc.fill_null(pc.binary_length(array), 0).to_numpy()  # type: ignore[no-any-return]


# --- what a column can hold -------------------------------------------------------------------------------------------


def checked_array(column: Column, array: pa.Array) -> pa.Array:
    """The array in the column's Arrow type, every value within what the column can hold."""
    wanted = column.type.arrow_type
    if array.type != wanted:
        array = _cast(column, array, wanted)
    if array.null_count == len(array):
        return array
    if column.type.is_enumerated:
        check_texts(column, array)
    elif column.type.is_variable:
        _check_length(column, array)
    else:
        _check_bounds(column, array)
    return array


def _cast(column: Column, array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if _family(array.type) != _family(wanted) and not pa.types.is_null(array.type):
        raise WrongValueType(column.name, f"{column.type.mysql_name()} cannot hold Arrow {array.type}")
    try:
        return array.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueOutOfRange(column.name, f"{error} (for {column.type.mysql_name()})") from error


def _family(kind: pa.DataType) -> str:
    """Types whose values convert into each other without changing what they mean."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    for name, belongs in _FAMILIES:
        if belongs(kind):
            return name
    return str(kind)


_FAMILIES: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("integer", lambda kind: pa.types.is_integer(kind) or pa.types.is_boolean(kind)),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("text", lambda kind: kind in (pa.string(), pa.large_string(), pa.string_view())),
    ("bytes", lambda kind: kind in (pa.binary(), pa.large_binary(), pa.binary_view()) or _is_fixed_binary(kind)),
    ("date", pa.types.is_date),
    ("timestamp", lambda kind: pa.types.is_timestamp(kind) and kind.tz is None),
    ("duration", pa.types.is_duration),
)


def _is_fixed_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind))


def _check_length(column: Column, array: pa.Array) -> None:
    kind = column.type
    sized = kind.kind in (Kind.CHAR, Kind.VARCHAR, Kind.BINARY, Kind.VARBINARY)
    limit = kind.length if sized else kind.max_bytes
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest > limit and sized and kind.is_character:
        longest = pc.max(pc.utf8_length(array)).as_py()
    if longest > limit:
        raise ValueTooLong(column.name, f"a value of length {longest} does not fit {kind.mysql_name()}")


def _check_bounds(column: Column, array: pa.Array) -> None:
    kind = column.type
    if kind.kind in (Kind.FLOAT, Kind.DOUBLE):
        if not pc.all(pc.is_finite(array)).as_py():
            raise ValueOutOfRange(column.name, f"{kind.mysql_name()} holds finite numbers only")
    elif kind.kind is Kind.BIT:
        _check_between(column, array, *kind.integer_bounds)
    elif kind.kind in _BOUNDS:
        low, high = _BOUNDS[kind.kind]
        _check_between(column, _as_integers(array), low, high)
    if kind.unsigned and not kind.is_integer and pc.min(array).as_py() < 0:
        raise ValueOutOfRange(column.name, f"a negative value in {kind.mysql_name()}")


def _check_between(column: Column, array: pa.Array, low: int, high: int) -> None:
    bounds = pc.min_max(array).as_py()
    if bounds["min"] < low or bounds["max"] > high:
        found = bounds["min"] if bounds["min"] < low else bounds["max"]
        raise ValueOutOfRange(column.name, f"{found} is out of range for {column.type.mysql_name()}")
    if column.type.kind in (Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME) and column.type.scale < 6:
        values = array.drop_null().to_numpy()
        if np.any(values % fraction_step_us(column.type)):
            raise ValueOutOfRange(column.name, f"a value has more fractional digits than {column.type.mysql_name()}")


def _as_integers(array: pa.Array) -> pa.Array:
    if pa.types.is_integer(array.type):
        return array
    return array.view(pa.int32() if pa.types.is_date32(array.type) else pa.int64())


_BOUNDS = {
    Kind.YEAR: (0, 2155),
    Kind.DATE: (FIRST_DAY, LAST_DAY),
    Kind.DATETIME: (FIRST_DAY * MICROSECONDS_PER_DAY, (LAST_DAY + 1) * MICROSECONDS_PER_DAY - 1),
    Kind.TIMESTAMP: (FIRST_DAY * MICROSECONDS_PER_DAY, (LAST_DAY + 1) * MICROSECONDS_PER_DAY - 1),
    Kind.TIME: (-MAX_TIME_US, MAX_TIME_US),
}
