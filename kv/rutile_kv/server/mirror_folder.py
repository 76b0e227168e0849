"""Folds deltas into their bases behind the readers' backs, one at a time, when reads have paid enough for them.

A fold copies what the delta touches in every column; a read does the same for its own columns and throws it away. So a
base is folded once reads have spent on its delta what the fold will cost: at most twice the least possible work is
done, whatever the mix of reads and writes is, and nothing at all for tables that nobody reads. A fold works on a
snapshot of its own in a thread; readers keep what they were pinned to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rutile_kv.columnar.cache import ArrowCache, BaseKey, nobody
from rutile_kv.columnar.mirror import MirrorReader, RegionData
from rutile_kv.engine.api import Engine, Snapshot
from rutile_kv.raftstore.region_reader import RegionSnapshot
from rutile_kv.raftstore.store import Store
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EngineCorrupt, InvalidRequest

log = logging.getLogger(__name__)

LocalSnapshot = Callable[[int], tuple[Snapshot, metapb.Region, int] | None]
"""A region's data as applied here in this very turn, the region and the index; None if it is not here. Whether others
have more is of no matter: what is folded is committed."""


class LocalSnapshots:
    """Of a store's regions, for whoever does not ask whether they are the newest."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def take(self, region_id: int) -> tuple[Snapshot, metapb.Region, int] | None:
        region = self._store.region(region_id)
        if region is None:
            return None
        return RegionSnapshot(self._engine.snapshot(), region), region, self._store.applied_index(region_id)


class MirrorFolder:
    """A task of a running store. `start` it in the loop, and `close` it before the engine."""

    def __init__(self, cache: ArrowCache, snapshot: LocalSnapshot) -> None:
        self._cache = cache
        self._reader = MirrorReader(cache)
        self._snapshot = snapshot
        self._due = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(self._due.set)

        self._cache.when_due(tell)
        self._due.set()
        self._tasks = [loop.create_task(self._follow(), name="folding")]

    async def close(self) -> None:
        """Returns when no fold runs any more."""
        self._closing = True
        self._cache.when_due(nobody)
        self._due.set()
        await asyncio.gather(*self._tasks)

    async def _follow(self) -> None:
        while not self._closing:
            await self._due.wait()
            self._due.clear()
            for key in self._cache.due():
                await self._fold(key)

    async def _fold(self, key: BaseKey) -> None:
        taken = self._snapshot(key.region_id)
        self._cache.settle(key)
        if taken is None or self._closing:
            return
        snapshot, region, index = taken
        try:
            data = RegionData(region, snapshot, self._cache.pin(region.id, [key.table_id], index))
            await asyncio.to_thread(self._reader.fold, key, data, self._check)
        except (EngineCorrupt, InvalidRequest) as error:  # rows of a newer layout than the base's, most likely
            log.warning("table %d in region %d: its base is dropped, %s", key.table_id, key.region_id, error)
            self._cache.discard(key)
        finally:
            snapshot.close()

    def _check(self, size_bytes: int) -> None:
        """Folds are bounded by the base they copy; there is nobody to ask."""
