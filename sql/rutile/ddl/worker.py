"""Runs DDL jobs: one front end owns them, takes them step by step, and leaves every step in the catalogue.

Whoever issues a statement writes a job (`submit`) and waits for its end. Any front end may become the owner; if the
owner dies, another takes its place after `jobs.OWNER_LEASE_MS` and goes on at the step the job says. A step is one
transaction: it rewrites the owner's key, the job and the table's definition together. After a step that changed a
definition the owner waits until nothing commits any more that was made with the one before (`catalog.holds`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rutile.catalog import jobs, meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.jobs import Job, JobState
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.catalog.ownership import own
from rutile.ddl import column_steps, index_steps
from rutile.ddl.backfill import Backfill, RowRefused
from rutile.ddl.fill_snapshot import FillSnapshot
from rutile.ddl.index_load import IndexLoad
from rutile.errors import SqlError
from rutile.session.storage import KvClient, KvTransaction
from rutile_proto.errors import RutileError
from rutile_proto.timestamps import physical_ms

LOOK_EVERY_S = 1.0
"""How often a front end looks for jobs of others."""
RETRY_S = 0.05
"""Between two looks at a job that another front end runs."""
ER_CANNOT_CANCEL = 8225
ER_NO_JOB = 8224
_CANCELLABLE = ("add index", column_steps.MODIFY_COLUMN)
_log = logging.getLogger(__name__)


class _NotOurs(Exception):
    """Another front end owns the jobs, or the job is over."""


class DdlWorker:
    """The jobs of a cluster, as one front end sees and runs them."""

    def __init__(self, client: KvClient, catalog: Catalog, *, single_front_end: bool) -> None:
        self._client = self.client = client
        self._catalog = catalog
        self._single = single_front_end
        self._name = secrets.token_hex(8)
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to run jobs, what an earlier process left first."""
        if await jobs.queued(self._client.snapshot(await self._client.timestamp())):
            self._wake.set()
        self._task = asyncio.create_task(self._run(), name="ddl worker")

    async def close(self) -> None:
        """Stop; jobs stay where they are, for the next owner."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # --- statements ---

    async def run(self, job: Callable[[KvTransaction, CatalogSnapshot], Awaitable[Job]]) -> Job:
        """Queue the job that `job` makes of the catalogue, and wait for its end. Raises what it failed with."""
        made: list[Job] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
            made[:] = [await job(txn, seen)]
            jobs.save(txn, made[0])

        await self._catalog.change(change)
        self._wake.set()
        ended = await self._ended(made[0].id)
        await self._catalog.refresh()
        if ended.error_code:
            raise SqlError(ended.error_code, ended.error)
        return ended

    async def cancel(self, job_id: int) -> None:
        """Have a job taken back. Raises 8224 for an unknown one, 8225 for one that is over or on its way out."""
        job: list[Job] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
            found = await jobs.find(txn, job_id)
            if found is None:
                raise SqlError(ER_NO_JOB, f"DDL Job:{job_id} not found")
            if not _can_be_taken_back(found):
                message = f"This job:{job_id} is almost finished or cannot be cancelled now (state {found.state})"
                raise SqlError(ER_CANNOT_CANCEL, message)
            job[:] = [replace(found, state=JobState.CANCELLING)]
            jobs.save(txn, job[0])

        await self._catalog.change(change)
        self._wake.set()

    async def wait_for_jobs(self, table_id: int) -> None:
        """Wait for the end of the jobs of a table that are under way."""
        reader = self._client.snapshot(await self._client.timestamp())
        for job in await jobs.queued(reader):
            if job.table_id == table_id:
                await self._ended(job.id)

    async def _ended(self, job_id: int) -> Job:
        while True:
            job = await jobs.find(self._client.snapshot(await self._client.timestamp()), job_id)
            if job is not None and job.state.is_over:
                return job
            async with self._moved:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._moved.wait()

    # --- the owner ---

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):  # then a look at what others may have queued before they died
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
                async with asyncio.timeout(None if self._single else LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while await self._work():
                    pass
            except RutileError as error:
                _log.warning("a DDL job waits: %s", error)
                self._wake.set()
                await asyncio.sleep(LOOK_EVERY_S)

    async def _work(self) -> bool:
        """One step of the oldest job; whether there was one to take."""
        reader = self._client.snapshot(await self._client.timestamp())
        waiting = await jobs.queued(reader)
        if not waiting:
            return False
        job = await self._step(waiting[0].id)
        if job is None:
            return False
        if not job.state.is_over and job.schema_state == "write reorganization" and job.state is JobState.RUNNING:
            await self._fill(job)
        async with self._moved:
            self._moved.notify_all()
        return True

    async def _step(self, job_id: int) -> Job | None:
        """Take the job's next step, if it and the ownership can be had; then wait until it is everybody's."""
        taken: list[Job] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo | None:
            taken.clear()
            job = await self._owned(txn, job_id)
            if job is None:
                raise _NotOurs
            now = await self._client.timestamp()
            table = next((info for info in seen.tables.values() if info.table_id == job.table_id), None)
            next_step = column_steps.next_step if job.type == column_steps.MODIFY_COLUMN else index_steps.next_step
            moved, changed = next_step(txn, job, table, now)
            if changed is not None:
                txn.put(meta.table_key(changed.schema.database, changed.schema.name), changed.to_bytes())
            if moved.state.is_over:
                moved = replace(moved, ended_ms=physical_ms(now))
                await jobs.forget_old(txn)
                txn.delete(jobs.OWNER_KEY)  # whoever has the next job need not wait for this front end to see it
            jobs.save(txn, moved)
            taken.append(moved)
            return changed

        try:
            changed = await self._catalog.change(change)
        except _NotOurs:
            return None
        if changed is not None:
            await self._catalog.settle()
        return taken[0]

    async def _owned(self, txn: KvTransaction, job_id: int) -> Job | None:
        """The job within `txn`, if this front end may work on it."""
        now = await self._client.timestamp()
        if not await own(txn, jobs.OWNER_KEY, self._name, now, jobs.OWNER_LEASE_MS):
            return None
        data = await txn.get(jobs.job_key(job_id))
        return Job.from_bytes(data) if data is not None else None

    async def _fill(self, job: Job) -> None:
        """Make what the rows there are lack, then say so in the job, or how it failed."""
        info = await self._catalog.table_by_id(job.table_id)
        if info is None:
            return
        source = await FillSnapshot.open(self._client, job)
        job = source.noted(job)
        try:
            done = await self._filling(info, job, source).run(job)
        except RowRefused as error:
            done = job.failed(error.cause.code, error.cause.message)
        if done is not None and await self._note(done):
            await source.close()  # otherwise another owner may be reading; the claim lapses

    def _filling(self, info: TableInfo, job: Job, source: FillSnapshot) -> Backfill | IndexLoad:
        """What makes it: transactions for what others could meet, a load for the entries of other indexes."""
        if info.changing is not None:
            return Backfill(self._client, info, {new for _, new in info.changing.indexes}, source, self._note)
        if any(index.id == job.index_id and index.unique for index in info.indexes):
            return Backfill(self._client, info, {job.index_id}, source, self._note)
        return IndexLoad(self._client, info, job.index_id, source, self._note)

    async def _note(self, job: Job) -> bool:
        """Write how far a job is; whether it is still ours and to go on."""
        txn = await self._client.begin()
        try:
            known = await self._owned(txn, job.id)
            goes_on = known is not None and known.state is JobState.RUNNING
            if goes_on:
                jobs.save(txn, job)
            await txn.commit()
        except RutileError:
            await txn.rollback()
            raise
        return goes_on


def _can_be_taken_back(job: Job) -> bool:
    is_under_way = job.state in (JobState.QUEUEING, JobState.RUNNING) and job.schema_state != column_steps.NO_WAY_BACK
    return is_under_way and job.type in _CANCELLABLE
