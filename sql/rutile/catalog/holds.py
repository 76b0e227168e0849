"""Commits and definitions: no transaction commits rows made with a definition that is two steps old.

A definition changes step by step, and neighbouring steps get along (`indexes.IndexState`). A transaction that commits
checks that the definitions it wrote with are the current ones as of some timestamp, and may then commit up to a lease
after it; if that takes longer it asks again. Whoever changes a definition waits for a lease before the next step. So
when a step is taken, all that commits from then on was made with the step before it or with itself.

In the one process of a single front end there is no lease to wait for: commits under way are counted instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from rutile.catalog.cache import CatalogCache
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.errors import schema_changed
from rutile_proto.timestamps import LOGICAL_BITS


class CommitHolds:
    """The commits under way in this front end."""

    def __init__(
        self, cache: CatalogCache, lease_s: float, *, single: bool, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._cache = cache
        self._lease_s = lease_s
        self._single = single
        self._sleep = sleep
        self._under_way: dict[object, int] = {}
        self._ended = asyncio.Condition()

    @asynccontextmanager
    async def commit(self, written: Iterable[TableInfo]) -> AsyncIterator[int]:
        """Around a commit of rows of these tables; the timestamp it may commit at, at most (0: any). Raises 8028."""
        tables = list(written)
        snapshot = await self._cache.current()
        _check(snapshot, tables)
        token = object()
        self._under_way[token] = snapshot.version
        try:
            yield 0 if self._single else self._limit()
        finally:
            del self._under_way[token]
            async with self._ended:
                self._ended.notify_all()

    async def extend(self, written: Iterable[TableInfo]) -> int:
        """Ask again on behalf of a commit that takes long; its new limit. Raises 8028."""
        _check(await self._cache.refresh(), written)
        return self._limit()

    def _limit(self) -> int:
        return self._cache.valid_as_of + (round(self._lease_s * 1000) << LOGICAL_BITS)

    async def settle(self, version: int) -> None:
        """Wait until nothing commits any more that was made with definitions older than `version`."""
        if not self._single:
            await self._sleep(self._lease_s)
        async with self._ended:
            await self._ended.wait_for(lambda: all(held >= version for held in self._under_way.values()))


def _check(snapshot: CatalogSnapshot, written: Iterable[TableInfo]) -> None:
    """Every table written to must still be what it was. A temporary one is only its session's to change."""
    for info in written:
        schema = info.schema
        if info.is_temporary:
            continue
        if snapshot.table(schema.database, schema.name) != info:
            raise schema_changed(f"table {schema.database}.{schema.name} was altered or dropped")
