"""Cancelling a query by its FlightInfo: results that are held are dropped, scans end at whichever node reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight

from rutile.errors import SqlError
from rutile.flight.held_results import HeldResults
from rutile.flight.partitions import Partitions
from rutile.flight.transactions import Caller
from rutile.flight.wire import unpack
from rutile.session.engine import Database
from rutile_kv.env.clock import Clock
from rutile_kv.env.flight import FlightOptions, bearer_token
from rutile_kv.env.flight_cancel import RunningScans, tell_cancelled
from rutile_proto import flightsqlpb_pb2 as flightsqlpb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.signing import Expired, Purpose, SignatureRefused, Signer, looks_signed

TOKEN_LIFE_MS = 60_000
_Result = flightsqlpb.ActionCancelQueryResult


def opened(signer: Signer, clock: Clock, caller: Caller, message: bytes) -> ticketpb.ScanTicket:
    """A scan ticket of this caller's. Raises FlightUnauthorizedError for any other."""
    try:
        body = signer.open(Purpose.SCAN, message, clock.wall_ms())
        ticket: ticketpb.ScanTicket = ticketpb.ScanTicket.FromString(body)
    except Expired:
        raise flight.FlightUnauthorizedError("the ticket has expired; run the query again") from None
    except (SignatureRefused, DecodeError) as error:
        raise flight.FlightUnauthorizedError(f"the ticket is refused: {error}") from None
    if ticket.user != caller.user:
        raise flight.FlightUnauthorizedError("the ticket is another user's")
    return ticket


class Cancels:
    """Ends queries. All calls come on one loop."""

    def __init__(
        self, database: Database, options: FlightOptions, clock: Clock, held: HeldResults, partitions: Partitions
    ) -> None:
        self.scans = RunningScans()
        """What is being read at this node."""
        self._database = database
        self._options = options
        self._clock = clock
        self._signer = Signer(options.secret)
        self._held = held
        self._partitions = partitions

    async def cancel(self, caller: Caller, endpoints: Sequence[flight.FlightEndpoint]) -> _Result:
        """End the query of these endpoints: CANCELLED once every node it is read at knows, CANCELLING while one cannot
        be told, NOT_CANCELLABLE for what holds nothing. Raises FlightUnauthorizedError for tickets not of this user.
        """
        scans = [each for each in endpoints if looks_signed(each.ticket.ticket)]
        dropped = [self._drop(caller, each.ticket.ticket) for each in endpoints if each not in scans]
        for query_id in {opened(self._signer, self._clock, caller, each.ticket.ticket).query_id for each in scans}:
            self.scans.cancel(query_id)
            self._partitions.release(query_id)
        told = await self._tell_stores(caller, scans)
        if not endpoints or not all(dropped):
            return _Result(result=_Result.CANCEL_RESULT_NOT_CANCELLABLE)
        return _Result(result=_Result.CANCEL_RESULT_CANCELLED if told else _Result.CANCEL_RESULT_CANCELLING)

    def _drop(self, caller: Caller, ticket: bytes) -> bool:
        """Give up a result that nobody has fetched."""
        try:
            message = unpack(ticket)
        except SqlError:
            return False
        if not isinstance(message, flightsqlpb.TicketStatementQuery):
            return False
        self._held.get(message.statement_handle, caller.user)
        return self._held.drop(message.statement_handle)

    async def _tell_stores(self, caller: Caller, scans: Sequence[flight.FlightEndpoint]) -> bool:
        """Whether all stores know. Only stores of this cluster are told, whatever locations a client names."""
        if not scans:
            return True
        known = set((await self._database.client.flight_locations()).values())
        wanted = {place.uri.decode() for each in scans for place in each.locations} & known
        return all(await asyncio.gather(*(self._tell(caller, place, scans) for place in sorted(wanted))))

    async def _tell(self, caller: Caller, place: str, scans: Sequence[flight.FlightEndpoint]) -> bool:
        token = bearer_token(self._signer, caller.user, self._clock.wall_ms() + TOKEN_LIFE_MS)
        certificate = self._options.tls_certificate
        roots = None if certificate is None else await asyncio.to_thread(certificate.read_bytes)
        try:
            await asyncio.to_thread(tell_cancelled, place, scans, token, roots)
        except (flight.FlightError, pa.ArrowException, OSError):
            return False
        return True
