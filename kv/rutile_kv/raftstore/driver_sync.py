"""Making rounds durable: in a thread while the loop goes on, or on the spot.

Handing a sync to a thread and coming back costs two switches of threads, a quarter of a millisecond of processor time
where the sync itself takes half of one. That is worth it while there is something else to do meanwhile. A round that
nobody but its own requests waits for is synced on the spot, if this disk was quick lately
(`StoreConfig.quick_sync_seconds`).
"""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from threading import Thread

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
        self._asked: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()
        """Who waits for a sync of the thread; None ends it."""
        self._thread: Thread | None = None
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
            await self._in_thread()

    def close(self) -> None:
        """Waits for the sync that runs."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    def _in_thread(self) -> asyncio.Future[None]:
        """A queue and a call back: an executor's two futures, their locks and the chain between them cost as much again
        as the switches of threads."""
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="rutile-sync", daemon=True)
            self._thread.start()
        synced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.put(synced)
        return synced

    def _serve(self) -> None:
        while (synced := self._asked.get()) is not None:
            failure: Exception | None = None
            try:
                self._sync()
            except Exception as error:
                failure = error
            loop = synced.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell, synced, failure)

    def _sync(self) -> None:
        started = self._clock.monotonic()
        self._engine.sync()
        taken = self._clock.monotonic() - started
        self._mean_s = taken if self._mean_s is None else self._mean_s + MEMORY * (taken - self._mean_s)


def _tell(synced: asyncio.Future[None], failure: Exception | None) -> None:
    """In the loop. Whoever asked may have been cancelled meanwhile."""
    if synced.done():
        return
    if failure is None:
        synced.set_result(None)
    else:
        synced.set_exception(failure)
