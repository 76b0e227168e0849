"""Pushed-down fragments on this store: one at a time per slot, each over snapshots of all its regions.

    slot -> max_ts raised -> snapshot of every region (or none) -> worker thread: locks, rows, DuckDB -> pages

The loop never blocks: every step of a task runs in the endpoint's own threads and hands one page back. When the
consumer goes away the task is interrupted, and its slot and snapshots are free once the running step has noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import pyarrow as pa

from rutile_coprocessor.execute import Spill
from rutile_coprocessor.late_executor import LateExecutor
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.live_tables import LiveTables
from rutile_kv.columnar.mirror import MirrorReader
from rutile_kv.env.clock import Clock
from rutile_kv.env.interruptible import interruptible
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.fragment_task import FragmentJob, FragmentTask, TaskTools
from rutile_kv.server.lock_free import LockFreeRanges
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.region_views import Pin, RegionRead, close_views, no_pin, open_views
from rutile_kv.server.warm_relations import WarmRelations
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentFailed, LockFacts, ServerIsBusy

T = TypeVar("T")

SPILL_FOLDER = "spill"
MAX_WAITING = 256
"""Fragments that may wait for a slot; the next ones are told that the server is busy."""


class CoprocessorEndpoint:
    """Runs fragments. `close` ends its threads and its database."""

    def __init__(
        self, store_id: int, store: RegionStore, scheduler: TxnScheduler, config: StoreConfig, clock: Clock
    ) -> None:
        self.memory_bytes = config.coprocessor_memory_bytes
        self.cache = ArrowCache(config.mirror_budget_bytes) if config.mirror_budget_bytes else None
        self._store = store
        self._scheduler = scheduler
        self._clock = clock
        self._slots = asyncio.Semaphore(config.coprocessor_concurrency)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(config.coprocessor_concurrency, thread_name_prefix="coprocessor")
        self._executor = LateExecutor(config.coprocessor_memory_bytes, config.coprocessor_threads, _spill(config))
        self._relations = WarmRelations(config.mirror_narrow_bytes)
        if self.cache is not None:
            self.cache.when_moved(self._relations.moved)
        mirror = MirrorReader(self.cache)
        self._tools = TaskTools(store_id, mirror, self._relations, LockFreeRanges(), self._executor.get)

    @property
    def followed(self) -> LiveTables:
        """The tables that are read with what was written beside them."""
        return self._relations.followed

    async def pages(
        self, job: FragmentJob, reads: Sequence[RegionRead]
    ) -> AsyncGenerator[tuple[rutilepb.FragmentPage, bytes | None], None]:
        """Each page with where a paged job goes on.

        Raises RegionsNotServed before the first page, ServerIsBusy, a CoprocessorError, or EngineCorrupt.
        """
        async with self._task(job, reads) as task, aclosing(self._steps(task)) as steps:
            async for page in steps:
                yield page, task.next_key

    async def rows(self, job: FragmentJob, read: RegionRead) -> list[pa.RecordBatch] | LockFacts:
        """All rows of a job in one region as Arrow batches, or the lock in the way. Its slot is free again then,
        however slowly the rows are used. Raises as `pages`.
        """
        async with self._task(job, [read]) as task:
            return await self._step(task, task.whole)

    @asynccontextmanager
    async def _task(self, job: FragmentJob, reads: Sequence[RegionRead]) -> AsyncIterator[FragmentTask]:
        """A task in a slot of its own; closed at the end."""
        started = self._clock.monotonic()
        await self._take_slot()
        try:
            if (complaint := self._scheduler.safe_point.complaint(job.ts)) is not None:
                raise FragmentFailed(complaint)
            self._scheduler.max_ts.raise_to(job.ts)
            views = await open_views(self._store, self._scheduler, reads, self._pin_for(job))
            try:
                task = FragmentTask(job, views, self._tools, self._clock.monotonic() - started)
            except BaseException:
                close_views(views)
                raise
            try:
                yield task
            finally:
                task.close()
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Wait for running steps (their consumers are gone) and give up threads, database and mirror."""
        await asyncio.to_thread(self._threads.shutdown)
        self._executor.close()
        self._relations.clear()
        if self.cache is not None:
            self.cache.clear()

    def _pin_for(self, job: FragmentJob) -> Pin:
        """Holds on to the mirror of the tables the job reads, unless it reads by pages, which goes by the rows."""
        cache = self.cache
        if cache is None or job.paging_rows:
            return no_pin
        table_ids = [table.table_id for scan in job.fragment.scans for table in scan.tables]
        return lambda region_id, index: cache.pin(region_id, table_ids, index)

    async def _take_slot(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise ServerIsBusy(f"{self._waiting} fragments wait for the coprocessor", backoff_ms=1000)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1

    async def _steps(self, task: FragmentTask) -> AsyncGenerator[rutilepb.FragmentPage, None]:
        """The task's pages."""
        while (page := await self._step(task, task.next_page)) is not None:
            yield page

    async def _step(self, task: FragmentTask, work: Callable[[], T]) -> T:
        """Work of the task in a thread. Cancelled, it is interrupted, and has ended when this returns."""
        return await interruptible(self._in_thread(work), lambda: task.cancel("nobody waits for its result"))

    def _in_thread(self, step: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, step)


def _spill(config: StoreConfig) -> Spill | None:
    """Beside the store's data; None if it has no folder, or nothing is to be written there."""
    if config.data_dir is None or not config.coprocessor_spill_bytes:
        return None
    return Spill(config.data_dir / SPILL_FOLDER, config.coprocessor_spill_bytes)
