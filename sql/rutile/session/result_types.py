"""Query results in MySQL's types: a table's column keeps its own type, the rest gets the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from rutile.planner.names import OutputColumn
from rutile.session.result import Result, field_of, type_of_arrow
from rutile_coprocessor.schema import ColumnType


def shaped(table: pa.Table, columns: Sequence[OutputColumn]) -> Result:
    """The result set of what DuckDB gave, under the names the user wrote."""
    fields, arrays = [], []
    for column, array in zip(columns, table.columns, strict=True):
        kind = column.type or type_of_arrow(array.type)
        field, converted = _typed(column.name, kind, array)
        fields.append(field)
        arrays.append(converted)
    result = Result.of_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)))
    result.columns = [
        replace(found, origin=column.origin) for found, column in zip(result.columns, columns, strict=True)
    ]
    return result


def _typed(name: str, kind: ColumnType, array: pa.ChunkedArray) -> tuple[pa.Field, pa.ChunkedArray]:
    field = field_of(name, kind)
    if array.type == field.type:
        return field, array
    try:
        return field, array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # An expression that kept the column's name but not its range, as a UNION's second half may have.
        kept = type_of_arrow(array.type)
        return pa.field(name, array.type, metadata=field_of(name, kept).metadata), array
