"""Commits and definitions: no transaction commits rows made with a definition that is two steps old.

A definition changes step by step, and neighbouring steps get along (`indexes.IndexState`). A transaction that commits
checks that the definitions it wrote with are the current ones as of some timestamp, and may then commit up to a lease
after it; if that takes longer it asks again. Whoever changes a definition waits before the next step until all other
front ends have said that they have come to it (`front_ends.py`), or for a lease. So when a step is taken, all that
commits from then on was made with the step before it or with itself.

Of its own commits a front end knows: those under way are counted. A single front end has none but these.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from rutile.catalog.cache import CatalogCache
from rutile.catalog.front_ends import LOOK_EVERY_S, TERM_MS
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.errors import schema_changed
from rutile_proto.errors import RutileError
from rutile_proto.timestamps import LOGICAL_BITS

ASK_EVERY_S = 0.01
"""Between two looks at how far the other front ends are."""
_log = logging.getLogger(__name__)


class CommitHolds:
    """The commits under way in this front end."""

    def __init__(
        self,
        cache: CatalogCache,
        lease_s: float,
        monotonic: Callable[[], float],
        *,
        single: bool,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._cache = cache
        self._monotonic = monotonic
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
            await self._others_have(version)
        await self._own_have(version)

    async def _others_have(self, version: int) -> None:
        until = self._monotonic() + self._lease_s
        while (left := until - self._monotonic()) > 0 and await self._cache.place.is_anybody_behind(version):
            await self._sleep(min(ASK_EVERY_S, left))

    async def _own_have(self, version: int) -> None:
        async with self._ended:
            await self._ended.wait_for(lambda: all(held >= version for held in self._under_way.values()))

    # --- what the others wait for ---

    async def attend(self) -> None:
        """Keep this front end's place while it is used, look for others' changes, and say how far it has come.

        Runs until it is cancelled.
        """
        while True:
            await self._sleep(LOOK_EVERY_S)
            try:
                await self._attend_once()
            except RutileError as error:
                _log.info("the other front ends are not told: %s", error)

    async def _attend_once(self) -> None:
        cache, place = self._cache, self._cache.place
        if self._monotonic() - cache.used_at > TERM_MS / 1000:
            return  # not used: the place lapses
        if place.has_others:
            await cache.refresh()
        reached = min([cache.version, *self._under_way.values()])
        if place.is_due(cache.valid_as_of) or (place.has_others and reached > place.version):
            await place.hold(reached)


def _check(snapshot: CatalogSnapshot, written: Iterable[TableInfo]) -> None:
    """Every table written to must still be what it was. A temporary one is only its session's to change."""
    for info in written:
        schema = info.schema
        if info.is_temporary:
            continue
        if snapshot.table(schema.database, schema.name) != info:
            raise schema_changed(f"table {schema.database}.{schema.name} was altered or dropped")
