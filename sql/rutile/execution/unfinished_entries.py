"""Entries of unique indexes that are being made, or given up: whose each of them is.

In a finished unique index the entry of a row's value is that row's: no other has the value. While the index is being
made, rows that were there before may lack their entries, and a newer row with the same value may have made its own
under the one key that both would have. Whoever removes the older row must leave that entry where it is, or the newer
row would lack it for good: it is not among those that the fill goes through. So before an entry is removed it is looked
at, and one that names another row is locked instead:

* an entry that is not there is removed all the same, which meets a fill that is about to make it of the row as it was;
* one that is another's must stay until this transaction has committed. If it went meanwhile, the fill could make this
  row's entry, and nobody would remove it; the lock meets whoever takes it away.

What is looked at is as old as the transaction's other reads, and the removal or the lock of the key conflicts with all
that is younger: in an optimistic transaction at its commit, in a pessimistic one when its statement locks.

Source: the states of a change are those of Online, Asynchronous Schema Change in F1 (VLDB 2013). There deletions are
told apart by the row's key, which is part of every entry's.
"""

from __future__ import annotations

from collections.abc import Iterable

from rutile.rows.access import Row, TableAccess
from rutile.rows.index_access import IndexAccess, IndexEntry
from rutile.session.storage import KvTransaction


class UnfinishedEntries:
    """Removes entries of one table's indexes within one statement of a transaction."""

    def __init__(self, table: TableAccess, txn: KvTransaction) -> None:
        self._table = table
        self._txn = txn
        self._indexes = table.unfinished_indexes
        self._read: dict[bytes, bytes | None] = {}
        """What was under keys before this statement, as far as it has been looked at."""

    async def look_ahead(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Look at the entries of rows (with their keys) that are about to change or go, all at once."""
        if self._indexes:
            entries = (
                index.entry_before(row, self._table.handle_of(key)) for key, row in rows for index in self._indexes
            )
            await self._look_at({entry.key: None for entry in entries if entry is not None and entry.distinct})

    async def remove(self, index: IndexAccess, entry: IndexEntry) -> None:
        """Remove the entry of a row that changes or goes, unless another row has it."""
        if entry.distinct and index in self._indexes and await self._is_anothers(entry):
            self._txn.lock(entry.key)
        else:
            self._txn.delete(entry.key)

    async def _is_anothers(self, entry: IndexEntry) -> bool:
        own = self._txn.buffer.get(entry.key)
        if own is not None and own.hides:
            return own.visible not in (None, entry.value)
        if entry.key not in self._read:
            await self._look_at([entry.key])
        return self._read[entry.key] not in (None, entry.value)

    async def _look_at(self, keys: Iterable[bytes]) -> None:
        """Keys that the transaction has written itself are answered from its buffer whenever they are asked for."""
        wanted = self._txn.buffer.own_values(keys)[1]
        found = await self._txn.batch_get(wanted) if wanted else {}
        self._read.update((key, found.get(key)) for key in wanted)
