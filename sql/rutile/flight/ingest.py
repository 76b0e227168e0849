"""Bulk ingestion: an Arrow stream into a table, all of it or nothing.

    the table                        rows            how
    made by the ingest, or empty     many            as `rutile import` does: hidden until everything is in
    any, or in a transaction         few, or many    one transaction of INSERTs

A table that is made within a transaction stays if that is rolled back, without rows: definitions are not undone, as in
MySQL. Likewise a replaced table is dropped before the first new row goes in.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from rutile import errors
from rutile import statements as st
from rutile.catalog.model import TableInfo
from rutile.engine import Database
from rutile.errors import SqlError, not_supported
from rutile.flight.metadata import CATALOG
from rutile.flight.parameters import parameter_rows, plain
from rutile.flight.statements import Running
from rutile.flight.transactions import Caller, Transactions
from rutile.flight.wire import text_or_none
from rutile.import_source import BATCH_ROWS, Source
from rutile.importer import TableImport, schema_of
from rutile.parser import parse
from rutile.planner.insert import InsertPlan, plan_insert
from rutile.result import Row
from rutile.session import Session
from rutile.storage import KvTransaction
from rutile_proto import flightsqlpb_pb2 as flightsqlpb
from rutile_proto.keys import table_range

BULK_ROWS = 20_000
"""More rows than these are loaded past the transactional layer, where that is possible."""
CHUNK_ROWS = 2_000
"""Rows inserted between two looks at whether the client is still there."""
MAX_BATCH_BYTES = 256 << 20
ER_TOO_LARGE = 1153
PRIMARY_KEY_OPTION = "primary_key"
"""An option of CommandStatementIngest: the key of the table to make, as COL[,COL]."""
_Options = flightsqlpb.CommandStatementIngest.TableDefinitionOptions


class ArrowSource(Source):
    """Batches that are already on their way."""

    def __init__(self, name: str, schema: pa.Schema, incoming: Iterator[pa.RecordBatch]) -> None:
        super().__init__(Path(name), schema, None, 0)
        self._incoming = incoming

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._incoming:
            for at in range(0, batch.num_rows, BATCH_ROWS):
                yield plain(pa.Table.from_batches([batch.slice(at, BATCH_ROWS)])).combine_chunks().to_batches()[0]


class Ingest:
    """Runs CommandStatementIngest."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def run(
        self,
        caller: Caller,
        command: flightsqlpb.CommandStatementIngest,
        schema: pa.Schema,
        incoming: Iterator[pa.RecordBatch],
        running: Running,
    ) -> int:
        """Ingest what comes; the number of rows. Raises 1050, 1146, 1153, 1235, and what INSERT and import raise."""
        job = _Job(self._database, caller, command, schema, _bounded(incoming), running)
        await job.check()
        await job.peek()
        async with self._transactions.session(caller, command.transaction_id) as session:
            if not session.autocommit or not await job.can_be_bulk():
                return await job.insert(session)
        return await job.load()


class _Job:
    """One ingest."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        command: flightsqlpb.CommandStatementIngest,
        schema: pa.Schema,
        incoming: Iterator[pa.RecordBatch],
        running: Running,
    ) -> None:
        self._engine = database
        self._command = command
        self._owner = text_or_none(command, "schema") or caller.database or ""
        self._table = command.table
        self._schema = schema
        self._incoming = incoming
        self._running = running
        self._first: list[pa.RecordBatch] = []
        self._is_complete = False
        self._is_replacing = False
        self._info: TableInfo | None = None
        """The table, if it is there and stays."""

    # --- before anything is changed -----------------------------------------------------------------------------------

    async def check(self) -> None:
        """Whether this can be done at all. Raises SqlError."""
        if self._command.temporary:
            raise not_supported("a temporary table")
        if text_or_none(self._command, "catalog") not in (None, "", CATALOG):
            raise errors.unknown_database(f"{self._command.catalog} (the only catalog is {CATALOG})")
        if not self._owner:
            raise errors.no_database_selected()
        if not len(self._schema):
            raise SqlError(errors.ER_WRONG_VALUE_COUNT, "there are no columns to ingest")
        snapshot = await self._engine.catalog.refresh()
        if snapshot.database(self._owner) is None:
            raise errors.unknown_database(self._owner)
        self._decide(snapshot.table(self._owner, self._table))

    def _decide(self, found: TableInfo | None) -> None:
        options = self._command.table_definition_options
        if found is None:
            if options.if_not_exist != _Options.TABLE_NOT_EXIST_OPTION_CREATE:
                raise errors.unknown_table(self._owner, self._table)
        elif options.if_exists == _Options.TABLE_EXISTS_OPTION_APPEND:
            self._info = found
        elif options.if_exists != _Options.TABLE_EXISTS_OPTION_REPLACE:
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{self._table}' already exists")
        self._is_replacing = found is not None and self._info is None
        if self._info is None:
            schema_of(self._schema, self._owner, self._table, self._primary_key)  # whether it can be made

    @property
    def _primary_key(self) -> tuple[str, ...]:
        text = self._command.options.get(PRIMARY_KEY_OPTION, "")
        return tuple(name.strip() for name in text.split(",")) if text else ()

    async def peek(self) -> None:
        """Take batches until there are BULK_ROWS rows, or no more."""
        rows = 0
        while rows < BULK_ROWS:
            batch = await asyncio.to_thread(next, self._incoming, None)
            if batch is None:
                self._is_complete = True
                return
            self._first.append(batch)
            rows += batch.num_rows

    async def can_be_bulk(self) -> bool:
        """Whether it is much, for a table that is new, or empty and has exactly these columns."""
        if self._is_complete:
            return False
        if self._info is None:
            return True
        table = self._info.schema
        if {name.lower() for name in self._schema.names} != {column.name.lower() for column in table.columns}:
            return False
        client = self._engine.client
        start, end = table_range(self._info.table_id)
        return not await client.snapshot(await client.timestamp()).scan(start, end, 1)

    # --- changing -----------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[pa.RecordBatch]:
        return itertools.chain(self._first, self._incoming)

    async def load(self) -> int:
        """All rows past the transactional layer."""
        await self._drop_replaced()
        source = ArrowSource(f"the rows for {self._table}", self._schema, self._all())
        importer = TableImport(self._engine, self._owner, self._table, lambda _: source)
        importer.create_as = self._primary_key if self._info is None else None
        importer.show_progress = False
        return await importer.run()

    async def insert(self, session: Session) -> int:
        """All rows in the session's transaction, or one of their own."""
        await self._drop_replaced()
        mine = session.autocommit
        created = self._info is None
        if created:
            await self._engine.catalog.create_table(
                schema_of(self._schema, self._owner, self._table, self._primary_key)
            )
        try:
            if mine:
                await session.execute("BEGIN")
            rows = await self._insert_rows(session)
            if mine:
                await session.execute("COMMIT")
        except BaseException:
            if created:
                await asyncio.shield(self._engine.catalog.drop_table(self._owner, self._table))
            raise
        return rows

    async def _drop_replaced(self) -> None:
        if self._is_replacing:
            await self._engine.catalog.drop_table(self._owner, self._table)

    async def _insert_rows(self, session: Session) -> int:
        statement = parse(_insert_text(self._owner, self._table, self._schema.names)).statement
        assert isinstance(statement, st.Insert)
        plan = await session.planned(lambda find: plan_insert(statement, find))
        total, batches = 0, self._all()
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for at in range(0, batch.num_rows, CHUNK_ROWS):
                rows = parameter_rows([batch.slice(at, CHUNK_ROWS)])
                await self._insert_chunk(session, plan, rows)
                total += len(rows)
        return total

    async def _insert_chunk(self, session: Session, plan: InsertPlan, rows: Sequence[Row]) -> None:
        if self._running.is_cancelled:
            raise errors.interrupted()

        async def given(_: KvTransaction) -> Sequence[Row]:
            return rows

        await session.shaped.insert_rows(plan, given, session.environment(()))


def _insert_text(database: str, table: str, names: Sequence[str]) -> str:
    columns = ", ".join(map(_quoted, names))
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {_quoted(database)}.{_quoted(table)} ({columns}) VALUES ({places})"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _bounded(incoming: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; 1153 for one that is too large."""
    for batch in incoming:
        if batch.nbytes > MAX_BATCH_BYTES:
            raise SqlError(
                ER_TOO_LARGE,
                f"a batch of {batch.nbytes} bytes is over the limit of {MAX_BATCH_BYTES}: send smaller batches",
                sqlstate="08S01",
            )
        yield batch
