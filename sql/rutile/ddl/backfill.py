"""What the rows lack that were there before an index was followed, or a column began to become another.

Batches of rows, each in a transaction of its own: read some rows, write their entries, or the rows with the new value.
Somebody who changes one of those rows at the same time also writes its old entry, or the row, so the two meet on that
key and one of them runs again: an entry is never made for a row as it was. Several batches are under way at once; how
far all of them are is noted in the job, and an owner that takes over begins there. Making an entry, or a row, twice
does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace

from rutile.catalog.jobs import Job
from rutile.catalog.model import TableInfo
from rutile.catalog.transactions import in_transaction
from rutile.ddl.existing_rows import existing
from rutile.ddl.index_steps import FILLED
from rutile.errors import SqlError
from rutile.rows.access import Row, TableAccess
from rutile.rows.changing import ChangingRows
from rutile.rows.index_access import IndexAccess, IndexEntry
from rutile.session.storage import KvClient, KvTransaction, Pair

BATCH_ROWS = 512
BATCHES_AT_ONCE = 4
NOTE_EVERY = 8
"""Batches between two notes in the job."""
MAX_ATTEMPTS = 100
"""How often a batch runs again after conflicts."""


class RowRefused(Exception):
    """A row that the definition to come cannot have: a second one of a unique value, or a value that does not fit."""

    def __init__(self, cause: SqlError) -> None:
        super().__init__(cause.message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class _Range:
    start: bytes
    end: bytes


Note = Callable[[Job], Awaitable[bool]]
"""Writes a job down, and tells whether to go on."""


class Backfill:
    """Makes what the rows of one table lack: the entries of some of its indexes, and the new values of a column that
    is becoming another."""

    def __init__(self, client: KvClient, info: TableInfo, index_ids: Collection[int], note: Note) -> None:
        self._client = client
        self._table = TableAccess(info)
        self._indexes = [index for index in self._table.indexes if index.info.id in index_ids]
        self._rows = self._table.rows if isinstance(self._table.rows, ChangingRows) else None
        self._note = note

    async def run(self, job: Job) -> Job | None:
        """The job with all rows done; None if it is not to go on. Raises RowRefused."""
        since_note = 0
        for low, end in await existing(self._client, self._table.ranges):
            start = max(low, bytes.fromhex(job.next_key))
            while start < end:
                ranges = await self._cut(start, end)
                counts = await _all(
                    self._fill(each, job.row_count + 1 + at * BATCH_ROWS) for at, each in enumerate(ranges)
                )
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

    async def _fill(self, part: _Range, number: int) -> int:
        """Make what the rows in a range lack, the first of which has that number; how many rows."""

        async def body(txn: KvTransaction) -> int:
            rows = await txn.scan(part.start, part.end)
            decoded = [(self._table.handle_of(key), self._table.rows.decode_row(value)) for key, value in rows]
            try:
                self._rewrite(txn, rows, decoded, number)
                for index in self._indexes:
                    await self._write(txn, index, decoded)
            except SqlError as error:
                raise RowRefused(error) from error
            return len(rows)

        return await in_transaction(self._client, body, MAX_ATTEMPTS)

    def _rewrite(self, txn: KvTransaction, rows: list[Pair], decoded: list[tuple[bytes, Row]], number: int) -> None:
        """Write those rows again that lack the new column. Raises what its conversion raises."""
        if self._rows is None:
            return
        for at, ((key, value), (_, row)) in enumerate(zip(rows, decoded, strict=True)):
            if not self._rows.is_rewritten(value):
                txn.put(key, self._rows.encode_numbered(row, number + at))

    async def _write(self, txn: KvTransaction, index: IndexAccess, decoded: list[tuple[bytes, Row]]) -> None:
        """Make the index's entries. Raises 1062."""
        made = dict[bytes, IndexEntry]()
        for handle, row in decoded:
            entry = index.entry(row, handle)
            if entry.key in made:
                raise self._table.duplicate(entry.key)
            made[entry.key] = entry
        known = await self._known(txn, index, made)
        for entry in made.values():
            if known.get(entry.key, entry.value) != entry.value:
                raise self._table.duplicate(entry.key)
            if entry.key not in known:
                txn.put(entry.key, entry.value)

    async def _known(self, txn: KvTransaction, index: IndexAccess, made: dict[bytes, IndexEntry]) -> dict[bytes, bytes]:
        """Which of the entries are there already. Only of unique indexes: theirs could be another row's."""
        return await txn.batch_get(list(made)) if index.info.unique and made else {}


async def _all(work: Iterable[Coroutine[None, None, int]]) -> list[int]:
    """What the coroutines return; when one raises, the others are stopped, and its error is the error."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
