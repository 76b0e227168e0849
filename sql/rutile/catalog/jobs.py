"""DDL jobs: changes of definitions that take several steps, as they lie in the catalogue.

m ddl_job <id>       JSON: a job that is queued or runs
m ddl_history <id>   JSON: a job that has ended, well or not
m ddl_owner          JSON: the front end that runs the jobs, and until when; each step of a job rewrites it in the
                     step's own transaction, so two owners cannot both take a step
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from rutile.catalog import meta
from rutile.catalog.meta import MetaReader, MetaWriter
from rutile_proto.keys import meta_key

OWNER_KEY = meta_key("ddl_owner")
OWNER_LEASE_MS = 10_000
"""An owner that takes no step for so long is taken for dead."""
MAX_HISTORY = 1_000
"""Jobs that are over and still listed; the oldest go."""
_JOBS = meta_key("ddl_job")
_HISTORY = meta_key("ddl_history")


class JobState(StrEnum):
    """Where a job is in its life, in TiDB's words."""

    QUEUEING = "queueing"
    RUNNING = "running"
    CANCELLING = "cancelling"
    """Somebody asked to take it back; the owner has not seen it yet."""
    ROLLING_BACK = "rollingback"
    ROLLED_BACK = "rollback done"
    SYNCED = "synced"

    @property
    def is_over(self) -> bool:
        return self in (JobState.ROLLED_BACK, JobState.SYNCED)


@dataclass(frozen=True)
class Job:
    """One change of a table's definition."""

    id: int
    type: str
    """`add index` or `drop index`; of what is only written down in the history, `drop table` and the like."""
    database: str
    table: str
    table_id: int
    index_id: int
    index_name: str
    created_ms: int
    state: JobState = JobState.QUEUEING
    schema_state: str = "none"
    row_count: int = 0
    """Rows whose entries were made."""
    next_key: str = ""
    """Where making them goes on, in hex."""
    started_ms: int = 0
    ended_ms: int = 0
    error_code: int = 0
    error: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Job:
        body = json.loads(data)
        return Job(**{**body, "state": JobState(body["state"])})

    def over(self) -> Job:
        """The job at its end: done, or taken back if it had failed."""
        return replace(self, state=JobState.ROLLED_BACK if self.error_code else JobState.SYNCED)

    def failed(self, code: int, message: str) -> Job:
        """The job on its way back because of an error."""
        return replace(self, state=JobState.ROLLING_BACK, error_code=code, error=message)


def job_key(job_id: int) -> bytes:
    return meta_key("ddl_job", job_id)


def history_key(job_id: int) -> bytes:
    return meta_key("ddl_history", job_id)


async def queued(reader: MetaReader) -> list[Job]:
    """Jobs that are not over, oldest first."""
    return [Job.from_bytes(value) for _, value in await meta.scan_all(reader, _JOBS)]


async def history(reader: MetaReader) -> list[Job]:
    """Jobs that are over, newest first."""
    found = [Job.from_bytes(value) for _, value in await meta.scan_all(reader, _HISTORY)]
    return sorted(found, key=lambda job: (job.ended_ms, job.id), reverse=True)


async def find(reader: MetaReader, job_id: int) -> Job | None:
    """A job, over or not."""
    data = await reader.get(job_key(job_id)) or await reader.get(history_key(job_id))
    return Job.from_bytes(data) if data is not None else None


def save(txn: MetaWriter, job: Job) -> None:
    """Write a job where it belongs."""
    if job.state.is_over:
        txn.delete(job_key(job.id))
        txn.put(history_key(job.id), job.to_bytes())
    else:
        txn.put(job_key(job.id), job.to_bytes())


async def forget_old(txn: MetaWriter) -> None:
    """Leave room in the history for one more job."""
    listed = await history(txn)
    for job in listed[MAX_HISTORY - 1 :]:
        txn.delete(history_key(job.id))
