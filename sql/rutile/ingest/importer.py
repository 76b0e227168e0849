"""`rutile import`: a file into a table, in bulk, seen by nobody until all of it is in.

    1  the table is made (--create) or, if it exists, hidden: state "importing"
    2  the file is read in batches; each is cast, encoded and written as committed versions (rutile.ingest.bulk_rows)
    3  primary and unique keys are checked for duplicates over the whole file
    4  the table is published; on any error it is dropped (or emptied and shown again), and nothing was imported

The table must be empty, as for TiDB's IMPORT INTO: versions are written below the transactional layer, which is only
right where no transaction can look.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rutile.catalog.meta import row_id_key
from rutile.catalog.model import TableInfo, TableState
from rutile.errors import SqlError
from rutile.ingest.bulk_rows import BulkEncoder, BulkEntries
from rutile.ingest.import_source import Source, column_type_for, open_source
from rutile.ingest.progress import Progress
from rutile.nodes.local import shared_database
from rutile.pep249 import DataError, IntegrityError, NotSupportedError, ProgrammingError, exception_of
from rutile.rows.access import TableAccess
from rutile.session.engine import Database
from rutile_coprocessor.schema import Column, Handle, TableSchema
from rutile_coprocessor.value_errors import ColumnValueError
from rutile_proto.keys import table_range, user_key

WRITES_IN_FLIGHT = 3
"""Batches being replicated while the next is encoded."""


def import_file(
    target: str, database: str, table: str, path: Path, *, create: bool = False, primary_key: Sequence[str] = ()
) -> int:
    """Import `path` into `table` of the database at `target` (see rutile.connect); returns the number of rows.

    Raises DataError for a damaged file or a value that does not fit, IntegrityError for duplicate keys and
    ProgrammingError when the table is missing or not empty. After an error nothing is imported.
    """
    shared = shared_database(target)
    try:
        importer = TableImport(shared.database, database, table, partial(open_source, path))
        importer.create_as = tuple(primary_key) if create else None
        return shared.loop.run(importer.run())
    except SqlError as error:
        raise exception_of(error) from error
    except ColumnValueError as error:
        raise DataError(f"{path.name}: {error}; nothing was imported", 1366) from error
    finally:
        shared.release()


class TableImport:
    """One import, from opening the source to publishing the table. Raises as `import_file`, and SqlError."""

    def __init__(
        self, engine: Database, database: str, table: str, open_source: Callable[[pa.Schema | None], Source]
    ) -> None:
        """`open_source` is told the table's Arrow schema if the table exists."""
        self._engine = engine
        self._database = database
        self._table = table
        self._open_source = open_source
        self.create_as: tuple[str, ...] | None = None
        """The primary key of the table to make; None: it exists."""
        self.show_progress = True

    async def run(self) -> int:
        """The number of rows imported."""
        info, source = await (self._hide_table() if self.create_as is None else self._create_table(self.create_as))
        try:
            rows = await self._load(TableAccess(info), source)
        except BaseException:
            await asyncio.shield(self._give_up())
            raise
        await self._engine.catalog.publish_table(self._database, self._table)
        return rows

    async def _create_table(self, primary_key: tuple[str, ...]) -> tuple[TableInfo, Source]:
        source = self._open_source(None)
        wanted = schema_of(source.schema, self._database, self._table, primary_key)
        return await self._engine.catalog.create_table(wanted, state=TableState.IMPORTING), source

    async def _hide_table(self) -> tuple[TableInfo, Source]:
        found = await self._engine.catalog.get_table(self._database, self._table)
        source = self._open_source(found.schema.arrow_schema())
        check_columns(found.schema, source.schema, source.path.name)
        if found.rules:
            raise NotSupportedError("import into a table with generated columns or CHECK constraints", 1235)
        info = await self._engine.catalog.hide_table(self._database, self._table)
        start, end = table_range(info.table_id)
        client = self._engine.client
        if await client.snapshot(await client.timestamp()).scan(start, end, 1):
            await self._engine.catalog.publish_table(self._database, self._table)
            raise ProgrammingError(f"table {self._database}.{self._table} is not empty; import needs an empty table")
        return info, source

    async def _give_up(self) -> None:
        if self.create_as is not None:
            await self._engine.catalog.drop_table(self._database, self._table)
        else:
            await self._engine.catalog.publish_table(self._database, self._table)
            await self._engine.catalog.truncate_table(self._database, self._table)

    async def _load(self, table: TableAccess, source: Source) -> int:
        client, schema = self._engine.client, table.schema
        start_ts = await client.timestamp()
        encoder = BulkEncoder(table, start_ts, await client.timestamp())
        progress = Progress(schema.name, source.total_rows, sys.stderr if self.show_progress else io.StringIO())
        writes: set[asyncio.Task[None]] = set()
        keys: list[pa.Array] = []
        batches = source.batches()
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                first_row_id = await self._row_ids(schema, batch.num_rows)
                encoded = await asyncio.to_thread(_encode, encoder, schema, batch, first_row_id)
                keys.append(encoded[0])
                writes.add(asyncio.create_task(client.bulk_write(*encoded[1])))
                if len(writes) >= WRITES_IN_FLIGHT:
                    writes = await _finish_one(writes)
                progress.add(batch.num_rows)
            while writes:
                writes = await _finish_one(writes)
        finally:
            for write in writes:
                write.cancel()
            await asyncio.gather(*writes, return_exceptions=True)
            progress.close()
        if schema.handle != "hidden" or table.unique_indexes:
            await asyncio.to_thread(_refuse_duplicates, keys, table)
        return progress.rows

    async def _row_ids(self, schema: TableSchema, count: int) -> int:
        """The first of `count` hidden row ids; 0 for a table that has a key of its own."""
        if schema.handle != "hidden":
            return 0
        return await self._engine.catalog.ids.take(row_id_key(schema.table_id), count)


def _encode(
    encoder: BulkEncoder, schema: TableSchema, batch: pa.RecordBatch, first_row_id: int
) -> tuple[pa.Array, BulkEntries]:
    encoded = encoder.encode(_cast(batch, schema), first_row_id)
    return pa.array(encoded.storage_keys, pa.binary()), encoder.entries(encoded)


async def _finish_one(writes: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    done, pending = await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
    for write in done:
        write.result()
    return pending


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


def check_columns(schema: TableSchema, arrow: pa.Schema, source_name: str) -> None:
    """The source has every column of the table, and no other."""
    table_columns = {column.name.lower() for column in schema.columns}
    file_columns = {name.lower() for name in arrow.names}
    if table_columns != file_columns:
        missing = ", ".join(sorted(table_columns - file_columns)) or "none"
        extra = ", ".join(sorted(file_columns - table_columns)) or "none"
        raise ProgrammingError(
            f"{source_name} does not fit table {schema.name}: missing {missing}; unknown {extra}", 1136
        )


def _cast(batch: pa.RecordBatch, schema: TableSchema) -> pa.RecordBatch:
    """`batch` with the table's columns in its order and exactly its types; DataError names the column that can't be."""
    places = {name.lower(): place for place, name in enumerate(batch.schema.names)}
    arrays = []
    for field in schema.arrow_schema():
        array = batch.column(places[field.name.lower()])
        try:
            arrays.append(array if array.type == field.type else _cast_array(array, field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"column {field.name}: {error}; nothing was imported", 1366) from error
    return pa.record_batch(arrays, schema.arrow_schema())


def _cast_array(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_time(array.type):  # a time of day is a length of time since midnight
        return array.cast(pa.time64("us")).cast(pa.int64()).cast(wanted)
    if pa.types.is_duration(wanted) and pa.types.is_string(array.type):
        parsed = pc.strptime(array, format="%H:%M:%S", unit="us")
        return pc.subtract(parsed, pc.floor_temporal(parsed, unit="day")).cast(wanted)
    return array.cast(wanted)


def _refuse_duplicates(keys: list[pa.Array], table: TableAccess) -> None:
    """IntegrityError 1062 with the first duplicate primary or unique key of the file."""
    all_keys = pa.chunked_array(keys, pa.binary())
    if pc.count_distinct(all_keys).as_py() == len(all_keys):
        return
    counts = pc.value_counts(all_keys)
    first = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0].as_py()
    duplicate = table.duplicate(user_key(first))
    raise IntegrityError(f"{duplicate.message}; nothing was imported", duplicate.code, duplicate.sqlstate)
