"""Making rounds durable: in a thread while the loop goes on, or on the spot.

Handing a sync to a thread and coming back costs two switches of threads, a quarter of a millisecond of processor time
where the sync itself takes half of one. That is worth it while there is something else to do meanwhile. A round that
nobody but its own requests waits for is synced on the spot, if this disk was quick lately
(`StoreConfig.quick_sync_seconds`).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from rutile_kv.engine.api import Engine
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.env.clock import Clock

MEMORY = 0.1
"""The weight of the newest sync in that average."""


class Sync:
    """The syncs of one engine, one at a time."""

    def __init__(self, engine: Engine, clock: Clock, quick_seconds: float) -> None:
        """With a mean below `quick_seconds`, what is alone is synced on the spot: the loop stands still that long."""
        self._engine = engine
        self._clock = clock
        self._quick_seconds = quick_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rutile-sync")
        self._in_memory = isinstance(engine, MemoryEngine)
        self._mean_s: float | None = None

    async def run(self, *, alone: bool) -> None:
        """Returns when everything written so far is durable. `alone`: nothing else is to be done meanwhile, as far as
        the caller knows. Raises StorageError."""
        if self._in_memory:
            await asyncio.sleep(0)
        elif alone and self._mean_s is not None and self._mean_s < self._quick_seconds:
            self._sync()
        else:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._sync)

    def close(self) -> None:
        """Waits for the sync that runs."""
        self._thread.shutdown()

    def _sync(self) -> None:
        started = self._clock.monotonic()
        self._engine.sync()
        taken = self._clock.monotonic() - started
        self._mean_s = taken if self._mean_s is None else self._mean_s + MEMORY * (taken - self._mean_s)
