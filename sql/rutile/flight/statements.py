"""Queries and updates of Flight SQL, in sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from rutile.errors import SqlError
from rutile.flight.held_results import HeldResults
from rutile.flight.partitions import Partition, Partitions
from rutile.flight.prepared import Prepared
from rutile.flight.transactions import Caller, Transactions
from rutile.flight.wire import pack
from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.session.describe import ER_UNSUPPORTED_PS
from rutile.session.result import Row, schema_of_columns
from rutile.session.scan_tickets import result_schema
from rutile.session.session import Session
from rutile_proto import flightsqlpb_pb2 as flightsqlpb

NO_COLUMNS = pa.schema([])
ONE_RUN: Sequence[Row] = ((),)


@dataclass(slots=True)
class Running:
    """The session a call works in, once it has one, so that the call can be cancelled."""

    session: Session | None = None
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Stop its statement, which raises 1317. On the loop."""
        self.is_cancelled = True
        if self.session is not None:
            self.session.cancel()


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What GetFlightInfo tells."""

    schema: pa.Schema
    partitions: Sequence[Partition] = field(default_factory=list)
    rows: int = -1
    """Rows in all, or rows changed by a statement without a result; -1: not known yet."""
    is_ordered: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """What to run: once for each of `rows` of parameters."""

    sql: str
    transaction_id: bytes = b""
    rows: Sequence[Row] = ONE_RUN


class Statements:
    """Runs statements for callers."""

    def __init__(self, transactions: Transactions, held: HeldResults, partitions: Partitions) -> None:
        self._transactions = transactions
        self._held = held
        self._partitions = partitions

    async def query(self, caller: Caller, statement: Statement, running: Running) -> QueryAnswer:
        """Plan a large scan, run anything else. A statement without a result is run too, and says what it changed:
        some clients send everything as a query. Raises SqlError.
        """
        async with self._transactions.session(caller, statement.transaction_id) as session:
            running.session = session
            if len(statement.rows) == 1:
                scan = await self._partitions.plan(session, statement.sql, statement.rows[0], caller.user)
                if scan is not None:
                    return QueryAnswer(scan.schema, scan.partitions)
            changed, tables = await self._run(session, statement)
        if not tables:
            return QueryAnswer(NO_COLUMNS, rows=changed)
        table = pa.concat_tables(tables)
        handle = self._held.put(table, caller.user)
        ticket = pack(flightsqlpb.TicketStatementQuery(statement_handle=handle))
        return QueryAnswer(table.schema, [Partition(ticket, None)], table.num_rows, is_ordered=True)

    async def update(self, caller: Caller, statement: Statement, running: Running) -> int:
        """Run a data change or definition; the rows changed. Several runs are one transaction. Raises SqlError."""
        async with self._transactions.session(caller, statement.transaction_id) as session:
            running.session = session
            changed, tables = await self._run(session, statement)
            return changed if not tables else sum(table.num_rows for table in tables)

    async def _run(self, session: Session, statement: Statement) -> tuple[int, list[pa.Table]]:
        """Rows changed by all runs, and their results."""
        mine = len(statement.rows) > 1 and session.autocommit
        if mine:
            await session.execute("BEGIN")
        changed, tables = 0, []
        for row in statement.rows:
            result = await session.execute(statement.sql, row)
            changed += result.affected_rows
            if result.has_rows:
                tables.append(result.arrow())
        if mine and session.in_transaction:
            await session.execute("COMMIT")
        return changed, tables

    # --- told without running -----------------------------------------------------------------------------------------

    async def prepare(self, caller: Caller, sql: str, transaction_id: bytes) -> tuple[Prepared, pa.Schema]:
        """A prepared statement, and the schema of its result: no columns if it has none. Raises what naming raises."""
        async with self._transactions.session(caller, transaction_id) as session:
            try:
                described = await session.describe(sql)
            except SqlError as error:
                if error.code != ER_UNSUPPORTED_PS:
                    raise
                return Prepared(sql, caller.user, transaction_id, 0), NO_COLUMNS
            schema = await self._schema(session, sql, described.parameters)
            schema = schema or schema_of_columns(described.columns)
            return Prepared(sql, caller.user, transaction_id, described.parameters), schema

    async def schema(self, caller: Caller, statement: Statement) -> pa.Schema:
        """The schema of a statement's result. Raises what naming raises."""
        return (await self.prepare(caller, statement.sql, statement.transaction_id))[1]

    async def _schema(self, session: Session, sql: str, parameters: int) -> pa.Schema | None:
        """The types of a query's columns, its parameters taken as NULL; None for other statements."""
        statement = parse(sql).statement
        if not isinstance(statement, st.Query) or statement.expression.args.get("from_") is None:
            return None
        plan = await session.queries.plan(statement.expression, session.environment((None,) * parameters))
        return await result_schema(session, plan)
