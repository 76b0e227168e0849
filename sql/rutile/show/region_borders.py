"""Where SPLIT TABLE cuts: values of a table's key, or of an index's columns, as keys where regions begin.

    table, BETWEEN    its first row's place, then n - 1 keys at equal distances from the lower value to the upper one
    table, BY         each value
    index             its first entry's place and the end of it, and between them the same: so n regions, or one more
                      than values, hold this index and nothing else

As in TiDB. Distances are those of numbers where a row is named by one integer; elsewhere those of the keys' bytes, read
as numbers from the first one on in which the two bounds differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rutile import errors
from rutile.errors import SqlError
from rutile.planner.index_paths import ER_KEY_DOES_NOT_EXIST
from rutile.rows.access import TableAccess
from rutile.rows.conversion import Converter, converter_for
from rutile_coprocessor.schema import HIDDEN_HANDLE, Column, ColumnType, Kind, Scalar
from rutile_proto import keys

MAX_REGIONS = 1000
"""In one SPLIT TABLE, as in TiDB."""
MIN_STEP = 1000
"""Row ids between two borders at least, as in TiDB: less is a slip of the pen."""
ER_SPLIT_RANGES = 8212
ROW_ID_BYTES = 8
_STEP_BYTES = 8
_ROW_ID = Column(0, HIDDEN_HANDLE, ColumnType(Kind.BIGINT), nullable=False)
Values = Sequence[object]


@dataclass(frozen=True, slots=True)
class Splittable:
    """A table's rows or one of its indexes. `encode` makes a key of values."""

    what: str
    converters: Sequence[Converter]
    encode: Callable[[Sequence[Scalar]], bytes]
    range: tuple[bytes, bytes]
    """All its keys."""
    is_index: bool
    """An index is cut out of the table, and takes the values of its first few columns; rows take whole keys."""
    row_id_prefix: bytes | None = None
    """Before the 8 bytes of a row id, where one names a row."""

    def key(self, values: Values, number: int) -> bytes:
        """The key of the `number`th list of values. Raises 1136 and what conversions raise."""
        least = 1 if self.is_index else len(self.converters)
        if not least <= len(values) <= len(self.converters):
            message = f"Column count doesn't match value count at row {number}"
            raise SqlError(errors.ER_WRONG_VALUE_COUNT, message)
        converted = [convert(value, number) for convert, value in zip(self.converters, values, strict=False)]
        return self.encode(converted)


def rows_of(table: TableAccess) -> Splittable:
    """The table's rows."""
    what = f"table `{table.schema.name}`"
    if table.is_hidden:
        return Splittable(what, [converter_for(_ROW_ID)], _row_id_key(table.prefix), table.range, False, table.prefix)
    converters = [table.converters[position] for position in table.key_positions]
    prefix = table.prefix if table.schema.handle == "int" else None
    return Splittable(what, converters, table.key_of, table.range, False, prefix)


def index_of(table: TableAccess, name: str) -> Splittable:
    """One of its indexes. Raises 1176."""
    index = next((each for each in table.indexes if each.info.name.lower() == name.lower()), None)
    if index is None:
        message = f"Key '{name}' doesn't exist in table '{table.schema.name}'"
        raise SqlError(ER_KEY_DOES_NOT_EXIST, message, sqlstate="42000")
    prefix, codec = index.prefix, index.codec
    converters = [table.converters[position] for position in index.positions]
    return Splittable(
        f"index `{index.info.name}`", converters, lambda values: prefix + codec.encode(values), index.range, True
    )


def borders_at(split: Splittable, values: Sequence[Values]) -> list[bytes]:
    """The keys of BY, rising."""
    return sorted({*_edges(split), *(split.key(each, number) for number, each in enumerate(values, start=1))})


def borders_between(split: Splittable, lower: Values, upper: Values, regions: int) -> list[bytes]:
    """The keys of BETWEEN ... REGIONS, rising. Raises 8212, 1105, 1136 and what conversions raise."""
    if regions < 1:
        raise SqlError(errors.ER_UNKNOWN, f"Split {split.what} region num should more than 0")
    if regions > MAX_REGIONS:
        raise SqlError(errors.ER_UNKNOWN, f"Split {split.what} region num exceeded the limit {MAX_REGIONS}")
    low, high = split.key(lower, 1), split.key(upper, 2)
    if low >= high:
        raise _bad_range(f"Split {split.what} region lower value should less than the upper value")
    between = _row_ids if split.row_id_prefix is not None else _bytes
    return sorted({split.range[0], *_edges(split), *between(split, low, high, regions)})


def _edges(split: Splittable) -> tuple[bytes, ...]:
    """Borders that there are in any case: an index is to have regions of its own."""
    return split.range if split.is_index else ()


def _row_ids(split: Splittable, low: bytes, high: bytes, regions: int) -> list[bytes]:
    """Borders of rows named by an integer; as bytes they are in the order of the numbers."""
    at = len(split.row_id_prefix or b"")
    first = int.from_bytes(low[at:], "big")
    step = (int.from_bytes(high[at:], "big") - first) // regions
    if step < MIN_STEP:
        raise _bad_range(f"Split {split.what} region step value should more than {MIN_STEP}, step {step} is invalid")
    return [low[:at] + (first + place * step).to_bytes(ROW_ID_BYTES, "big") for place in range(1, regions)]


def _bytes(split: Splittable, low: bytes, high: bytes, regions: int) -> list[bytes]:
    """Borders by the first bytes in which the bounds differ."""
    at = next((place for place, (left, right) in enumerate(zip(low, high, strict=False)) if left != right), len(low))
    first, last = (int.from_bytes(key[at : at + _STEP_BYTES].ljust(_STEP_BYTES, b"\0"), "big") for key in (low, high))
    step = (last - first) // regions
    if step < 1:
        raise _bad_range(f"Split {split.what} region: the values are too close for {regions} regions")
    return [low[:at] + (first + place * step).to_bytes(_STEP_BYTES, "big") for place in range(1, regions)]


def _row_id_key(prefix: bytes) -> Callable[[Sequence[Scalar]], bytes]:
    def key(values: Sequence[Scalar]) -> bytes:
        (row_id,) = values
        assert isinstance(row_id, int), "converted to a BIGINT"
        return prefix + keys.int_handle(row_id)

    return key


def _bad_range(detail: str) -> SqlError:
    return SqlError(ER_SPLIT_RANGES, f"Failed to split region ranges: {detail}")
