"""Queries that clients can fetch in parts, straight from the stores: signed tickets instead of a result.

That is a scan, filter and projection of one table, of which every store can answer for its own regions, the answers put
together being the result (`rutile.session.scan_tickets`). Anything else is run by the SQL node.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from rutile.parse.other_modes import in_default_mode
from rutile.parse.parser import parse
from rutile.planner.query import QueryPlan
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile.session.scan_tickets import may_be_scan, result_schema, scan_ticket, scan_timestamp
from rutile.session.session import Session
from rutile.session.storage import HeldSnapshot
from rutile_kv.env.clock import Clock
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import ticketpb_pb2 as ticketpb
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
        self._holds: deque[tuple[int, bytes, HeldSnapshot]] = deque()

    async def plan(self, session: Session, sql: str, params: Sequence[object], user: str) -> PartitionedScan | None:
        """The parts of a query; None if it is not of that kind. Raises what planning raises."""
        statement = parse(in_default_mode(sql, session.variables.modes)).statement
        if not may_be_scan(statement):
            return None
        environment = session.environment(tuple(params))
        await session.privileges.check_statement(statement, session.database)
        plan = await session.queries.plan(statement.expression, environment, None if params else sql)
        ts = await scan_timestamp(session, plan)
        return None if ts is None else await self._tickets(session, plan, ts, user)

    async def _tickets(self, session: Session, plan: QueryPlan, ts: int, user: str) -> PartitionedScan:
        schema = await result_schema(session, plan)
        parts = await self._database.client.scan_parts(plan.scans[0].ranges)
        ticket = scan_ticket(plan, ts, schema)
        ticket.query_id, ticket.user = secrets.token_bytes(16), user
        ticket.needs_token = not await self._logins.is_open()
        self._hold(ts, ticket.query_id)
        return PartitionedScan(schema, [Partition(self._signed(ticket, each.ranges), each.location) for each in parts])

    def release(self, query_id: bytes) -> None:
        """Keep the rows of a query's tickets no longer."""
        for _, known, held in self._holds:
            if known == query_id:
                held.ended = True

    def _signed(self, ticket: ticketpb.ScanTicket, ranges: Sequence[tuple[bytes, bytes]]) -> bytes:
        del ticket.ranges[:]
        ticket.ranges.extend(coprocessor.KeyRange(start=start, end=end) for start, end in ranges)
        return self._signer.sign(Purpose.SCAN, ticket.SerializeToString(), self._clock.wall_ms() + TICKET_LIFE_MS)

    def _hold(self, ts: int, query_id: bytes) -> None:
        """Keep the rows of these tickets until they have surely expired."""
        now = self._clock.wall_ms()
        while self._holds and self._holds[0][0] <= now:
            self._holds.popleft()
        until = now + TICKET_LIFE_MS + HOLD_AFTER_MS
        held = HeldSnapshot(ts, lambda: self._clock.wall_ms() < until)
        self._holds.append((until, query_id, held))
        self._database.client.hold_snapshot(held)
