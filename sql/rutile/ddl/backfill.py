"""The entries of the rows that were there before an index was followed.

Batches of rows, each in a transaction of its own: read some rows, write their entries. Somebody who changes one of
those rows at the same time also writes its old entry, so the two meet on that key and one of them runs again: an entry
is never made for a row as it was. Several batches are under way at once; how far all of them are is noted in the job,
and an owner that takes over begins there. Making an entry twice does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace

from rutile.catalog.jobs import Job
from rutile.catalog.model import TableInfo
from rutile.catalog.transactions import in_transaction
from rutile.ddl.index_steps import FILLED
from rutile.errors import SqlError
from rutile.rows.access import TableAccess
from rutile.rows.index_access import IndexEntry
from rutile.session.storage import KvClient, KvTransaction, Pair

BATCH_ROWS = 512
BATCHES_AT_ONCE = 4
NOTE_EVERY = 8
"""Batches between two notes in the job."""
MAX_ATTEMPTS = 100
"""How often a batch runs again after conflicts."""


class DuplicateFound(Exception):
    """Two rows have the same value in a unique index."""

    def __init__(self, cause: SqlError) -> None:
        super().__init__(cause.message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Range:
    start: bytes
    end: bytes


class Backfill:
    """Fills one index of one table. `note` writes the job down and tells whether to go on."""

    def __init__(
        self, client: KvClient, info: TableInfo, index_id: int, note: Callable[[Job], Awaitable[bool]]
    ) -> None:
        self._client = client
        self._table = TableAccess(info)
        self._index = next(index for index in self._table.indexes if index.info.id == index_id)
        self._note = note

    async def run(self, job: Job) -> Job | None:
        """The job with all rows done; None if it is not to go on. Raises DuplicateFound."""
        since_note = 0
        for low, end in self._table.ranges:
            start = max(low, bytes.fromhex(job.next_key))
            while start < end:
                ranges = await self._cut(start, end)
                counts = await _all(self._fill(each) for each in ranges)
                start = ranges[-1].end
                job = replace(job, row_count=job.row_count + sum(counts), next_key=start.hex())
                since_note += len(ranges)
                if since_note >= NOTE_EVERY:
                    since_note = 0
                    if not await self._note(job):
                        return None
        return replace(job, extra={**job.extra, FILLED: True})

    async def _cut(self, start: bytes, end: bytes) -> list[_Range]:
        """The next ranges of rows, about a batch each."""
        snapshot = self._client.snapshot(await self._client.timestamp())
        rows = await snapshot.scan(start, end, BATCH_ROWS * BATCHES_AT_ONCE)
        bounds = [start, *(key for key, _ in rows[BATCH_ROWS::BATCH_ROWS])]
        last = rows[-1][0] + b"\0" if len(rows) == BATCH_ROWS * BATCHES_AT_ONCE else end
        return [_Range(low, high) for low, high in zip(bounds, [*bounds[1:], last], strict=True)]

    async def _fill(self, part: _Range) -> int:
        """Make the entries of the rows in a range; how many rows."""

        async def body(txn: KvTransaction) -> int:
            rows = await txn.scan(part.start, part.end)
            await self._write(txn, rows)
            return len(rows)

        return await in_transaction(self._client, body, MAX_ATTEMPTS)

    async def _write(self, txn: KvTransaction, rows: list[Pair]) -> None:
        table, made = self._table, dict[bytes, IndexEntry]()
        for key, value in rows:
            entry = self._index.entry(table.rows.decode_row(value), table.handle_of(key))
            if entry.key in made:
                raise DuplicateFound(table.duplicate(entry.key))
            made[entry.key] = entry
        known = await self._known(txn, made)
        for entry in made.values():
            if known.get(entry.key, entry.value) != entry.value:
                raise DuplicateFound(table.duplicate(entry.key))
            if entry.key not in known:
                txn.put(entry.key, entry.value)

    async def _known(self, txn: KvTransaction, made: dict[bytes, IndexEntry]) -> dict[bytes, bytes]:
        """Which of the entries are there already. Only of unique indexes: theirs could be another row's."""
        if not self._index.info.unique or not made:
            return {}
        return await txn.batch_get(list(made))


async def _all(work: Iterable[Coroutine[None, None, int]]) -> list[int]:
    """What the coroutines return; when one raises, the others are stopped, and its error is the error."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
