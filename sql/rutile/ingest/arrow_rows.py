"""Arrow rows as a statement's parameters."""

from __future__ import annotations

import pyarrow as pa

from rutile.session.result import Row, rows_of_table

_PLAIN_TIMESTAMP = pa.timestamp("us")


def parameter_rows(batches: list[pa.RecordBatch]) -> list[Row]:
    """One tuple of Python values for each row; moments with a zone as UTC, as DATETIME holds them."""
    batches = [batch for batch in batches if batch.num_columns and batch.num_rows]
    if not batches:
        return []
    return rows_of_table(plain(pa.Table.from_batches(batches)))


def plain(table: pa.Table) -> pa.Table:
    """The table in types whose Python values SQL knows: microseconds, no dictionaries, no zones."""
    arrays = [_plain(column) for column in table.columns]
    return pa.Table.from_arrays(arrays, names=table.column_names)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind) and (kind.unit == "ns" or kind.tz):
        return column.cast(pa.timestamp("us", kind.tz), safe=False).cast(_PLAIN_TIMESTAMP)
    if pa.types.is_time32(kind):
        return column.cast(pa.time64("us"))
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return column.cast(pa.time64("us"), safe=False)
    if pa.types.is_date64(kind):
        return column.cast(pa.date32())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    return column
