"""Arrow rows into a table, all of them or none: what Flight's ingest and `Connection.insert_arrow` share.

    the table                        rows            how
    made by the ingest, or empty     many            as `rutile import` does: hidden until everything is in
    any, or in a transaction         few, or many    one transaction of INSERTs

A table that is made within a transaction stays if that is rolled back, without rows: definitions are not undone, as in
MySQL. Likewise a replaced table is dropped before the first new row goes in.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rutile import errors
from rutile.catalog.model import TableInfo
from rutile.ddl.show_create import quote_name
from rutile.errors import SqlError
from rutile.ingest.arrow_rows import parameter_rows
from rutile.ingest.arrow_source import ArrowSource
from rutile.ingest.importer import TableImport, schema_of
from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.planner.insert import InsertPlan, plan_insert
from rutile.session.engine import Database
from rutile.session.result import Row
from rutile.session.session import Session
from rutile.session.storage import KvTransaction
from rutile_proto.keys import table_range

BULK_ROWS = 20_000
"""More rows than these are loaded past the transactional layer, where that is possible."""
CHUNK_ROWS = 2_000
"""Rows inserted between two looks at whether somebody still wants it."""


@dataclass(frozen=True)
class IngestTarget:
    """Where rows go, and what may be done to get them there."""

    database: str
    table: str
    create: bool
    """Whether the table is made when it is missing."""
    if_exists: str
    """append, replace or fail."""
    primary_key: tuple[str, ...] = ()
    """Of a table that is made."""


class ArrowIngest:
    """One ingest: `check`, `peek`, then `load` if `can_be_bulk`, else `insert`."""

    def __init__(
        self,
        engine: Database,
        target: IngestTarget,
        schema: pa.Schema,
        incoming: Iterator[pa.RecordBatch],
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._target = target
        self._schema = schema
        self._incoming = incoming
        self._is_cancelled = is_cancelled
        self._first: list[pa.RecordBatch] = []
        self._is_complete = False
        self._is_replacing = False
        self._info: TableInfo | None = None
        """The table, if it is there and stays."""

    # --- before anything is changed -----------------------------------------------------------------------------------

    async def check(self) -> None:
        """Whether this can be done at all. Raises 1046, 1049, 1050, 1136, 1146, and what `schema_of` raises."""
        target = self._target
        if not target.database:
            raise errors.no_database_selected()
        if not len(self._schema):
            raise SqlError(errors.ER_WRONG_VALUE_COUNT, "there are no columns to ingest")
        snapshot = await self._engine.catalog.refresh()
        if snapshot.database(target.database) is None:
            raise errors.unknown_database(target.database)
        self._decide(snapshot.table(target.database, target.table))

    def _decide(self, found: TableInfo | None) -> None:
        target = self._target
        if found is None:
            if not target.create:
                raise errors.unknown_table(target.database, target.table)
        elif target.if_exists == "append":
            self._info = found
        elif target.if_exists != "replace":
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{target.table}' already exists")
        self._is_replacing = found is not None and self._info is None
        if self._info is None:
            schema_of(self._schema, target.database, target.table, target.primary_key)  # whether it can be made

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
        if self._is_complete and sum(batch.num_rows for batch in self._first) < BULK_ROWS:
            return False
        if self._info is None:
            return True
        table = self._info.schema
        if {name.lower() for name in self._schema.names} != {column.name.lower() for column in table.columns}:
            return False
        if self._info.rules or self._info.partitioning is not None:
            return False  # generated columns, CHECK and partitions are INSERT's business
        client = self._engine.client
        start, end = table_range(self._info.table_id)
        return not await client.snapshot(await client.timestamp()).scan(start, end, 1)

    # --- changing -----------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[pa.RecordBatch]:
        return itertools.chain(self._first, self._incoming)

    async def load(self) -> int:
        """All rows past the transactional layer; their number."""
        await self._drop_replaced()
        target = self._target
        source = ArrowSource(f"the rows for {target.table}", self._schema, self._all())
        importer = TableImport(self._engine, target.database, target.table, lambda _: source)
        importer.create_as = target.primary_key if self._info is None else None
        importer.show_progress = False
        return await importer.run()

    async def insert(self, session: Session) -> int:
        """All rows in the session's transaction, or one of their own; their number."""
        await self._drop_replaced()
        mine = not session.holds_locks
        created = self._info is None
        if created:
            await self._create()
        try:
            if mine:
                await session.execute("BEGIN")
            rows = await self._insert_rows(session)
            if mine:
                await session.execute("COMMIT")
        except BaseException:
            await asyncio.shield(self._undo(session if mine else None, created))
            raise
        return rows

    async def _create(self) -> None:
        target = self._target
        wanted = schema_of(self._schema, target.database, target.table, target.primary_key)
        await self._engine.catalog.create_table(wanted)

    async def _undo(self, session: Session | None, created: bool) -> None:
        if session is not None and session.in_transaction:
            await session.transaction.rollback()
        if created:
            await self._engine.catalog.drop_table(self._target.database, self._target.table)

    async def _drop_replaced(self) -> None:
        if self._is_replacing:
            await self._engine.catalog.drop_table(self._target.database, self._target.table)

    async def _insert_rows(self, session: Session) -> int:
        statement = parse(insert_text(self._target.database, self._target.table, self._schema.names)).statement
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
        if self._is_cancelled():
            raise errors.interrupted()

        async def given(_: KvTransaction) -> Sequence[Row]:
            return rows

        await session.shaped.insert_rows(plan, given, session.environment(()))


def insert_text(database: str, table: str, names: Sequence[str], rows: int = 1) -> str:
    """INSERT of `rows` rows with a `?` for each value."""
    place = f"({', '.join('?' * len(names))})"
    owner = f"{quote_name(database)}." if database else ""
    columns = ", ".join(map(quote_name, names))
    return f"INSERT INTO {owner}{quote_name(table)} ({columns}) VALUES {', '.join([place] * rows)}"
