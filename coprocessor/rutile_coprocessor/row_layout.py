"""Where the bytes of a row lie, one `RowLayout` per layout version of a table.

    u8 format = 1 | u16 layout version | null bitmap | fixed-width values | u32 end of each variable value | bytes

Little endian, packed, columns in order of their ids. Bit i of the bitmap is set when the i-th column is NULL; a NULL's
fixed slot is zero, and its variable value is empty. Everything before the bytes has one size per layout, the *prefix*,
so N rows' prefixes form a structured numpy array, and a column of theirs is one strided copy into an Arrow buffer.
DECIMALs are unscaled int64 when precision <= 18, else int128; a DATE is days, the other times microseconds, since 1970.
An ENUM is the number of its member, a SET a mask (`enumerations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

import numpy as np
import pyarrow as pa

from rutile_coprocessor.column_types import MAX_INT64_PRECISION, ColumnType, Kind
from rutile_coprocessor.schema import Column

ROW_FORMAT = 1
HEADER = Struct("<BH")
END_SIZE = 4

_STRUCT_CODES = {
    pa.int8(): "b", pa.int16(): "h", pa.int32(): "i", pa.int64(): "q",
    pa.uint8(): "B", pa.uint16(): "H", pa.uint32(): "I", pa.uint64(): "Q",
    pa.float32(): "f", pa.float64(): "d", pa.date32(): "i", pa.timestamp("us"): "q", pa.duration("us"): "q",
}  # fmt: skip
INT128 = np.dtype(("<i8", (2,)))
"""An int128 as its low and high halves."""


def struct_code(kind: ColumnType) -> str:
    """How `struct` packs a fixed-width value."""
    if kind.kind is Kind.DECIMAL:
        return "q" if kind.precision <= MAX_INT64_PRECISION else "16s"
    if kind.is_enumerated:
        return "H" if kind.kind is Kind.ENUM else "Q"
    return _STRUCT_CODES[kind.arrow_type]


def storage_dtype(kind: ColumnType) -> np.dtype[np.generic]:
    """The same for numpy."""
    code = struct_code(kind)
    return INT128 if code == "16s" else np.dtype("<" + code)


@dataclass(frozen=True)
class Slot:
    """A column's place in a layout."""

    column: Column
    index: int
    """Its bit in the null bitmap."""
    offset: int
    """Of its fixed-width value, or of its end offset if the type is variable."""
    order: int
    """Its rank among the fixed-width, or among the variable columns."""


class RowLayout:
    """The layout of one version: `slots` by column id, `prefix_size`, and the struct and dtype of the prefix."""

    def __init__(self, version: int, columns: tuple[Column, ...]) -> None:
        self.version = version
        self.columns = columns
        self.null_bytes = (len(columns) + 7) // 8
        self.fixed = [column for column in columns if not column.type.is_variable]
        self.variable = [column for column in columns if column.type.is_variable]
        self._place_columns()
        self.struct = self._prefix_struct()
        self.dtype = self._prefix_dtype()

    def _place_columns(self) -> None:
        index = {column.id: place for place, column in enumerate(self.columns)}
        offset = HEADER.size + self.null_bytes
        self.slots: dict[int, Slot] = {}
        for group in (self.fixed, self.variable):
            for order, column in enumerate(group):
                self.slots[column.id] = Slot(column, index[column.id], offset, order)
                offset += END_SIZE if column.type.is_variable else storage_dtype(column.type).itemsize
        self.prefix_size = offset

    def _prefix_struct(self) -> Struct:
        codes = "".join(struct_code(column.type) for column in self.fixed)
        return Struct(f"<BH{self.null_bytes}s{codes}{len(self.variable)}I")

    def _prefix_dtype(self) -> np.dtype[np.void]:
        names, offsets = ["format", "version", "nulls"], [0, 1, HEADER.size]
        formats: list[object] = ["u1", "<u2", ("u1", (self.null_bytes,))]
        for column_id, slot in self.slots.items():
            names.append(field_name(column_id))
            formats.append("<u4" if slot.column.type.is_variable else storage_dtype(slot.column.type))
            offsets.append(slot.offset)
        fields = {"names": names, "formats": formats, "offsets": offsets, "itemsize": self.prefix_size}
        return np.dtype(fields)  # type: ignore[call-overload, no-any-return]


def field_name(column_id: int) -> str:
    """The name of a column's field in `RowLayout.dtype`."""
    return f"c{column_id}"
