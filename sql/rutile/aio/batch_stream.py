"""The rows of a query while they are read, with await."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import pyarrow as pa

from rutile.aio.worker import Worker
from rutile.dbapi.batch_stream import BatchStream


class AsyncBatchStream:
    """A `rutile.dbapi.BatchStream`: each batch is read when it is awaited. Iterate it once."""

    def __init__(self, worker: Worker, stream: BatchStream) -> None:
        self._worker = worker
        self._stream = stream

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._stream.schema

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self._worker.run(next, self._stream, None)
        if batch is None:
            raise StopAsyncIteration
        return batch

    async def aclose(self) -> None:
        """Have no more rows read. Closing twice is harmless."""
        await self._worker.run(self._stream.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
