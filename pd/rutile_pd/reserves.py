"""Timestamps and ids, given out only below what is on disk: the part that waits for the disk.

Several callers may find the same reserve used up. Each writes the same next limit and syncs; writes happen in the order
they were decided, so the limit on disk never goes back and nobody has to queue.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rutile_kv.env.clock import Clock
from rutile_pd.cluster import Cluster, IdsExhausted
from rutile_pd.storage import PdStorage
from rutile_pd.tso import TimestampOracle
from rutile_proto.types import Timestamp

T = TypeVar("T")


class Reserves:
    """`sync` makes everything written to the storage durable; it is the only thing awaited here."""

    def __init__(
        self,
        storage: PdStorage,
        oracle: TimestampOracle,
        cluster: Cluster,
        clock: Clock,
        sync: Callable[[], Awaitable[None]],
    ) -> None:
        self._storage = storage
        self._oracle = oracle
        self._cluster = cluster
        self._clock = clock
        self._sync = sync

    async def timestamp(self, count: int) -> Timestamp:
        """The largest of `count` new timestamps. InvalidRequest for a count out of bounds, StorageError."""
        while (last := self._oracle.take(count, self._clock.wall_ms())) is None:
            await self._raise_timestamp_limit()
        return last

    async def with_ids(self, count: int, take: Callable[[], T]) -> T:
        """What `take` returns once `count` ids are at hand for it."""
        while True:
            try:
                return take()
            except IdsExhausted:
                await self._raise_id_end(count)

    async def refresh(self) -> None:
        """Raise what will soon be used up; called at every tick so that requests seldom have to wait for the disk."""
        await self._raise_timestamp_limit()
        await self._raise_id_end(1)

    async def _raise_timestamp_limit(self) -> None:
        limit_ms = self._oracle.limit_to_save(self._clock.wall_ms())
        if limit_ms is not None:
            self._storage.save_timestamp_limit(limit_ms)
            await self._sync()
            self._oracle.limit_saved(limit_ms)

    async def _raise_id_end(self, count: int) -> None:
        end = self._cluster.ids.end_to_save(count)
        if end is not None:
            self._storage.save_id_end(end)
            await self._sync()
            self._cluster.ids.end_saved(end)
