"""`rutile import`, IMPORT INTO, and large Arrow inserts: a source into a table, seen by nobody until all of it is in.

    1  a job is written down (`import_job`), so that it can be seen, cancelled and gone on with
    2  the table is made or, if it exists, hidden: state "importing"
    3  the source is read, encoded and written (`loading`); every second the job notes how far that is
    4  primary and unique keys are checked for duplicates over the whole source
    5  the table is published, and the job finished, in one transaction; on any error the rows are removed by range, and
       nothing was imported
    6  all stores decode a large table into their mirrors, before the first query that would have to wait for it

The table must be empty, as for TiDB's IMPORT INTO: versions are written below the transactional layer, which is only
right where no transaction can look. All rows have the timestamps of step 2, so that what is written again after a crash
is the same versions once more.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

import pyarrow as pa

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.meta import auto_increment_key, row_id_key
from rutile.catalog.model import CatalogSnapshot, TableInfo, TableState
from rutile.errors import SqlError
from rutile.ingest.bulk_rows import BulkEncoder
from rutile.ingest.fitting import ColumnFit
from rutile.ingest.import_job import ImportJob, ImportJobs, JobStatus, finish
from rutile.ingest.import_source import Source, column_type_for
from rutile.ingest.loading import Loading
from rutile.ingest.progress import Progress
from rutile.ingest.removal import remove_rows
from rutile.pep249 import NotSupportedError, ProgrammingError
from rutile.rows.access import TableAccess
from rutile.session.engine import Database
from rutile.session.storage import KvTransaction
from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.schema import Column, Handle, Kind, TableSchema
from rutile_proto.errors import RutileError
from rutile_proto.keys import table_range

log = logging.getLogger(__name__)

BEAT_S = 5.0
WARM_ROWS = 100_000
"""An import of so many rows makes the mirror, too."""
WARM_S = 600.0
"""How long it may wait for that."""
ER_PRECHECK = 8173
"""TiDB's number for a table that an import cannot go into."""

OpenSource = Callable[[TableSchema | None], Source]
"""Opens what is to be imported; told the table if it exists."""


class TableImport:
    """One import, from opening the source to publishing the table.

    Raises DataError for a damaged source or a value that does not fit, IntegrityError for duplicate keys,
    ProgrammingError when source and table do not fit each other, and SqlError.
    """

    def __init__(self, engine: Database, database: str, table: str, open_source: OpenSource) -> None:
        self._engine = engine
        self._jobs = ImportJobs(engine.client)
        self._database = database
        self._table = table
        self._open_source = open_source
        self.create_as: tuple[str, ...] | None = None
        """The primary key of the table to make; None: it exists."""
        self.show_progress = True
        self.makes_mirror = True
        """Whether a large table is decoded into the stores' mirrors at the end."""
        self.created_by = ""
        self.job: ImportJob | None = None
        """What is written down of this import."""

    async def run(self) -> int:
        """The number of rows imported."""
        source = self._open_source(await self._target())
        creates = self.create_as is not None

        def make(job_id: int, now_ms: int) -> ImportJob:
            return ImportJob(
                job_id, self._database, self._table, source.described, self.created_by, uuid.uuid4().hex, now_ms,
                creates, source.reopen, source.size_bytes, beat_ms=now_ms,
            )  # fmt: skip

        self.job = await self._jobs.add(make)
        return await self._guarded(self._begin(source))

    async def resume(self, job: ImportJob) -> int:
        """Go on with a job that was taken up (`ImportJobs.take_up`); the number of all its rows."""
        self.job = job
        return await self._guarded(self._go_on(job))

    @property
    def _mine(self) -> ImportJob:
        assert self.job is not None, "the job is written down first"
        return self.job

    async def _guarded(self, work: Coroutine[None, None, int]) -> int:
        beating = asyncio.create_task(self._beat())
        try:
            return await work
        except BaseException as error:
            await asyncio.shield(self._give_up(error))
            raise
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        """Signs of life, also while nothing is written: looking for duplicates may take long."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._jobs.change(self._mine)
            except SqlError:
                return  # the job is not ours any more: the next checkpoint will say so
            except RutileError as error:
                log.info("import job %d: no sign of life could be given: %s", self._mine.id, error)

    # --- the table ----------------------------------------------------------------------------------------------------

    async def _target(self) -> TableSchema | None:
        """The table that is there; None if one is to be made. Raises 1146, 8173, and 1235 for what imports skip."""
        if self.create_as is not None:
            return None
        found = await self._engine.catalog.get_table(self._database, self._table)
        if found.rules:
            raise NotSupportedError("import into a table with generated columns or CHECK constraints", 1235)
        if found.foreign_keys:
            raise NotSupportedError("import into a table with foreign keys: nothing would check them", 1235)
        if found.partitioning is not None:
            raise NotSupportedError("import into a partitioned table: use INSERT or LOAD DATA", 1235)
        return found.schema

    async def _begin(self, source: Source) -> int:
        info = await (self._hide() if self.create_as is None else self._create(source.schema, self.create_as))
        client = self._engine.client
        start_ts = await client.timestamp()
        commit_ts = await client.timestamp()
        self.job = await self._jobs.change(self._mine, table_id=info.table_id, start_ts=start_ts, commit_ts=commit_ts)
        if self.create_as is None:
            await self._check_empty(info)
        return await self._load(info, source)

    async def _go_on(self, job: ImportJob) -> int:
        info = (await self._engine.catalog.refresh()).tables.get((self._database.lower(), self._table.lower()))
        if info is None or info.table_id != job.table_id or not job.table_id:
            raise ProgrammingError(f"import job {job.id} died before it wrote anything: import anew")
        source = self._open_source(info.schema)
        if source.size_bytes != job.size_bytes:
            raise ProgrammingError(f"{source.described} has {source.size_bytes} bytes, and had {job.size_bytes} when"
                                   f" import job {job.id} began: it is another file now")  # fmt: skip
        return await self._load(info, source)

    async def _create(self, columns: pa.Schema, primary_key: tuple[str, ...]) -> TableInfo:
        wanted = schema_of(columns, self._database, self._table, primary_key)
        return await self._engine.catalog.create_table(wanted, state=TableState.IMPORTING)

    async def _hide(self) -> TableInfo:
        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            found = seen.table(self._database, self._table)
            if found is None:
                raise errors.unknown_table(self._database, self._table)
            if found.changing is not None:
                raise errors.not_supported("an import while a column of the table changes its type")
            hidden = replace(found, state=TableState.IMPORTING)
            txn.put(meta.table_key(self._database, self._table), hidden.to_bytes())
            return hidden

        hidden = await self._engine.catalog.change(change)
        assert hidden is not None
        await self._engine.catalog.settle()
        return hidden

    async def _check_empty(self, info: TableInfo) -> None:
        client = self._engine.client
        if await client.snapshot(await client.timestamp()).scan(*table_range(info.table_id), 1):

            async def show(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
                await self._publish(txn, info)
                return info

            await self._engine.catalog.change(show)
            raise ProgrammingError(
                f"PreCheck failed: target table is not empty: {self._database}.{self._table}", ER_PRECHECK
            )

    async def _publish(self, txn: KvTransaction, info: TableInfo) -> None:
        shown = replace(info, state=TableState.PUBLIC)
        txn.put(meta.table_key(self._database, self._table), shown.to_bytes())

    # --- the rows -----------------------------------------------------------------------------------------------------

    async def _load(self, info: TableInfo, source: Source) -> int:
        job, table = self._mine, TableAccess(info)
        encoder = BulkEncoder(table, job.start_ts, job.commit_ts)
        fit = ColumnFit(table.schema, source.schema.names, source.name)
        progress = Progress(info.schema.name, source.total_rows, sys.stderr if self.show_progress else io.StringIO())
        loading = Loading(self._engine.client, table, encoder, fit, progress)
        rows = await loading.run(source, job.rows, self._checkpoint)
        self.job = await self._jobs.change(self._mine, rows=rows, phase="validating")
        ids = self._engine.catalog.ids
        if table.is_hidden and rows:
            await ids.rebase(row_id_key(info.table_id), rows)
        if loading.highest_number:
            await ids.rebase(auto_increment_key(info.table_id), loading.highest_number)
        await self._finish(info, source.note())
        if self.makes_mirror and rows >= WARM_ROWS:
            await warm(self._engine, info.schema)
        return rows

    async def _checkpoint(self, rows: int) -> None:
        self.job = await self._jobs.change(self._mine, rows=rows)

    async def _finish(self, info: TableInfo, message: str) -> None:
        now_ms = await self._jobs.now_ms()

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            await finish(txn, self._mine, now_ms, message)
            await self._publish(txn, info)
            return info

        await self._engine.catalog.change(change)

    async def _give_up(self, error: BaseException) -> None:
        """Unless the job is somebody else's by now, or over: its rows are their business."""
        job = await self._jobs.get(self._mine.id)
        if not job.is_over and job.owner == self._mine.owner:
            await remove_rows(self._engine, job)
            text = str(error) or ("interrupted" if isinstance(error, asyncio.CancelledError) else type(error).__name__)
            await self._jobs.end(job.id, JobStatus.FAILED, text)


async def warm(engine: Database, schema: TableSchema) -> None:
    """Have every store decode its replicas of the rows into its mirror now, columns of documents and large objects
    excepted: any of them may be sent the first query. The table is published: what fails here, that query does."""
    columns = [column.name for column in schema.columns if column.type.kind not in (Kind.BLOB, Kind.TEXT, Kind.JSON)]
    scan = Scan("t", schema, tuple(columns) or (schema.columns[0].name,))
    fragment = Fragment("SELECT COUNT(*) FROM t", (scan,)).to_proto()
    client, ranges = engine.client, {scan.name: [table_range(schema.table_id)]}
    try:
        await client.warm_mirrors(fragment, ranges, await client.timestamp(), WARM_S)
    except RutileError as error:
        log.info("table %s.%s is imported, its mirror is not made: %s", schema.database, schema.name, error)


def schema_of(arrow: pa.Schema, database: str, table: str, primary_key: Sequence[str]) -> TableSchema:
    """The table `--create` makes for a file: one column a field, NOT NULL where the file says so or the key needs it.

    Raises ProgrammingError for an unknown key column, NotSupportedError for a type SQL has no word for.
    """
    names = [field.name.lower() for field in arrow]
    unknown = [name for name in primary_key if name.lower() not in names]
    if unknown:
        raise ProgrammingError(f"--primary-key {','.join(unknown)}: the file's columns are {', '.join(names)}", 1072)
    key = {name.lower() for name in primary_key}
    columns = tuple(
        Column(place, field.name, column_type_for(field), field.nullable and field.name.lower() not in key)
        for place, field in enumerate(arrow, start=1)
    )
    by_name = {column.name.lower(): column for column in columns}
    ids = tuple(by_name[name.lower()].id for name in primary_key)
    single_integer = len(ids) == 1 and by_name[primary_key[0].lower()].type.is_integer
    handle: Handle = "hidden" if not ids else "int" if single_integer else "common"
    return TableSchema(0, table, columns, ids, handle, database=database)
