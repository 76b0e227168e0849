"""A source's columns made to fit a table: its columns, in its order, exactly of its types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rutile.errors import ER_NO_DEFAULT, SqlError
from rutile.pep249 import DataError, ProgrammingError
from rutile_coprocessor.schema import Column, TableSchema


class ColumnFit:
    """Which column of a table comes from where."""

    def __init__(self, schema: TableSchema, names: Sequence[str], source_name: str) -> None:
        """`names` are those of the source's columns; one that begins with `@` is read and left out.

        Raises ProgrammingError when the source has a column that the table lacks, 1364 when the table has one that the
        source lacks and that has no constant default.
        """
        self._fields = schema.arrow_schema()
        places = {name.lower(): place for place, name in enumerate(names)}
        unknown = [name for name in names if not schema.has_column(name) and not name.startswith("@")]
        if unknown:
            missing = ", ".join(column.name for column in schema.columns if column.name.lower() not in places) or "none"
            raise ProgrammingError(
                f"{source_name} does not fit table {schema.name}: unknown {', '.join(unknown)}; missing {missing}", 1136
            )
        self._places = [places.get(column.name.lower()) for column in schema.columns]
        self._columns = schema.columns
        for column, place in zip(schema.columns, self._places, strict=True):
            if place is None and not _can_be_made(column):
                raise SqlError(
                    ER_NO_DEFAULT,
                    f"Field '{column.name}' has no default value that is a constant, and {source_name} lacks it",
                )

    def fit(self, batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
        """The batch as the table has it; `first_row` is the number of its first row, from 1. DataError names the column
        and the row of a value that cannot be had."""
        arrays = [
            _made(column, batch.num_rows, first_row) if place is None else _cast(batch.column(place), field, first_row)
            for column, field, place in zip(self._columns, self._fields, self._places, strict=True)
        ]
        return pa.record_batch(arrays, self._fields)


def _can_be_made(column: Column) -> bool:
    return column.auto_increment or (column.default_sql is None and (column.nullable or column.default is not None))


def _made(column: Column, count: int, first_row: int) -> pa.Array:
    """What rows have in a column that the source lacks."""
    if column.auto_increment:
        return pa.array(np.arange(first_row, first_row + count, dtype=np.int64)).cast(column.type.arrow_type)
    return pa.repeat(pa.scalar(column.default, column.type.arrow_type), count)


def _cast(array: pa.Array, field: pa.Field, first_row: int) -> pa.Array:
    if array.type == field.type:
        return array
    try:
        return cast_array(array, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        place = _first_refused(array, field.type)
        where = "" if place is None else f" (row {first_row + place})"
        raise DataError(f"column {field.name}: {error}{where}; nothing was imported", 1366) from error


def _first_refused(array: pa.Array, wanted: pa.DataType) -> int | None:
    """The place of the first value that cannot be cast, by halving; None if no value can."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if not _can_cast(array.slice(low, middle - low), wanted) else (middle, high)
    return low if len(array) and array[low].is_valid else None


def _can_cast(array: pa.Array, wanted: pa.DataType) -> bool:
    try:
        cast_array(array, wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def cast_array(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """The array as a column's Arrow type has it. Raises ArrowInvalid or ArrowNotImplementedError."""
    if pa.types.is_dictionary(array.type):
        return cast_array(array.dictionary_decode(), wanted)
    if pa.types.is_time(array.type):  # a time of day is a length of time since midnight
        return array.cast(pa.time64("us")).cast(pa.int64()).cast(wanted)
    if pa.types.is_duration(wanted) and pa.types.is_string(array.type):
        return _times(array).cast(wanted)
    return array.cast(wanted)


def _times(texts: pa.Array) -> pa.Array:
    """[-]HH:MM:SS[.ffffff], up to 838 hours, as microseconds."""
    parts = pc.extract_regex(texts, r"^(?P<sign>-?)(?P<h>\d+):(?P<m>[0-5]\d):(?P<s>[0-5]\d)(?P<f>\.\d{1,6})?$")
    bad = pc.and_(parts.is_null(), texts.is_valid())
    if pc.any(bad).as_py():
        raise pa.ArrowInvalid(f"'{texts.filter(bad)[0].as_py()}' is no TIME (want [-]HH:MM:SS[.ffffff])")

    def number(name: str) -> pa.Array:
        return pc.struct_field(parts, name).cast(pa.int64())

    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(pc.struct_field(parts, "f"), 1), 6, "0").cast(pa.int64())
    seconds = pc.add(pc.multiply(number("h"), 3600), pc.add(pc.multiply(number("m"), 60), number("s")))
    total = pc.add(pc.multiply(seconds, 1_000_000), fraction)
    return pc.if_else(pc.equal(pc.struct_field(parts, "sign"), "-"), pc.negate(total), total).cast(pa.duration("us"))
