"""Arrow tables to and from the data frames of other libraries, which are loaded only when asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from rutile.pep249 import InterfaceError

if TYPE_CHECKING:
    import pandas
    import polars

ArrowData: TypeAlias = Any
"""A pyarrow Table, RecordBatch, RecordBatchReader, a list of batches, or anything that gives an Arrow stream: a pandas
or polars DataFrame, a result of `Connection.sql`, a DuckDB relation."""


def to_pandas(table: pa.Table) -> pandas.DataFrame:
    """The table as a pandas DataFrame. Raises InterfaceError when pandas is not installed."""
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise InterfaceError("df() needs pandas: pip install pandas; arrow() works without it") from error
    frame: pandas.DataFrame = table.to_pandas()
    return frame


def to_polars(table: pa.Table) -> polars.DataFrame:
    """The table as a polars DataFrame. Raises InterfaceError when polars is not installed."""
    try:
        import polars
    except ImportError as error:
        raise InterfaceError("pl() needs polars: pip install polars; arrow() works without it") from error
    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame), "a table is never a series"
    return frame


def reader_of(data: ArrowData) -> pa.RecordBatchReader:
    """The rows of `data` as a stream of batches. Raises InterfaceError for what is not Arrow and cannot become it."""
    match data:
        case pa.RecordBatchReader():
            return data
        case pa.Table():
            return data.to_reader()
        case pa.RecordBatch():
            return pa.RecordBatchReader.from_batches(data.schema, [data])
    if hasattr(data, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(data)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes | dict):
        batches = list(data)
        if batches and all(isinstance(batch, pa.RecordBatch) for batch in batches):
            return pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    raise InterfaceError(
        f"{type(data).__name__} is not Arrow data: want a pyarrow Table, RecordBatch(es) or RecordBatchReader, or a "
        "data frame of pandas or polars; pyarrow.table({{...}}) makes one of lists".replace("{{...}}", "{...}")
    )
