"""The entries of the rows there are, loaded past the transactions: for indexes that are not unique.

The rows are read as of one timestamp (`fill_snapshot`), and their entries are written as versions of that timestamp,
in bulk (`rutile_kv.client.bulk_load`). That is right while others write, because everybody follows the index already:

* who changes a row after the timestamp writes, or removes, its entry by a later version, which hides what is loaded
  below it, whichever of the two arrives first;
* what was changed before is in the row as it is read, so the entry that is loaded is the one that was written;
* whoever began to write an entry before the timestamp, and prewrites it after it was loaded, meets a conflict and
  runs again;
* nobody reads the index yet, and nobody ever below the timestamp at which it becomes public.

Of a unique index two rows with one value would be written without meeting: its entries are made by transactions
(`backfill.py`).

What garbage collection has taken away must not come back: a removal written after the timestamp hides what is loaded
below it only while it is there. So each batch is sent under a fresh claim on the timestamp, which lasts until long
after it has arrived.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from rutile.catalog.jobs import Job
from rutile.catalog.model import TableInfo
from rutile.ddl.backfill import Note
from rutile.ddl.fill_snapshot import FillSnapshot
from rutile.ddl.index_steps import FILLED
from rutile.rows.access import TableAccess
from rutile.rows.bulk_entries import entries_of
from rutile.rows.index_access import IndexAccess
from rutile.session.storage import KeyRange, KvClient, Pair
from rutile_kv.client.bulk_load import CommittedRows

BATCH_ROWS = 32_768


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of one partition (or of the table), and where the next begin."""

    part: TableAccess
    rows: list[Pair]
    end: bytes


class IndexLoad:
    """Loads the entries of one index. `note` writes the job down and tells whether to go on."""

    def __init__(self, client: KvClient, info: TableInfo, index_id: int, source: FillSnapshot, note: Note) -> None:
        self._client = client
        self._parts = TableAccess(info).physical
        self._ranges: list[tuple[TableAccess, KeyRange]] = []
        self._index_id = index_id
        self._source = source
        self._note = note

    async def run(self, job: Job) -> Job | None:
        """The job with all rows done; None if it is not to go on. The next rows are read while entries are loaded.

        Raises TxnAborted if the rows as of the timestamp may be gone.
        """
        self._ranges = [(part, found) for part in self._parts for found in await self._source.ranges((part.range,))]
        reading = asyncio.create_task(self._read(bytes.fromhex(job.next_key)))
        try:
            while (batch := await reading) is not None:
                reading = asyncio.create_task(self._read(batch.end))
                if batch.rows:
                    await self._load(batch)
                job = replace(job, row_count=job.row_count + len(batch.rows), next_key=batch.end.hex())
                if not await self._note(job):
                    return None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return replace(job, extra={**job.extra, FILLED: True})

    async def _read(self, start: bytes) -> _Batch | None:
        """The rows from `start` on, of one partition at most; None behind the last."""
        for part, (low, end) in self._ranges:
            if start < end:
                rows = await self._source.scan(max(low, start), end, BATCH_ROWS)
                return _Batch(part, rows, end if len(rows) < BATCH_ROWS else rows[-1][0] + b"\0")
        return None

    async def _load(self, batch: _Batch) -> None:
        entries = await asyncio.to_thread(self._entries, batch)
        await self._source.keep()
        await self._client.bulk_load(entries)

    def _entries(self, batch: _Batch) -> CommittedRows:
        """The entries of the rows, in the order of their storage keys."""
        part, index = batch.part, self._index_of(batch.part)
        values = part.rows.decode_batch([value for _, value in batch.rows], None, [each.name for each in index.columns])
        handles = pa.array([part.handle_of(key) for key, _ in batch.rows], pa.large_binary())
        keys, entries, _ = entries_of(index, values.columns, handles)
        order = pc.array_sort_indices(keys)
        return CommittedRows(keys.take(order), entries.take(order), self._source.ts, self._source.ts)

    def _index_of(self, part: TableAccess) -> IndexAccess:
        return next(index for index in part.indexes if index.info.id == self._index_id)
