"""Result batches as they leave: in bounded pages, and in Arrow types that mean the same to every reader."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

MAX_PAGE_BYTES = 16 << 20
"""A page is cut at this size, however few rows that is (but it has one)."""
_MONTH_DAY_NANO = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
_DAYS_PER_MONTH = 30
"""As DuckDB counts when it compares INTERVALs. Lengths of time that come from TIME values have no months."""
_US_PER_DAY = 86_400_000_000


def page_schema(schema: pa.Schema) -> pa.Schema:
    """The schema pages have when DuckDB's result has `schema`: INTERVAL becomes duration('us'), extensions are bare."""
    return pa.schema([field.with_type(_page_type(field.type)) for field in schema])


def _page_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    return pa.duration("us") if kind == pa.month_day_nano_interval() else kind


def to_pages(batch: pa.RecordBatch, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batch in `schema` (its `page_schema`), in pieces of at most MAX_PAGE_BYTES."""
    if schema != batch.schema:
        arrays = [_page_array(array) for array in batch.columns]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    rows = batch.num_rows if batch.nbytes <= MAX_PAGE_BYTES else max(1, batch.num_rows * MAX_PAGE_BYTES // batch.nbytes)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _page_array(array: pa.Array) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType):
        return array.storage
    if array.type != pa.month_day_nano_interval():
        return array
    parts = np.frombuffer(array.buffers()[1], _MONTH_DAY_NANO)[array.offset : array.offset + len(array)]
    days = parts["months"].astype(np.int64) * _DAYS_PER_MONTH + parts["days"]
    microseconds = days * _US_PER_DAY + parts["nanoseconds"] // 1000
    return pa.array(microseconds, pa.duration("us"), mask=array.is_null().to_numpy(zero_copy_only=False))
