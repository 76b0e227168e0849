"""Taking an import back: by the importer itself, by CANCEL IMPORT JOB, or by whoever finds it abandoned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile.catalog.model import TableState
from rutile.ingest.import_job import ImportJob, ImportJobs, JobStatus

if TYPE_CHECKING:
    from rutile.session.engine import Database


async def remove_rows(engine: Database, job: ImportJob) -> None:
    """Take back what a job has done: the table it made goes, one that it hid is emptied and shown."""
    catalog = engine.catalog
    found = (await catalog.refresh()).tables.get((job.database.lower(), job.table.lower()))
    if found is None or found.state is not TableState.IMPORTING:
        return
    others = [each for each in await ImportJobs(engine.client).all() if each.id != job.id and not each.is_over]
    if any(each.table_id == found.table_id for each in others):
        return
    if job.creates_table:
        await catalog.drop_table(job.database, job.table, checked=False)
        return
    if found.table_id == job.table_id:
        await catalog.truncate_table(job.database, job.table, checked=False)
    await catalog.publish_table(job.database, job.table)


async def cancel_job(engine: Database, job_id: int) -> None:
    """CANCEL IMPORT JOB: its importer stops at its next step, its rows are removed. Raises 8170, 8171."""
    cancelled = await ImportJobs(engine.client).end(job_id, JobStatus.CANCELLED, "cancelled by user")
    await remove_rows(engine, cancelled)
