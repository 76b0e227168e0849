"""A store's Flight endpoint: it hands out what scan tickets are for, straight from its replicas' columnar batches.

The SQL front end plans a large scan, signs one ticket for each store (a fragment, ranges, one timestamp), and tells
clients where to bring it; and whoever has a ticket can have its query's scans ended. Nothing else is served here: no
SQL, no descriptors, no uploads. What a ticket says is under the cluster's signature, so a store trusts it; the
fragment's text is checked all the same.

gRPC's flow control holds a fast store back to a slow client's pace: the next region is read when the one before has
been taken. A client that goes away ends its scan.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.ticket_scan import TicketScan
from rutile_kv.env.clock import Clock
from rutile_kv.env.flight import CALLER, CallerFactory, FlightOptions, FlightServer, LoopCalls
from rutile_kv.env.flight_cancel import CANCEL_ACTION, Cancelled, RunningScans, cancelled_endpoints
from rutile_kv.server.local_replicas import LocalReplicas
from rutile_proto import flightsqlpb_pb2 as flightsqlpb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.errors import InvalidRequest, RutileError
from rutile_proto.signing import Expired, Purpose, SignatureRefused, Signer

log = logging.getLogger(__name__)

MAX_STREAMS = 64
"""Scans at once; further clients are told to come again."""


class FlightEndpoint(FlightServer):
    """Listens from the moment it is made. PortInUse if it cannot."""

    def __init__(self, options: FlightOptions, cluster: Cluster, replicas: LocalReplicas, clock: Clock) -> None:
        self._signer = Signer(options.secret)
        self._cluster = cluster
        self._replicas = replicas
        self._clock = clock
        self._calls = LoopCalls(asyncio.get_running_loop())
        self.scans = RunningScans()
        """What is being sent."""
        self._streams = threading.BoundedSemaphore(MAX_STREAMS)
        super().__init__(options, CallerFactory(self._signer, clock, None))
        self.location_uri = f"{options.scheme}://{self.address}"

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """The rows of a scan ticket."""
        scan = TicketScan(self._cluster, self._opened(context, ticket.ticket), self._replicas)
        return flight.GeneratorStream(scan.schema, self._rows(context, scan))

    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Iterator[bytes]:
        """CancelFlightInfo: the scans of these tickets end here, and their tickets are refused from now on."""
        if action.type != CANCEL_ACTION:
            self._refuse(f"the action {action.type}")
        try:
            endpoints = cancelled_endpoints(action.body.to_pybytes())
        except InvalidRequest as error:
            raise flight.FlightServerError(str(error)) from None
        for query_id in {self._opened(context, each.ticket.ticket).query_id: None for each in endpoints}:
            self.scans.cancel(query_id)
        cancelled = flightsqlpb.ActionCancelQueryResult.CANCEL_RESULT_CANCELLED
        return iter([flightsqlpb.ActionCancelQueryResult(result=cancelled).SerializeToString()])

    def list_actions(self, context: object) -> list[tuple[str, str]]:
        return [(CANCEL_ACTION, "end the scans of a query here")]

    async def stop(self) -> None:
        """End what runs and stop listening."""
        await asyncio.to_thread(self.shutdown)

    def _opened(self, context: flight.ServerCallContext, message: bytes) -> ticketpb.ScanTicket:
        """The checked ticket. Raises FlightUnauthorizedError, FlightServerError."""
        try:
            body = self._signer.open(Purpose.SCAN, message, self._clock.wall_ms())
            ticket: ticketpb.ScanTicket = ticketpb.ScanTicket.FromString(body)
        except Expired:
            raise flight.FlightUnauthorizedError("the ticket has expired; run the query again") from None
        except (SignatureRefused, DecodeError) as error:
            raise flight.FlightUnauthorizedError(f"the ticket is refused: {error}") from None
        user = context.get_middleware(CALLER).user
        if user != ticket.user and (user is not None or ticket.needs_token):
            raise flight.FlightUnauthorizedError(f"the ticket is not for user '{user or ''}'")
        return ticket

    def _rows(self, context: flight.ServerCallContext, scan: TicketScan) -> Iterator[pa.RecordBatch]:
        with self._place(), _plain_errors(), self.scans.run(scan.query_id) as run:
            yield from self._calls.drain(context, scan.parts(), run)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._streams.acquire(blocking=False):
            raise flight.FlightUnavailableError(f"{MAX_STREAMS} scans run here already; come again")
        try:
            yield
        finally:
            self._streams.release()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors as Flight's own, without a traceback for the client."""
    try:
        yield
    except RutileError as error:
        raise flight.FlightServerError(f"{type(error).__name__}: {error}") from None
    except concurrent.futures.CancelledError:
        raise Cancelled from None
    except (flight.FlightError, GeneratorExit):
        raise
    except Exception:
        log.exception("a scan failed unexpectedly")
        raise flight.FlightInternalError("internal error; the store's log has the details") from None
