"""What `Connection.stream` gives: the rows of a query while they are read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

import pyarrow as pa

from rutile.nodes.local import StatementStream


class BatchStream:
    """Arrow batches of one query, each read when it is asked for. Iterate it once.

    >>> with connection.stream("SELECT * FROM item") as batches:
    ...     for batch in batches: ...

    It is an Arrow stream too: polars, DuckDB and `Connection.insert_arrow` read it. Closing it has no more rows read.
    """

    def __init__(self, source: StatementStream) -> None:
        self._source = source
        self._batches = _taken(source)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._source.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def reader(self) -> pa.RecordBatchReader:
        """The rest as pyarrow has it. It raises as iterating does; forgetting it ends the stream."""
        return pa.RecordBatchReader.from_batches(self.schema, self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rest for whoever reads Arrow."""
        return self.reader().__arrow_c_stream__(requested_schema)

    def close(self) -> None:
        """Have no more rows read. Closing twice is harmless."""
        self._batches.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close()


def _taken(source: StatementStream) -> Generator[pa.RecordBatch, None, None]:
    while (batch := source.next_batch()) is not None:
        yield batch
