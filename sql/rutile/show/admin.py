"""ADMIN: looking at DDL jobs, cancelling them, checking tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rutile.catalog import jobs
from rutile.catalog.jobs import Job
from rutile.ddl.check_table import check_table
from rutile.parse import statements as st
from rutile.rows.access import TableAccess
from rutile.rows.temporal import format_datetime
from rutile.session.definitions import database_of
from rutile.session.result import Result, ResultColumn, Row
from rutile_coprocessor.schema import ColumnType, Kind

if TYPE_CHECKING:
    from rutile.session.session import Session

DEFAULT_JOBS_SHOWN = 10
_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_NUMBER = ColumnType(Kind.BIGINT)
_JOB_COLUMNS = {
    "JOB_ID": _NUMBER, "DB_NAME": _TEXT, "TABLE_NAME": _TEXT, "JOB_TYPE": _TEXT, "SCHEMA_STATE": _TEXT,
    "TABLE_ID": _NUMBER, "ROW_COUNT": _NUMBER, "CREATE_TIME": _TEXT, "START_TIME": _TEXT, "END_TIME": _TEXT,
    "STATE": _TEXT, "COMMENTS": _TEXT,
}  # fmt: skip


async def run_admin(session: Session, statement: st.Admin) -> Result:
    """Run an ADMIN statement. Raises 8223, 8224, 8225."""
    match statement.what:
        case "show ddl jobs":
            return await _show_jobs(session, statement.numbers[0] if statement.numbers else DEFAULT_JOBS_SHOWN)
        case "cancel ddl jobs":
            for job_id in statement.numbers:
                await session.shared.ddl.cancel(job_id)
            rows: list[Row] = [(str(job_id), "successful") for job_id in statement.numbers]
            return Result.of_rows([ResultColumn("JOB_ID", _TEXT), ResultColumn("RESULT", _TEXT)], rows)
    for table in statement.tables:
        await _check(session, table)
    return Result()


async def _show_jobs(session: Session, most: int) -> Result:
    client = session.shared.client
    reader = client.snapshot(await client.timestamp())
    listed = [*reversed(await jobs.queued(reader)), *(await jobs.history(reader))[:most]]
    columns = [ResultColumn(name, kind) for name, kind in _JOB_COLUMNS.items()]
    return Result.of_rows(columns, [_row(job) for job in listed])


def _row(job: Job) -> Row:
    return (
        job.id, job.database, job.table, job.type, job.schema_state, job.table_id, job.row_count,
        _moment(job.created_ms), _moment(job.started_ms), _moment(job.ended_ms), job.state.value, job.error,
    )  # fmt: skip


def _moment(ms: int) -> str | None:
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC).replace(tzinfo=None)) if ms else None


async def _check(session: Session, name: st.TableName) -> None:
    catalog, client = session.shared.catalog, session.shared.client
    info = await catalog.get_table(database_of(name, session.database), name.name)
    await check_table(TableAccess(info), client.snapshot(await client.timestamp()))
