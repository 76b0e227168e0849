"""What a fragment brings back: while it arrives, or complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from rutile_proto import rutilepb_pb2 as rutilepb


class FragmentStream:
    """The result while it arrives.

    >>> async with await client.stream_fragment(fragment, ranges, ts, "per_store", 30.0) as stream:
    ...     async for batch in stream:
    ...         ...
    ...     stream.summaries          # complete once the batches are

    Leaving the block, or `aclose`, cancels what still runs on the stores.
    """

    def __init__(self, pages: AsyncGenerator[rutilepb.FragmentPage, None]) -> None:
        self.summaries: list[rutilepb.FragmentSummary] = []
        self.schema: pa.Schema | None = None
        """Known from the first page on, even if there are no rows."""
        self._pages = pages
        self._batches = self._read()

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        return self._batches

    async def aclose(self) -> None:
        """Stop; harmless when already at the end."""
        await self._batches.aclose()
        await self._pages.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _read(self) -> AsyncGenerator[pa.RecordBatch, None]:
        async for page in self._pages:
            if page.HasField("summary"):
                self.summaries.append(page.summary)
            if page.arrow_ipc:
                reader = pa.ipc.open_stream(page.arrow_ipc)
                self.schema = self.schema or reader.schema
                for batch in reader:
                    yield batch


@dataclass(frozen=True, slots=True)
class FragmentResult:
    """The result, complete."""

    batches: Sequence[pa.RecordBatch]
    summaries: Sequence[rutilepb.FragmentSummary]
    schema: pa.Schema | None
    """None only if no store sent a page."""
