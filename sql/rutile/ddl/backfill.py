"""What the rows lack that were there before an index was followed, or a column began to become another.

Which rows there were is read as of one timestamp (`fill_snapshot`); what they lack is made in batches, each in a
transaction of its own: read those rows as they are now, write their entries, or the rows with the new value. Somebody
who changes one of them at the same time also writes its old entry, or the row, so the two meet on that key and one of
them runs again: an entry is never made for a row as it was. What is there already is not written again, and whoever
changes a row leaves it there: one row, however often it is written, is in a batch's way no more than once or twice.

Several batches are under way at once; how far all of them are is noted in the job, and an owner that takes over begins
there. Making an entry, or a row, twice does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace

from rutile.catalog.jobs import Job
from rutile.catalog.model import TableInfo
from rutile.catalog.transactions import in_transaction
from rutile.ddl.fill_snapshot import FillSnapshot
from rutile.ddl.index_steps import FILLED
from rutile.errors import SqlError
from rutile.rows.access import Row, TableAccess
from rutile.rows.changing import ChangingRows
from rutile.rows.index_access import IndexAccess, IndexEntry
from rutile.session.storage import KvClient, KvTransaction

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
class _Batch:
    """The keys of some rows, and the number of the first."""

    keys: list[bytes]
    first: int


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row as it is stored, and which one it is in the order of their keys."""

    key: bytes
    value: bytes
    row: Row
    number: int


Note = Callable[[Job], Awaitable[bool]]
"""Writes a job down, and tells whether to go on."""


class Backfill:
    """Makes what the rows of one table lack: the entries of some of its indexes, and the new values of a column that
    is becoming another."""

    def __init__(
        self, client: KvClient, info: TableInfo, index_ids: Collection[int], source: FillSnapshot, note: Note
    ) -> None:
        self._client = client
        self._table = TableAccess(info)
        self._indexes = [index for index in self._table.indexes if index.info.id in index_ids]
        self._rows = self._table.rows if isinstance(self._table.rows, ChangingRows) else None
        self._source = source
        self._note = note

    async def run(self, job: Job) -> Job | None:
        """The job with all rows done; None if it is not to go on. Raises RowRefused; TxnAborted if the rows as of the
        snapshot may be gone."""
        since_note, most = 0, BATCH_ROWS * BATCHES_AT_ONCE
        for low, end in await self._source.ranges(self._table.ranges):
            start = max(low, bytes.fromhex(job.next_key))
            while start < end:
                keys = [key for key, _ in await self._source.scan(start, end, most)]
                batches = _cut(keys, job.row_count + 1)
                await _all(self._fill(batch) for batch in batches)
                start = keys[-1] + b"\0" if len(keys) == most else end
                job = replace(job, row_count=job.row_count + len(keys), next_key=start.hex())
                since_note += len(batches)
                if since_note >= NOTE_EVERY:
                    since_note = 0
                    if not await self._note(job):
                        return None
        return replace(job, extra={**job.extra, FILLED: True})

    async def _fill(self, batch: _Batch) -> None:
        """Make what these rows lack."""
        await in_transaction(self._client, lambda txn: self._make(txn, batch), MAX_ATTEMPTS)

    async def _make(self, txn: KvTransaction, batch: _Batch) -> None:
        """The same within a transaction, of those rows that are still there, as they are now."""
        values = await txn.batch_get(batch.keys)
        rows = [
            _Stored(key, values[key], self._table.rows.decode_row(values[key]), number)
            for number, key in enumerate(batch.keys, start=batch.first)
            if key in values
        ]
        try:
            self._rewrite(txn, rows)
            for index in self._indexes:
                await self._write(txn, index, rows)
        except SqlError as error:
            raise RowRefused(error) from error

    def _rewrite(self, txn: KvTransaction, rows: list[_Stored]) -> None:
        """Write those rows again that lack the new column. Raises what its conversion raises."""
        if self._rows is None:
            return
        for stored in rows:
            if not self._rows.is_rewritten(stored.value):
                txn.put(stored.key, self._rows.encode_numbered(stored.row, stored.number))

    async def _write(self, txn: KvTransaction, index: IndexAccess, rows: list[_Stored]) -> None:
        """Make the index's entries. Raises 1062."""
        made = dict[bytes, IndexEntry]()
        for stored in rows:
            entry = index.entry(stored.row, self._table.handle_of(stored.key))
            if entry.key in made:
                raise self._table.duplicate(entry.key)
            made[entry.key] = entry
        known = await txn.batch_get(list(made))
        for entry in made.values():
            if known.get(entry.key, entry.value) != entry.value:
                raise self._table.duplicate(entry.key)
            if entry.key not in known:
                txn.put(entry.key, entry.value)


def _cut(keys: list[bytes], first: int) -> list[_Batch]:
    return [_Batch(keys[at : at + BATCH_ROWS], first + at) for at in range(0, len(keys), BATCH_ROWS)]


async def _all(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Run the coroutines; when one raises, the others are stopped, and its error is the error."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
