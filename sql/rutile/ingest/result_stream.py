"""The rows of a query in batches, as of one timestamp: streamed from the regions where the query allows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from rutile.errors import not_supported
from rutile.execution.row_stream import is_row_stream, plain_columns, row_fragment
from rutile.expressions.compile import Environment
from rutile.parse import statements as st
from rutile.planner.query import QueryPlan
from rutile.session.result import ResultColumn, schema_of_columns
from rutile.session.result_types import shaped
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import ticketpb_pb2 as ticketpb

if TYPE_CHECKING:
    from rutile.session.session import Session

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class ResultStream:
    """Columns and rows. Streamed, memory holds one region's rows; otherwise the whole result."""

    schema: pa.Schema
    batches: AsyncIterator[pa.RecordBatch]
    is_streamed: bool


class PulledRows:
    """A stream's batches for a thread beside the loop, one at a time: nothing is read ahead of who takes them."""

    def __init__(self, stream: ResultStream) -> None:
        """To be made on the loop that the stream belongs to."""
        self.schema = stream.schema
        self._batches = stream.batches
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._closed = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All of them, in a thread that is not the loop's. Raises what running the query raises."""
        while (batch := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()) is not None:
            yield batch

    async def _next(self) -> pa.RecordBatch | None:
        async with self._lock:
            return None if self._closed else await anext(self._batches, None)

    async def close(self) -> None:
        """Let go of the stream, once who is taking a batch has it."""
        async with self._lock:
            self._closed = True
            await self._batches.aclose()  # type: ignore[attr-defined]


async def open_stream(session: Session, query: st.Query, environment: Environment) -> ResultStream:
    """The result of a query. Raises what planning it raises; its rows, what running it raises."""
    ts = await session.stale.moment(query.as_of, environment)
    if query.expression.args.get("locks"):
        raise not_supported("an export with SELECT ... FOR UPDATE")
    if session.in_transaction or not session.shared.client.runs_fragments or not query.expression.args.get("from_"):
        return await _whole(session, query, environment)
    if ts is None:
        plan = await session.queries.plan(query.expression, environment)
        ts = await session.shared.client.timestamp()
    else:
        catalog = await session.stale.catalog(ts)
        plan = session.queries.plan_of_the_past(query.expression, environment, catalog)
    if not is_row_stream(plan):
        return await _whole(session, query, environment)
    schema = await _schema(session, plan)
    return ResultStream(schema, _streamed(session, plan, schema, ts), True)


async def _schema(session: Session, plan: QueryPlan) -> pa.Schema:
    typed = [ResultColumn(each.name, each.type) for each in plan.columns if each.type]
    if len(typed) == len(plan.columns):
        return schema_of_columns(typed)
    return shaped(await session.shared.runner.on_nothing(plan), plan.columns).arrow().schema


async def _streamed(session: Session, plan: QueryPlan, schema: pa.Schema, ts: int) -> AsyncIterator[pa.RecordBatch]:
    ticket = ticketpb.ScanTicket(
        ts=ts,
        fragment=row_fragment(plan).to_proto(),
        plain_columns=plain_columns(plan),
        schema=schema.serialize().to_pybytes(),
    )
    ticket.ranges.extend(coprocessor.KeyRange(start=start, end=end) for start, end in plan.scans[0].ranges)
    async with aclosing(session.shared.client.ticket_scan(ticket).parts()) as parts:
        async for batches in parts:
            for batch in batches:
                yield batch


async def _whole(session: Session, query: st.Query, environment: Environment) -> ResultStream:
    table = (await session.queries.run(query, "", environment)).arrow()

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            yield batch

    return ResultStream(table.schema, batches(), False)
