"""A file into a table, from the command line or Python: opened by its ending, or by what is said of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rutile.errors import SqlError
from rutile.ingest.csv_source import CsvOptions, open_csv
from rutile.ingest.import_job import SILENT_MS, ImportJob, ImportJobs
from rutile.ingest.import_source import Source, open_parquet
from rutile.ingest.importer import OpenSource, TableImport
from rutile.ingest.removal import cancel_job
from rutile.nodes.local import shared_database
from rutile.pep249 import DataError, NotSupportedError, exception_of
from rutile.session.engine import Database
from rutile_coprocessor.schema import TableSchema
from rutile_coprocessor.value_errors import ColumnValueError

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv"}


def import_file(
    target: str,
    database: str,
    table: str,
    path: Path,
    *,
    create: bool = False,
    primary_key: Sequence[str] = (),
    csv: CsvOptions | None = None,
    mirror: bool = True,
) -> int:
    """Import `path` into `table` of the database at `target` (see rutile.connect); returns the number of rows.

    With `mirror`, the stores decode the rows of a large table for analytical queries before this returns. Raises
    DataError for a damaged file or a value that does not fit, IntegrityError for duplicate keys and ProgrammingError
    when the table is missing or not empty, DiskFull when a store has no room. After an error nothing is imported.
    """

    async def work(engine: Database) -> int:
        importer = TableImport(engine, database, table, file_opener(path, csv=csv))
        importer.create_as = tuple(primary_key) if create else None
        importer.makes_mirror = mirror
        return await importer.run()

    return _on_database(target, path.name, work)


def resume_import(target: str, job_id: int, *, silent_ms: int = SILENT_MS) -> int:
    """Go on with the import of a process that died; the number of all its rows. Raises as `import_file`, and
    ProgrammingError when the job is over, was heard of in the last `silent_ms`, or its file is another one now."""

    async def work(engine: Database) -> int:
        job = await ImportJobs(engine.client).take_up(job_id, uuid.uuid4().hex, silent_ms)
        return await TableImport(engine, job.database, job.table, reopener(job)).resume(job)

    return _on_database(target, f"import job {job_id}", work)


def cancel_import(target: str, job_id: int) -> None:
    """Stop an import wherever it runs, or remove what one that died has left."""

    async def work(engine: Database) -> int:
        await cancel_job(engine, job_id)
        return 0

    _on_database(target, f"import job {job_id}", work)


def file_opener(
    path: Path, *, form: str | None = None, csv: CsvOptions | None = None, names: tuple[str, ...] = ()
) -> OpenSource:
    """Opens a file by its ending, or as `form`: parquet or csv. `names` are the columns of a Parquet file.

    Raises NotSupportedError for another format; what is opened raises DataError for a missing or damaged file.
    """
    known = form or FORMATS.get(path.suffix.lower())
    if known not in FORMATS.values():
        raise NotSupportedError(f"{path.name}: can import parquet and csv", 1235)
    usual = CsvOptions(delimiter="\t") if path.suffix.lower() == ".tsv" else CsvOptions()
    options = csv or usual
    body: dict[str, Any] = {"path": str(path.absolute()), "format": known}
    body |= {"csv": options.to_json()} if known == "csv" else {"names": list(names)}

    def opened(table: TableSchema | None) -> Source:
        source = open_parquet(path, names) if known == "parquet" else open_csv(path, options, table)
        return replace(source, described=body["path"], reopen=body)

    return opened


def reopener(job: ImportJob) -> OpenSource:
    """Opens a job's file again."""
    body = job.reopen or {}
    csv = CsvOptions.from_json(body["csv"]) if "csv" in body else None
    return file_opener(Path(body["path"]), form=body["format"], csv=csv, names=tuple(body.get("names", ())))


def _on_database(target: str, what: str, work: Any) -> int:
    shared = shared_database(target)
    try:
        return int(shared.loop.run(work(shared.database)))
    except SqlError as error:
        raise exception_of(error) from error
    except ColumnValueError as error:
        raise DataError(f"{what}: {error}; nothing was imported", 1366) from error
    finally:
        shared.release()
