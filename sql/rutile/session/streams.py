"""Results that leave while they are read: Arrow batches of one query, taken one after the other.

    open ──► a scan, filter or projection of one table: nothing is run; its regions are read in key order, each when the
         │   rows of the one before have been taken, all at one timestamp (`scan_tickets`)
         └─► anything else: run now; its batches are let go as they are taken

So of a large table one region's rows are in memory, and a stream that is closed half-way has not read the rest.
The timestamp is held back from garbage collection until the stream ends, is closed, or is forgotten.

A stream does not occupy its session: further statements may run while it is read, and it shows nothing of what they
change. It ends with its session. A limit of time (max_execution_time) is for the statement: with one, a query is run
when it is asked for.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from rutile.errors import from_floor, interrupted
from rutile.parse.other_modes import in_default_mode
from rutile.parse.parser import parse
from rutile.parse.tree import parse_tree
from rutile.planner.duckdb_query import DUCKDB
from rutile.planner.query import QueryPlan
from rutile.session.duckdb_door import is_query
from rutile.session.result import Result
from rutile.session.scan_tickets import may_be_scan, result_schema, scan_ticket, scan_timestamp
from rutile.session.storage import HeldSnapshot, TicketScan
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto.errors import RutileError

if TYPE_CHECKING:
    from rutile.session.session import Session


class ResultStream:
    """The batches of one query. Take them from one task at a time; `cancel` and `aclose` may come from another."""

    def __init__(
        self, schema: pa.Schema, batches: AsyncGenerator[pa.RecordBatch, None], held: HeldSnapshot | None = None
    ) -> None:
        """`held` keeps what it reads; it ends with the stream, also with one that is forgotten."""
        self.schema = schema
        self._batches = batches
        self._held = held
        self._taking: asyncio.Task[object] | None = None
        self._cancelled = False
        self.is_closed = False
        """Whether it holds nothing any more: it is at its end, failed, or was closed."""

    async def next_batch(self) -> pa.RecordBatch | None:
        """The next batch; None at the end. Raises SqlError: 1317 once cancelled."""
        batch = None
        try:
            batch = await self._taken()
        finally:
            if batch is None:
                self._end()
        return batch

    async def _taken(self) -> pa.RecordBatch | None:
        self._taking = asyncio.current_task()
        try:
            if self._cancelled:
                raise interrupted()
            return await anext(self._batches, None)
        except asyncio.CancelledError:
            if not self._cancelled or self._taking is None:
                raise
            self._taking.uncancel()
            raise interrupted() from None
        except RutileError as error:
            raise from_floor(error) from error
        finally:
            self._taking = None

    def cancel(self) -> None:
        """End it: whoever takes the next batch is told 1317."""
        if self.is_closed:
            return
        self._cancelled = True
        if self._taking is not None:
            self._taking.cancel()

    async def aclose(self) -> None:
        """Give up what has not been taken; harmless at the end. While a batch is being taken, its taker ends it."""
        if self._taking is None:
            self._end()
            await self._batches.aclose()

    def _end(self) -> None:
        self.is_closed = True
        if self._held is not None:
            self._held.ended = True


class Streams:
    """Opens the streams of one session, and ends them with it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: weakref.WeakSet[ResultStream] = weakref.WeakSet()

    async def scan(self, sql: str, params: Sequence[object], dialect: str) -> ResultStream | None:
        """The rows of a query that can be read in parts; None for any other statement. Raises SqlError."""
        session = self._session
        if session.variables.number("max_execution_time"):
            return None
        plan = await self._plan(sql, params, dialect)
        ts = None if plan is None else await scan_timestamp(session, plan)
        if plan is None or ts is None:
            return None
        schema = await result_schema(session, plan)
        ticket = scan_ticket(plan, ts, schema)
        ticket.ranges.extend(coprocessor.KeyRange(start=start, end=end) for start, end in plan.scans[0].ranges)
        held = HeldSnapshot(ts)
        session.shared.client.hold_snapshot(held)
        return self._opened(ResultStream(schema, _read(session.shared.client.ticket_scan(ticket)), held))

    def of_result(self, result: Result) -> ResultStream:
        """The rows of a statement that was run; no columns if it had none."""
        table = result.arrow()
        return self._opened(ResultStream(table.schema, _let_go(table.to_batches())))

    async def close(self) -> None:
        """End all that are open."""
        for stream in list(self._open):
            stream.cancel()
            await stream.aclose()

    def _opened(self, stream: ResultStream) -> ResultStream:
        self._open.add(stream)
        return stream

    async def _plan(self, sql: str, params: Sequence[object], dialect: str) -> QueryPlan | None:
        session = self._session
        if dialect == DUCKDB:
            tree = parse_tree(sql, DUCKDB) if is_query(sql) else None
            return await session.door.plan(tree) if isinstance(tree, exp.Query) else None
        statement = parse(in_default_mode(sql, session.variables.modes)).statement
        if not may_be_scan(statement):
            return None
        await session.privileges.check_statement(statement, session.database, session.temporary)
        return await session.queries.plan(statement.expression, session.environment(tuple(params)))


async def _read(scan: TicketScan) -> AsyncGenerator[pa.RecordBatch, None]:
    async with aclosing(scan.parts()) as parts:
        async for batches in parts:
            for batch in batches:
                yield batch


async def _let_go(batches: list[pa.RecordBatch]) -> AsyncGenerator[pa.RecordBatch, None]:
    batches.reverse()
    while batches:
        yield batches.pop()
