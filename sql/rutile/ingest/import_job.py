"""Import jobs: what is known of each import, in the catalogue, so that it can be seen, cancelled, and gone on with.

    m import_job <id>     JSON: one job, running or over

A job belongs to the process that runs it: its `owner`. Each change of the record is a transaction that reads it first,
so an importer that was cancelled, or whose job another process has taken up, hears of it at its next step and at the
latest when it wants to publish the table.

    running ──► finished         in the transaction that publishes the table
            ├─► failed           after an error; the rows are removed
            └─► cancelled        by CANCEL IMPORT JOB; the rows are removed
    A process that dies leaves its job running: `take_up` it once its last sign of life is old, or cancel it; what
    nobody goes on with is ended by `abandoned`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from rutile.catalog import meta
from rutile.catalog.meta import MetaReader, MetaWriter
from rutile.catalog.transactions import in_transaction
from rutile.errors import SqlError
from rutile.session.storage import KvClient, KvTransaction
from rutile_proto.keys import meta_key
from rutile_proto.timestamps import physical_ms

MAX_JOBS = 1_000
"""Jobs kept; the oldest that are over go."""
SILENT_MS = 15_000
"""An importer not heard of for so long is taken for dead."""
ER_JOB_NOT_FOUND = 8170
ER_JOB_NOT_ALLOWED = 8171
_JOBS = meta_key("import_job")


class JobStatus(StrEnum):
    """TiDB's words."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class ImportJob:
    """One import. Times are milliseconds of the placement driver's clock, 0 for what has not come."""

    id: int
    database: str
    table: str
    source: str
    """The file, or what the rows come from."""
    created_by: str
    owner: str
    created_ms: int
    creates_table: bool
    """Whether the table is made, and goes if the import fails."""
    reopen: dict[str, Any] | None = None
    """What a file is opened with again; None for a source that cannot be read twice."""
    size_bytes: int = 0
    table_id: int = 0
    """0 until the table is hidden or made."""
    start_ts: int = 0
    commit_ts: int = 0
    status: JobStatus = JobStatus.RUNNING
    phase: str = "importing"
    """importing, validating, or empty when it is over."""
    rows: int = 0
    """So many rows from the beginning of the source are in, and need not be sent again."""
    message: str = ""
    beat_ms: int = 0
    """The owner's last sign of life."""
    ended_ms: int = 0

    @property
    def is_over(self) -> bool:
        return self.status is not JobStatus.RUNNING

    def is_silent(self, now_ms: int, silent_ms: int = SILENT_MS) -> bool:
        """Whether its owner seems to be dead: not heard of for so long."""
        return not self.is_over and now_ms - self.beat_ms > silent_ms

    def ended(self, status: JobStatus, message: str, now_ms: int) -> ImportJob:
        """The job, over."""
        return replace(self, status=status, message=message, phase="", ended_ms=now_ms)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> ImportJob:
        body = json.loads(data)
        return ImportJob(**{**body, "status": JobStatus(body["status"])})


def job_key(job_id: int) -> bytes:
    return meta_key("import_job", job_id)


def job_not_found(job_id: int) -> SqlError:
    return SqlError(ER_JOB_NOT_FOUND, f"Job ID {job_id} doesn't exist")


def job_lost(job: ImportJob) -> SqlError:
    """For an importer whose job is no longer its own."""
    what = f"was {job.status}" if job.is_over else "was taken up by another process"
    return SqlError(ER_JOB_NOT_ALLOWED, f"import job {job.id} {what}; this importer stops")


async def read_job(reader: MetaReader, job_id: int) -> ImportJob:
    """Raises 8170."""
    data = await reader.get(job_key(job_id))
    if data is None:
        raise job_not_found(job_id)
    return ImportJob.from_bytes(data)


async def read_jobs(reader: MetaReader) -> list[ImportJob]:
    """All jobs kept, oldest first."""
    return [ImportJob.from_bytes(value) for _, value in await meta.scan_all(reader, _JOBS)]


def write_job(txn: MetaWriter, job: ImportJob) -> None:
    txn.put(job_key(job.id), job.to_bytes())


@dataclass
class ImportJobs:
    """The jobs of a cluster."""

    client: KvClient
    _trimmed: int = field(default=0, init=False)

    async def now_ms(self) -> int:
        """The placement driver's time."""
        return physical_ms(await self.client.timestamp())

    async def all(self) -> list[ImportJob]:
        """All jobs kept, oldest first."""
        return await read_jobs(self.client.snapshot(await self.client.timestamp()))

    async def get(self, job_id: int) -> ImportJob:
        """Raises 8170."""
        return await read_job(self.client.snapshot(await self.client.timestamp()), job_id)

    async def add(self, make: Callable[[int, int], ImportJob]) -> ImportJob:
        """A new job, made of its number and the time; the oldest beyond MAX_JOBS that are over go."""

        async def body(txn: KvTransaction) -> ImportJob:
            job = make(await meta.next_id(txn), await self.now_ms())
            write_job(txn, job)
            over = [each for each in await read_jobs(txn) if each.is_over]
            for old in over[: max(0, len(over) - MAX_JOBS)]:
                txn.delete(job_key(old.id))
            return job

        return await in_transaction(self.client, body)

    async def change(self, job: ImportJob, **changes: Any) -> ImportJob:
        """The job with these changes and a sign of life. Raises 8171 if it is over or has another owner by now."""
        now_ms = await self.now_ms()
        return await self._rewrite(job.id, lambda found: replace(_own(found, job), beat_ms=now_ms, **changes))

    async def take_up(self, job_id: int, owner: str, silent_ms: int = SILENT_MS) -> ImportJob:
        """Make the job of a dead importer one's own. Raises 8170, 8171 if it is over, alive, or cannot be gone on
        with."""
        now_ms = await self.now_ms()

        def taken(found: ImportJob) -> ImportJob:
            if found.is_over:
                raise SqlError(ER_JOB_NOT_ALLOWED, f"import job {job_id} is {found.status}: nothing to resume")
            if not found.is_silent(now_ms, silent_ms):
                raise SqlError(ER_JOB_NOT_ALLOWED, f"import job {job_id} is running: its importer was heard of"
                               f" {(now_ms - found.beat_ms) / 1000:.1f} s ago")  # fmt: skip
            if found.reopen is None:
                raise SqlError(ER_JOB_NOT_ALLOWED, f"import job {job_id} reads no file that could be read again:"
                               f" CANCEL IMPORT JOB {job_id}, and import anew")  # fmt: skip
            return replace(found, owner=owner, beat_ms=now_ms)

        return await self._rewrite(job_id, taken)

    async def end(self, job_id: int, status: JobStatus, message: str) -> ImportJob:
        """Mark a running job as over, whoever owns it. Raises 8170, 8171."""
        now_ms = await self.now_ms()

        def ended(found: ImportJob) -> ImportJob:
            if found.is_over:
                raise SqlError(
                    ER_JOB_NOT_ALLOWED, f"The current job status cannot perform the operation: it is {found.status}"
                )
            return found.ended(status, message, now_ms)

        return await self._rewrite(job_id, ended)

    async def end_silent(self, job_id: int, silent_ms: int) -> ImportJob:
        """Mark a job as failed whose importer was not heard of for so long. Raises 8170, 8171 if it is over or
        alive."""
        now_ms = await self.now_ms()

        def ended(found: ImportJob) -> ImportJob:
            if not found.is_silent(now_ms, silent_ms):
                raise SqlError(ER_JOB_NOT_ALLOWED, f"import job {job_id} was not abandoned")
            silent_s = (now_ms - found.beat_ms) // 1000
            return found.ended(JobStatus.FAILED, f"abandoned: its importer was silent for {silent_s} s", now_ms)

        return await self._rewrite(job_id, ended)

    async def _rewrite(self, job_id: int, change: Callable[[ImportJob], ImportJob]) -> ImportJob:
        async def body(txn: KvTransaction) -> ImportJob:
            changed = change(await read_job(txn, job_id))
            write_job(txn, changed)
            return changed

        return await in_transaction(self.client, body)


def _own(found: ImportJob, mine: ImportJob) -> ImportJob:
    if found.is_over or found.owner != mine.owner:
        raise job_lost(found)
    return found


async def finish(txn: MetaWriter, mine: ImportJob, now_ms: int, message: str = "") -> None:
    """Mark the job finished in the transaction that publishes its table. Raises 8171."""
    found = _own(await read_job(txn, mine.id), mine)
    write_job(txn, found.ended(JobStatus.FINISHED, message, now_ms))
