"""Sequences: numbers under a name, handed out once each, outside of any transaction.

    m sequence <database> <name>    JSON: what CREATE SEQUENCE said
    m sequence_next <id>            the next value no front end has taken; empty when there is none left

A front end takes `cache` values at once and hands them out from memory, so values are unique, ascend (or descend)
within a front end, and have gaps where one stops.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.sequence_info import SequenceInfo
from rutile.catalog.transactions import in_transaction
from rutile.errors import SqlError
from rutile.session.storage import KvClient, KvTransaction

if TYPE_CHECKING:
    from rutile.catalog.model import CatalogSnapshot, TableInfo

ER_WRONG_OBJECT = 1347
ER_SEQUENCE_RUN_OUT = 4135
ER_UNKNOWN_SEQUENCE = 4139


# --- definitions ------------------------------------------------------------------------------------------------------

SequenceChange = Callable[[KvTransaction, "CatalogSnapshot"], Awaitable["TableInfo | None"]]


def create_sequence(wanted: SequenceInfo) -> SequenceChange:
    """The change that makes one. Raises 1049, 1050."""

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        if seen.database(wanted.database) is None:
            raise errors.unknown_database(wanted.database)
        if seen.has_name(wanted.database, wanted.name):
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{wanted.database}.{wanted.name}' already exists")
        info = replace(wanted, sequence_id=await meta.next_id(txn))
        txn.put(meta.sequence_key(info.database, info.name), info.to_bytes())
        txn.put(meta.sequence_next_key(info.sequence_id), str(info.start).encode())

    return change


def drop_sequence(database: str, name: str) -> SequenceChange:
    """The change that drops one. Raises 1347, 4139."""

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        info = find_sequence(seen, database, name)
        txn.delete(meta.sequence_key(database, name))
        txn.delete(meta.sequence_next_key(info.sequence_id))

    return change


def alter_sequence(
    database: str, name: str, altered: Callable[[SequenceInfo], SequenceInfo], restart: int | bool
) -> SequenceChange:
    """The change that defines one anew; `restart` at a value, or at the start. It gets another id: what front ends
    have cached of it is given up. Raises 1347, 4136, 4139."""

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        old = find_sequence(seen, database, name)
        info = replace(altered(old).checked(), sequence_id=await meta.next_id(txn))
        following = await txn.get(meta.sequence_next_key(old.sequence_id))
        if restart is not False:
            following = str(info.start if restart is True else restart).encode()
        txn.delete(meta.sequence_next_key(old.sequence_id))
        txn.put(meta.sequence_next_key(info.sequence_id), following or b"")
        txn.put(meta.sequence_key(database, name), info.to_bytes())

    return change


def find_sequence(seen: CatalogSnapshot, database: str, name: str) -> SequenceInfo:
    """The sequence. Raises 1347 if the name is a table's or a view's, 4139."""
    found = seen.sequence(database, name)
    if found is not None:
        return found
    if seen.has_name(database, name):
        raise SqlError(ER_WRONG_OBJECT, f"'{database}.{name}' is not SEQUENCE")
    raise SqlError(ER_UNKNOWN_SEQUENCE, f"Unknown SEQUENCE: '{database}.{name}'")


# --- values -----------------------------------------------------------------------------------------------------------


class SequenceValues:
    """The values a front end has taken and not handed out yet, by sequence id."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._taken: dict[int, deque[int]] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    async def next(self, info: SequenceInfo, count: int = 1) -> list[int]:
        """So many next values. Raises 4135 when it has run out."""
        async with self._locks.setdefault(info.sequence_id, asyncio.Lock()):
            taken = self._taken.setdefault(info.sequence_id, deque())
            while len(taken) < count:
                taken.extend(await in_transaction(self._client, lambda txn: _take(txn, info, max(info.cache, 1))))
            return [taken.popleft() for _ in range(count)]

    async def set(self, info: SequenceInfo, value: int) -> int | None:
        """Go on after `value`; None, and nothing done, if that has been handed out."""
        async with self._locks.setdefault(info.sequence_id, asyncio.Lock()):
            taken = self._taken.setdefault(info.sequence_id, deque())
            if taken and (value - taken[0]) * info.increment < 0:
                return None
            done = await in_transaction(self._client, lambda txn: _move(txn, info, value, taken))
            return value if done else None


async def _take(txn: KvTransaction, info: SequenceInfo, count: int) -> list[int]:
    key = meta.sequence_next_key(info.sequence_id)
    stored = await txn.get(key)
    following = int(stored) if stored else None
    values: list[int] = []
    while following is not None and len(values) < count:
        values.append(following)
        following = info.after(following)
    if not values:
        message = f"Sequence '{info.database}.{info.name}' has run out"
        raise SqlError(ER_SEQUENCE_RUN_OUT, message)
    txn.put(key, b"" if following is None else str(following).encode())
    return values


async def _move(txn: KvTransaction, info: SequenceInfo, value: int, taken: deque[int]) -> bool:
    """Whether `value` was still to come; if it was, it and all before it are gone."""
    key = meta.sequence_next_key(info.sequence_id)
    if taken and (taken[-1] - value) * info.increment >= 0:
        while taken and (value - taken[0]) * info.increment >= 0:
            taken.popleft()
        return True
    stored = await txn.get(key)
    if not stored or (value - int(stored)) * info.increment < 0:
        return False
    taken.clear()
    following = info.beyond(value)
    txn.put(key, b"" if following is None else str(following).encode())
    return True
