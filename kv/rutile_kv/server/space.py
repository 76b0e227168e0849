"""Giving space back: destroying ranges nobody uses any more, and compacting what was deleted.

Both work on the engine beside Raft. A range is destroyed without a log entry, so each store is told by itself, and a
store that is down keeps its part until it is told again. So does one with a replica there that lags behind: see
`catching_up`. The caller knows that nobody reads or writes the range; a snapshot that is being sent meanwhile may still
carry it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rutile_kv.engine.api import CF_RAFT, MVCC_CFS, Engine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.store import Store
from rutile_kv.server.catching_up import CatchingUp


class Space:
    """Of one store. One compaction at a time, in a thread of its own; `close` waits for it."""

    def __init__(self, engine: Engine, store: Store, replicas: CatchingUp) -> None:
        self._engine = engine
        self._store = store
        self._replicas = replicas
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rutile-compaction")

    async def destroy_range(self, start: bytes, end: bytes) -> None:
        """Remove all transactional data of [start, end) (storage keys) once the replicas here have caught up; durable
        on return. Raises StorageError; ReplicaLags if a replica has not caught up in time: then nothing was removed."""
        await self._replicas.wait(start, end)
        batch = self._engine.batch()
        batch.put(CF_RAFT, local_keys.DATA_DESTROYED, b"")
        for cf in MVCC_CFS:
            batch.delete_range(cf, start, end)
        self._engine.write(batch)
        self._store.data_destroyed(start, end)
        await self._run(self._engine.sync)
        await self.compact(start, end)

    async def compact(self, start: bytes, end: bytes | None) -> None:
        """Give back the space of what was deleted in [start, end). Raises StorageError."""
        await self._run(self._engine.compact, start, end)

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self, work: Callable[..., None], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
