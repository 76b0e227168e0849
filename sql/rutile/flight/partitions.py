"""Queries that clients can fetch in parts, straight from the stores: signed tickets instead of a result.

That is a scan, filter and projection of one table, of which every store can answer for its own regions, the answers put
together being the result. What goes by key, what merges (aggregates, ORDER BY, LIMIT), joins, and what the transaction
has written to itself is run by the SQL node.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from rutile.parse import statements as st
from rutile.parse.parser import parse
from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile.session.result import ResultColumn, schema_of_columns
from rutile.session.result_types import shaped
from rutile.session.session import Session
from rutile.session.storage import HeldSnapshot, KvTransaction
from rutile_coprocessor.fragment import Fragment
from rutile_kv.env.clock import Clock
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.keys import prefix_next
from rutile_proto.signing import Purpose, Signer

TICKET_LIFE_MS = 600_000
HOLD_AFTER_MS = 300_000
"""Garbage collection is held back so much longer than a ticket can be used: by then its reader holds it back itself."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A ticket, and the Flight location to bring it to; None: the SQL node's own."""

    ticket: bytes
    location: str | None


@dataclass(frozen=True, slots=True)
class PartitionedScan:
    """A query planned, not run."""

    schema: pa.Schema
    partitions: Sequence[Partition]


class Partitions:
    """Plans queries as tickets."""

    def __init__(self, database: Database, signer: Signer, clock: Clock, logins: Logins) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._logins = logins
        self._holds: deque[tuple[int, HeldSnapshot]] = deque()

    async def plan(self, session: Session, sql: str, params: Sequence[object], user: str) -> PartitionedScan | None:
        """The parts of a query; None if it is not of that kind. Raises what planning raises."""
        if not self._database.client.runs_fragments:
            return None
        statement = parse(sql).statement
        if not isinstance(statement, st.Query) or not _may_be_scan(statement.expression):
            return None
        environment = session.environment(tuple(params))
        await session.privileges.check_statement(statement, session.database)
        plan = await session.queries.plan(statement.expression, environment, None if params else sql)
        txn = None if session.autocommit else await session.transaction.ensure(session.mode)
        if session.variables.get("rutile_read_mode") != "auto":
            return None
        if not _is_scan(plan) or _is_by_key(plan.scans[0]) or _has_written(txn, plan.scans[0]):
            return None
        ts = txn.start_ts if txn is not None else await self._database.client.timestamp()
        if plan.scans[0].paths and await session.queries.index_reads(plan) is not None:
            return None  # an index says that there is little to read
        return await self._tickets(plan, ts, user)

    async def _tickets(self, plan: QueryPlan, ts: int, user: str) -> PartitionedScan:
        scan, plain = plan.scans[0], _plain_columns(plan)
        schema = await self.result_schema(plan)
        parts = await self._database.client.scan_parts(scan.ranges)
        ticket = ticketpb.ScanTicket(
            query_id=secrets.token_bytes(16),
            ts=ts,
            fragment=_fragment(plan).to_proto(),
            plain_columns=plain,
            schema=schema.serialize().to_pybytes(),
            user=user,
            needs_token=not await self._logins.is_open(),
        )
        self._hold(ts)
        return PartitionedScan(schema, [Partition(self._signed(ticket, each.ranges), each.location) for each in parts])

    async def result_schema(self, plan: QueryPlan) -> pa.Schema:
        """The schema of a query's result, without running it on any rows."""
        typed = [ResultColumn(each.name, each.type) for each in plan.columns if each.type]
        if len(typed) == len(plan.columns):
            return schema_of_columns(typed)
        return shaped(await self._database.runner.on_nothing(plan), plan.columns).arrow().schema

    def _signed(self, ticket: ticketpb.ScanTicket, ranges: Sequence[tuple[bytes, bytes]]) -> bytes:
        del ticket.ranges[:]
        ticket.ranges.extend(coprocessor.KeyRange(start=start, end=end) for start, end in ranges)
        return self._signer.sign(Purpose.SCAN, ticket.SerializeToString(), self._clock.wall_ms() + TICKET_LIFE_MS)

    def _hold(self, ts: int) -> None:
        """Keep the rows of these tickets until they have surely expired."""
        now = self._clock.wall_ms()
        while self._holds and self._holds[0][0] <= now:
            self._holds.popleft()
        until = now + TICKET_LIFE_MS + HOLD_AFTER_MS
        held = HeldSnapshot(ts, lambda: self._clock.wall_ms() < until)
        self._holds.append((until, held))
        self._database.client.hold_snapshot(held)


def _may_be_scan(expression: exp.Expr) -> bool:
    """Whether it is worth planning: a SELECT from something, without locks."""
    return (
        isinstance(expression, exp.Select) and bool(expression.args.get("from_")) and not expression.args.get("locks")
    )


def _is_scan(plan: QueryPlan) -> bool:
    """Whether the stores' answers together are the result, in types that do not depend on the rows."""
    partial = plan.partial
    if partial is None or not partial.rowwise or plan.virtual or len(plan.scans) != 1:
        return False
    return plan.expression.find(exp.Mul) is None or plan.widened().sql == plan.sql


def _is_by_key(scan: ScanPlan) -> bool:
    """Whether it reads single keys, or what shares a prefix of one: little, most likely."""
    return not scan.full and all(end == prefix_next(start) for start, end in scan.ranges)


def _has_written(txn: KvTransaction | None, scan: ScanPlan) -> bool:
    return txn is not None and next(iter(txn.buffer.items(*scan.table.range)), None) is not None


def _fragment(plan: QueryPlan) -> Fragment:
    whole = plan.fragment()
    assert plan.partial is not None
    return Fragment(plan.partial.fragment_sql, whole.scans, rowwise=True)


def _plain_columns(plan: QueryPlan) -> list[str]:
    """The table's columns in the order of the result, if the scan does no more than name them; else nothing."""
    select = plan.expression
    assert isinstance(select, exp.Select), "a rowwise query is one SELECT"
    if select.args.get("where") or any(not isinstance(each.unalias(), exp.Column) for each in select.expressions):
        return []
    schema = plan.scans[0].schema
    if not all(schema.has_column(each.unalias().name) for each in select.expressions):
        return []  # the hidden row id
    return [schema.column(each.unalias().name).name for each in select.expressions]
