"""Watching three stores in this process: readers that gather, writers that remember what they did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from lock_cluster import Stores, stores

from rutile_kv.client.client import Client
from rutile_kv.client.watch import Change, Progress

PERIOD_S = 0.05


@asynccontextmanager
async def watched(count: int = 3, **config: Any) -> AsyncIterator[tuple[Stores, Client]]:
    async with stores(count, count, watch_progress_seconds=PERIOD_S, **config) as cluster:
        client = cluster.client()
        try:
            yield cluster, client
        finally:
            await client.close()


class Gathered:
    """What a watch delivers, as long as it runs."""

    def __init__(self, items: AsyncGenerator[Any, None]) -> None:
        self.items: list[Any] = []
        self._grew = asyncio.Condition()
        self._task = asyncio.ensure_future(self._gather(items))

    async def _gather(self, items: AsyncGenerator[Any, None]) -> None:
        async with aclosing(items):
            async for item in items:
                async with self._grew:
                    self.items.append(item)
                    self._grew.notify_all()

    @property
    def changes(self) -> list[Change]:
        return [item for item in self.items if isinstance(item, Change)]

    async def until(self, condition: Any, seconds: float = 10.0) -> None:
        """Wait until `condition(self)`; raises what the watch failed with."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                if self._task.done():
                    self._task.result()
                async with self._grew:
                    waiting = asyncio.ensure_future(self._grew.wait())
                    await asyncio.wait([waiting], timeout=0.1)
                    waiting.cancel()
                    await asyncio.gather(waiting, return_exceptions=True)

    async def reaches(self, ts: int) -> None:
        """Wait until the watch says that everything up to `ts` was delivered."""
        await self.until(lambda each: any(isinstance(i, Progress) and i.resolved_ts >= ts for i in each.items))

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def gathering(items: AsyncGenerator[Any, None]) -> AsyncIterator[Gathered]:
    gathered = Gathered(items)
    try:
        yield gathered
    finally:
        await gathered.close()


async def put(client: Client, pairs: dict[bytes, bytes | None]) -> list[tuple[bytes, bytes | None, int]]:
    """Commit; what a watch should say of it."""
    async with await client.begin() as txn:
        for key, value in pairs.items():
            if value is None:
                txn.delete(key)
            else:
                txn.put(key, value)
    assert txn.commit_ts is not None
    return [(key, value, int(txn.commit_ts)) for key, value in pairs.items()]


def told(changes: list[Change]) -> list[tuple[bytes, bytes | None, int]]:
    return [(change.key, change.value, change.commit_ts) for change in changes]


def by_key(commits: list[tuple[bytes, bytes | None, int]]) -> dict[bytes, list[tuple[bytes | None, int]]]:
    """In the order given."""
    found: dict[bytes, list[tuple[bytes | None, int]]] = {}
    for key, value, commit_ts in commits:
        found.setdefault(key, []).append((value, commit_ts))
    return found
