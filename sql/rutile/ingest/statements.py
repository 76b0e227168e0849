"""IMPORT INTO, SHOW IMPORT JOBS and CANCEL IMPORT JOB, with TiDB's answers.

IMPORT INTO is answered when all rows are in; WITH DETACHED at once, and runs on in this process. A job is shown to, and
cancelled by, the user who began it, or one who holds SUPER.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from rutile.errors import SqlError, no_database_selected
from rutile.expressions.compile import Environment
from rutile.ingest.arrow_source import ArrowSource
from rutile.ingest.csv_source import CsvOptions
from rutile.ingest.import_file import file_opener
from rutile.ingest.import_job import ImportJob, ImportJobs, job_not_found
from rutile.ingest.import_source import Source
from rutile.ingest.importer import OpenSource, TableImport
from rutile.ingest.removal import cancel_job
from rutile.ingest.result_stream import PulledRows, open_stream
from rutile.parse import statements as st
from rutile.pep249 import DatabaseError
from rutile.privileges.names import Privilege
from rutile.session.file_statements import JOB_COLUMNS
from rutile.session.result import Result, Row
from rutile_coprocessor.schema import TableSchema
from rutile_coprocessor.value_errors import ColumnValueError

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_IN_TRANSACTION = 1179
ER_WRONG_VALUE = 1366


async def run_import(session: Session, statement: st.ImportInto, environment: Environment) -> Result:
    """Import; the job, as SHOW IMPORT JOB has it. Raises 1046, 1062, 1136, 1146, 1179, 1290, 1366, 8173."""
    if session.in_transaction:
        raise SqlError(ER_IN_TRANSACTION, "You are not allowed to execute this command in a transaction")
    database = statement.table.database or session.database
    if database is None:
        raise no_database_selected()
    names = statement.columns or await _column_names(session, database, statement.table.name)
    rows = await _rows_of(session, statement, environment) if statement.query is not None else None
    open_source = _of_file(session, statement, names) if rows is None else _of_rows(rows, names)
    importer = TableImport(session.shared, database, statement.table.name, open_source)
    importer.show_progress = False
    importer.created_by = _user(session)
    if statement.options.get("detached"):
        return await _detached(session, importer, rows)
    await _imported(importer, rows)
    return await _answer(session, importer)


async def run_show_jobs(session: Session, job_id: int | None) -> Result:
    """The jobs the session may see, or one of them. Raises 8170."""
    jobs = ImportJobs(session.shared.client)
    now_ms = await jobs.now_ms()
    seen = [job for job in await jobs.all() if await _may_see(session, job) and job_id in (None, job.id)]
    if job_id is not None and not seen:
        raise job_not_found(job_id)
    return Result.of_rows(JOB_COLUMNS, [_row(job, now_ms) for job in seen])


async def run_cancel(session: Session, job_id: int) -> Result:
    """Stop a job, and remove its rows. Raises 8170, 8171."""
    if not await _may_see(session, await ImportJobs(session.shared.client).get(job_id)):
        raise job_not_found(job_id)
    await cancel_job(session.shared, job_id)
    return Result()


async def _imported(importer: TableImport, rows: PulledRows | None) -> None:
    try:
        await importer.run()
    except DatabaseError as error:
        raise SqlError(error.code, error.message, sqlstate=error.sqlstate) from error
    except ColumnValueError as error:
        raise SqlError(ER_WRONG_VALUE, f"{error}; nothing was imported") from error
    finally:
        if rows is not None:
            await rows.close()


async def _detached(session: Session, importer: TableImport, rows: PulledRows | None) -> Result:
    """Start it; the answer is the job as it is once it is written down."""
    task: asyncio.Task[object] = asyncio.create_task(_imported(importer, rows))
    running = session.shared.detached
    running[task] = None
    task.add_done_callback(lambda done: (running.pop(done, None), done.cancelled() or done.exception()))
    while importer.job is None and not task.done():
        await asyncio.wait([task], timeout=0.01)
    if importer.job is None:
        await task
    return await _answer(session, importer)


async def _answer(session: Session, importer: TableImport) -> Result:
    assert importer.job is not None, "an import that ran has a job"
    return await run_show_jobs(session, importer.job.id)


def _of_file(session: Session, statement: st.ImportInto, names: tuple[str, ...]) -> OpenSource:
    path = session.shared.files.to_read(statement.path or "")
    form = statement.format or ("parquet" if path.suffix.lower() in (".parquet", ".pq") else "csv")
    parquet_names = statement.columns if form == "parquet" else ()
    return file_opener(path, form=form, csv=_csv_options(statement, names), names=parquet_names)


async def _rows_of(session: Session, statement: st.ImportInto, environment: Environment) -> PulledRows:
    assert statement.query is not None
    return PulledRows(await open_stream(session, st.Query(statement.query), environment))


def _of_rows(rows: PulledRows, names: tuple[str, ...]) -> OpenSource:
    if len(names) != len(rows.schema):
        raise SqlError(1136, "Column count doesn't match value count at row 1")
    schema = pa.schema([field.with_name(name) for name, field in zip(names, rows.schema, strict=True)])

    def opened(table: TableSchema | None) -> Source:
        return ArrowSource("query", schema, (batch.rename_columns(list(names)) for batch in rows.batches()))

    return opened


async def _column_names(session: Session, database: str, table: str) -> tuple[str, ...]:
    found = await session.shared.catalog.get_table(database, table)
    return tuple(column.name for column in found.schema.columns)


def _csv_options(statement: st.ImportInto, names: tuple[str, ...]) -> CsvOptions:
    """TiDB's defaults: no header line, commas, double quotes."""
    given = statement.options

    def text(name: str, usual: str) -> str:
        return str(given.get(name, usual))

    nulls = (str(given["fields_defined_null_by"]),) if "fields_defined_null_by" in given else ("\\N",)
    return CsvOptions(
        names=names,
        delimiter=text("fields_terminated_by", ","),
        quote=text("fields_enclosed_by", '"'),
        escape=text("fields_escaped_by", ""),
        line_end=text("lines_terminated_by", ""),
        skip_lines=int(given.get("skip_rows", 0)),
        nulls=nulls,
        skip_bad=int(given.get("skip_bad", 0)),
    )


def _user(session: Session) -> str:
    return "@".join(session.privileges.identity.account)


async def _may_see(session: Session, job: ImportJob) -> bool:
    return job.created_by == _user(session) or await session.privileges.has_global(Privilege.SUPER)


def _row(job: ImportJob, now_ms: int) -> Row:
    message = job.message
    if job.is_silent(now_ms):
        advice = f"rutile import --resume {job.id}, or " if job.reopen is not None else ""
        silent_s = (now_ms - job.beat_ms) // 1000
        message = f"its importer has been silent for {silent_s} s: {advice}CANCEL IMPORT JOB {job.id}"
    return (
        job.id, job.source, f"`{job.database}`.`{job.table}`", job.table_id, job.phase, job.status.value,
        _size(job.size_bytes), job.rows, message, _time(job.created_ms), _time(job.created_ms), _time(job.ended_ms),
        job.created_by,
    )  # fmt: skip


def _time(milliseconds: int) -> datetime | None:
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g}{unit}"
        size /= 1024
    return f"{size:.4g}TiB"
