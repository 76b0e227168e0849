"""Timestamps and ids, given out only below what is committed: the part that waits for the log.

Several callers may find the same reserve used up. Each promises the same next limit and waits; the log keeps the order
in which they were decided, so the limit never goes back and nobody has to queue.

A timestamp is taken only while nobody else can lead: a new leader begins at the limit, above all of ours, and whoever
had one of its timestamps must not get a lower one of us afterwards. Ids need only be different, so the limit suffices.
"""

from collections.abc import Callable
from typing import TypeVar

from rutile_kv.env.clock import Clock
from rutile_pd.allocation.tso import TimestampOracle
from rutile_pd.cluster import Cluster, IdsExhausted
from rutile_pd.consensus.leadership import Leadership
from rutile_proto.types import Timestamp

T = TypeVar("T")


class Reserves:
    """Of one leadership."""

    def __init__(self, leadership: Leadership, oracle: TimestampOracle, cluster: Cluster, clock: Clock) -> None:
        self._leadership = leadership
        self._oracle = oracle
        self._cluster = cluster
        self._clock = clock

    async def timestamp(self, count: int) -> Timestamp:
        """The largest of `count` new timestamps. InvalidRequest for a count out of bounds, NotLeading."""
        while True:
            await self._leadership.confirm()
            last = self._oracle.take(count, self._clock.wall_ms())
            if last is not None:
                return last
            await self._raise_timestamp_limit()

    def timestamp_now(self, count: int) -> Timestamp | None:
        """The same, if it is certain who leads and the limit is high enough; else None: it takes an await."""
        return self._oracle.take(count, self._clock.wall_ms()) if self._leadership.is_certain() else None

    async def with_ids(self, count: int, take: Callable[[], T]) -> T:
        """What `take` returns once `count` ids are at hand for it."""
        while True:
            try:
                return take()
            except IdsExhausted:
                await self._raise_id_end(count)

    async def refresh(self) -> None:
        """Raise what will soon be used up; called at every tick so that requests seldom have to wait for the log."""
        await self._raise_timestamp_limit()
        await self._raise_id_end(1)

    async def _raise_timestamp_limit(self) -> None:
        limit_ms = self._oracle.limit_to_save(self._clock.wall_ms())
        if limit_ms is not None:
            self._leadership.storage.save_timestamp_limit(limit_ms)
            await self._leadership.settle()
            self._oracle.limit_saved(limit_ms)

    async def _raise_id_end(self, count: int) -> None:
        end = self._cluster.ids.end_to_save(count)
        if end is not None:
            self._leadership.storage.save_id_end(end)
            await self._leadership.settle()
            self._cluster.ids.end_saved(end)
