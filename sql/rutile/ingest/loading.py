"""Rows of a source on their way into the regions: read, fitted, encoded and written, all at once on different batches.

    source ──► fit ──► encode ──► bulk_load      reading and encoding in threads, WRITES_IN_FLIGHT batches being written
                 └──► KeyCheck                   keys that must be alone, compared at the end

Memory holds those batches and no more. Rows that come in the order of their keys are given regions of their own before
they come (`_make_room`): a region that is cut later is read for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rutile.ingest.bulk_rows import BulkEncoder, EncodedBatch
from rutile.ingest.fitting import ColumnFit
from rutile.ingest.import_source import Source
from rutile.ingest.key_check import Duplicate, KeyCheck
from rutile.ingest.progress import Progress
from rutile.pep249 import IntegrityError
from rutile.rows.access import TableAccess
from rutile.session.storage import KvClient
from rutile_kv.client.bulk_load import ascends
from rutile_proto.keys import user_key

WRITES_IN_FLIGHT = 3
"""Batches being replicated while the next is encoded."""
MAX_BATCH_BYTES = 12 << 20
"""Of the columns of a batch; wider rows go in smaller batches."""
CHECKPOINT_S = 1.0
"""How often it is written down how far the import is."""
ROOM_BYTES, ROOM_ROWS = 72 << 20, 700_000
"""A region is begun for each so many bytes or rows: less than makes a store cut it."""

Checkpoint = Callable[[int], Awaitable[None]]
"""Told that so many rows from the beginning of the source are in."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A batch on its way."""

    done: asyncio.Task[None]
    end_row: int


class Loading:
    """One pass through a source. `table.schema` has the id that the rows are for."""

    def __init__(
        self, client: KvClient, table: TableAccess, encoder: BulkEncoder, fit: ColumnFit, progress: Progress
    ) -> None:
        self._client = client
        self._table = table
        self._encoder = encoder
        self._fit = fit
        self._progress = progress
        self._keys = KeyCheck()
        self._rows = 0
        """Read so far."""
        self._writes: deque[_Write] = deque()
        self._room = (0, 0)
        """Bytes and rows sent since a region was begun."""
        self._told_at = time.monotonic()
        self.highest_number = 0
        """The highest value of the AUTO_INCREMENT column."""

    async def run(self, source: Source, done: int, checkpoint: Checkpoint) -> int:
        """Write all rows but the first `done`, which are there already; the number of all rows.

        Raises IntegrityError 1062 for keys that come twice, DataError and ColumnValueError for values that do not fit.
        """
        batches = _bounded(source.batches())
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                encoded = await asyncio.to_thread(self._prepare, batch, done)
                if encoded is not None:
                    await self._make_room(encoded)
                    task = asyncio.create_task(self._client.bulk_load(encoded.rows))
                    self._writes.append(_Write(task, self._rows))
                self._progress.add(batch.num_rows, skipped=encoded is None)
                while len(self._writes) >= WRITES_IN_FLIGHT:
                    await self._finish_one(checkpoint)
            while self._writes:
                await self._finish_one(checkpoint)
            await asyncio.to_thread(self.refuse_duplicates)
        finally:
            await self._abandon_writes()
            self._progress.close()
            self._keys.close()
        return self._rows

    def refuse_duplicates(self) -> None:
        """IntegrityError 1062 naming the first keys, primary or unique, that rows share."""
        found = self._keys.duplicates()
        if found:
            raise _duplicates(found, self._table)

    def _prepare(self, batch: pa.RecordBatch, done: int) -> EncodedBatch | None:
        """What is to be written of the batch; None if it is there already."""
        first = self._rows
        self._rows += batch.num_rows
        fitted = self._fit.fit(batch, first + 1)
        self._note_numbers(fitted)
        skipped = min(max(done - first, 0), batch.num_rows)
        if skipped:
            self._note_keys(*self._encoder.keys(fitted.slice(0, skipped), first + 1), first + 1)
        if skipped == batch.num_rows:
            return None
        encoded = self._encoder.encode(fitted.slice(skipped), first + skipped + 1)
        self._note_keys(encoded.keys, encoded.distinct, first + skipped + 1)
        if not ascends(encoded.rows.storage_keys):
            self.refuse_duplicates()
        return encoded

    def _note_keys(self, rows: pa.Array, distinct: list[pa.Array], first_row: int) -> None:
        for kind, keys in enumerate((rows, *distinct)):
            self._keys.add(kind, keys, first_row)

    def _note_numbers(self, batch: pa.RecordBatch) -> None:
        position = self._table.auto_increment_position
        if position is not None and batch.num_rows:
            self.highest_number = max(self.highest_number, int(pc.max(batch.column(position)).as_py() or 0))

    async def _make_room(self, encoded: EncodedBatch) -> None:
        size, rows = self._room
        if (size > ROOM_BYTES or rows > ROOM_ROWS) and self._keys.ascends(0):
            begin = user_key(encoded.keys[0].as_py())
            await self._client.split_regions([begin])
            await self._client.scatter_regions([begin], "import")
            size = rows = 0
        self._room = (size + encoded.rows.size_bytes(), rows + len(encoded.keys))

    async def _finish_one(self, checkpoint: Checkpoint) -> None:
        await self._writes[0].done
        finished = self._writes.popleft()
        if time.monotonic() - self._told_at >= CHECKPOINT_S:
            await checkpoint(finished.end_row)
            self._told_at = time.monotonic()

    async def _abandon_writes(self) -> None:
        for write in self._writes:
            write.done.cancel()
        await asyncio.gather(*(write.done for write in self._writes), return_exceptions=True)


def _bounded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches, those of wide rows in pieces."""
    for batch in batches:
        pieces = min(batch.num_rows, -(-batch.nbytes // MAX_BATCH_BYTES))
        if pieces <= 1:
            yield batch
            continue
        step = -(-batch.num_rows // pieces)
        yield from (batch.slice(at, step) for at in range(0, batch.num_rows, step))


def _duplicates(found: list[Duplicate], table: TableAccess) -> IntegrityError:
    told = table.duplicate(user_key(found[0].storage_key))
    others = [table.duplicate(user_key(each.storage_key)).message for each in found[1:]]
    rows = "; ".join([f"{told.message} ({_rows_of(found[0])})", *others])
    return IntegrityError(f"{rows}; nothing was imported", told.code, told.sqlstate)


def _rows_of(duplicate: Duplicate) -> str:
    more = f", {duplicate.count} in all" if duplicate.count > 2 else ""
    return f"rows {duplicate.first_row} and {duplicate.last_row}{more}"
