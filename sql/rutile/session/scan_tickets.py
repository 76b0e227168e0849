"""Queries that can be read in parts: a scan, filter and projection of one table.

Every region of the table answers for its own rows, the answers put together being the result. So such a query need not
be run to be answered: a ticket (`rutile_proto.ticketpb`) says all that reading any part of it takes, at one timestamp.
Flight SQL hands tickets to clients, who bring them to the stores (`rutile.flight.partitions`); `rutile.session.streams`
reads them here, a region at a time.

Not of that kind: what goes by key or through an index (it is little), what merges (aggregates, ORDER BY, LIMIT), joins,
tables that the transaction has written to, reads of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import pyarrow as pa
from sqlglot import exp

from rutile.execution.row_stream import is_row_stream, plain_columns, row_fragment
from rutile.execution.sources import has_written
from rutile.parse import statements as st
from rutile.planner.query import QueryPlan
from rutile.planner.scans import ScanPlan
from rutile.session.result import ResultColumn, schema_of_columns
from rutile.session.result_types import shaped
from rutile.session.storage import KvTransaction
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.keys import prefix_next

if TYPE_CHECKING:
    from rutile.session.session import Session


def may_be_scan(statement: st.Statement) -> TypeGuard[st.Query]:
    """Whether it is worth planning: a SELECT from something as it is now, without locks."""
    if not isinstance(statement, st.Query) or statement.as_of is not None:
        return False
    query = statement.expression
    return isinstance(query, exp.Select) and bool(query.args.get("from_")) and not query.args.get("locks")


async def scan_timestamp(session: Session, plan: QueryPlan) -> int | None:
    """When the session would read such a query; None if the query is of another kind."""
    if not session.shared.client.runs_fragments or session.variables.get("rutile_read_mode") != "auto":
        return None
    if "tiflash" not in session.engines or any(scan.engine == "tikv" for scan in plan.scans):
        return None  # the rows of tickets may be the mirror's
    if session.stale.is_active or not is_row_stream(plan) or _is_by_key(plan.scans[0]):
        return None
    txn = await session.queries.reading_transaction()
    if _has_written(txn, plan.scans[0]):
        return None
    if plan.scans[0].paths and (await session.queries.expected(plan)).path == "index":
        return None  # an index says that there is little to read
    return txn.start_ts if txn is not None else await session.shared.client.timestamp()


async def result_schema(session: Session, plan: QueryPlan) -> pa.Schema:
    """The schema of a query's result, without running it on any rows."""
    typed = [ResultColumn(each.name, each.type) for each in plan.columns if each.type]
    if plan.dialect == "mysql" and len(typed) == len(plan.columns):
        return schema_of_columns(typed)
    nothing = await session.shared.runner.on_nothing(plan)
    return nothing.schema if plan.dialect == "duckdb" else shaped(nothing, plan.columns).arrow().schema


def scan_ticket(plan: QueryPlan, ts: int, schema: pa.Schema) -> ticketpb.ScanTicket:
    """What reading the query takes; its ranges are to be said."""
    return ticketpb.ScanTicket(
        ts=ts,
        fragment=row_fragment(plan).to_proto(),
        plain_columns=_plain_columns(plan, schema),
        schema=schema.serialize().to_pybytes(),
    )


def _is_by_key(scan: ScanPlan) -> bool:
    """Whether it reads single keys, or what shares a prefix of one: little, most likely."""
    return not scan.full and all(end == prefix_next(start) for start, end in scan.ranges)


def _has_written(txn: KvTransaction | None, scan: ScanPlan) -> bool:
    return txn is not None and has_written(txn, scan)


def _plain_columns(plan: QueryPlan, schema: pa.Schema) -> list[str]:
    """The table's columns in the order of the result, if that is all that is asked for, in the result's types."""
    names = plain_columns(plan)
    if plan.dialect == "duckdb" and plan.scans[0].schema.arrow_schema(names).types != schema.types:
        return []
    return names
