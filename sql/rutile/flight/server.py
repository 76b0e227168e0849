"""Flight's five methods: take the protocol's messages apart, call the rest on the loop, put the answers together.

pyarrow calls them in threads of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pyarrow as pa
from google.protobuf.message import Message
from pyarrow import flight

from rutile.catalog.model import CatalogSnapshot
from rutile.errors import ER_UNKNOWN, SqlError, not_supported
from rutile.flight.actions import ACTIONS, Actions
from rutile.flight.cancels import Cancels, opened
from rutile.flight.held_results import HeldResults
from rutile.flight.ingest import Ingest
from rutile.flight.metadata import answer
from rutile.flight.partitions import Partitions
from rutile.flight.prepared import Prepared, PreparedStatements
from rutile.flight.problems import flight_errors
from rutile.flight.statements import ONE_RUN, QueryAnswer, Running, Statement, Statements
from rutile.flight.transactions import Caller, Transactions
from rutile.flight.wire import unpack
from rutile.ingest.arrow_rows import parameter_rows
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile_kv.client.ticket_scan import TicketScan, cut
from rutile_kv.env.clock import Clock
from rutile_kv.env.flight import CALLER, CallerFactory, FlightOptions, FlightServer, LoopCalls
from rutile_proto import flightsqlpb_pb2 as flightsqlpb
from rutile_proto.signing import Signer, looks_signed

ROOT = "root"
DEFAULT_DATABASE = "test"


class FlightSqlServer(FlightServer):
    """Listens from the moment it is made, on a loop that runs. PortInUse if it cannot."""

    def __init__(
        self, database: Database, options: FlightOptions, calls: LoopCalls, clock: Clock, password: str = ""
    ) -> None:
        """`password` is root's here; empty: the catalogue's. While root has none, calls without a user are root's."""
        self._database = database
        self._calls = calls
        self._clock = clock
        self._signer = Signer(options.secret)
        self._logins = Logins(database.catalog, password)
        self._transactions = Transactions(database, clock.monotonic, self._logins)
        self._held = HeldResults(clock.monotonic)
        self._prepared = PreparedStatements()
        partitions = Partitions(database, self._signer, clock, self._logins)
        self._statements = Statements(self._transactions, self._held, partitions)
        self._ingest = Ingest(database, self._transactions)
        self._cancels = Cancels(database, options, clock, self._held, partitions)
        self._actions = Actions(self._statements, self._transactions, self._prepared, self._cancels)
        callers = CallerFactory(self._signer, clock, self._check_password, self._is_open)
        super().__init__(options, callers)

    async def close(self) -> None:
        """Roll back what is open. After `shutdown`."""
        await self._transactions.close()

    # --- who may come in: asked in threads of Flight's ---------------------------------------------------------------

    def _check_password(self, user: str, given: str) -> bool:
        try:
            asyncio.run_coroutine_threadsafe(self._logins.by_password(user, given), self._calls.loop).result()
        except SqlError:
            return False
        return True

    def _is_open(self) -> bool:
        return asyncio.run_coroutine_threadsafe(self._logins.is_open(), self._calls.loop).result()

    async def _visible_catalog(self, caller: Caller) -> CatalogSnapshot:
        """What metadata may tell this caller."""
        async with self._transactions.session(caller, b"") as session:
            return await session.privileges.visible(await self._database.catalog.current())

    # --- Flight's methods ---------------------------------------------------------------------------------------------

    def get_flight_info(
        self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        """Where to fetch a query's rows, or the count of what a statement changed."""
        with flight_errors():
            command = _command(descriptor)
            table = answer(command, self._calls.run(context, self._visible_catalog(_caller(context))))
            if table is not None:  # the ticket of metadata is its command
                endpoint = flight.FlightEndpoint(descriptor.command, [])
                return flight.FlightInfo(table.schema, descriptor, [endpoint], table.num_rows, table.nbytes)
            running = Running()
            statement = self._statement(context, command)
            work = self._statements.query(_caller(context), statement, running)
            return _flight_info(descriptor, self._calls.run(context, work, running.cancel))

    def get_schema(self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor) -> flight.SchemaResult:
        """The columns a command's rows would have."""
        with flight_errors():
            command = _command(descriptor)
            table = answer(command, self._calls.run(context, self._visible_catalog(_caller(context))))
            if table is not None:
                return flight.SchemaResult(table.schema)
            work = self._statements.schema(_caller(context), self._statement(context, command))
            return flight.SchemaResult(self._calls.run(context, work))

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """The rows of a ticket: of a scan whose store has no endpoint, of a held result, or of the catalogue."""
        with flight_errors():
            if looks_signed(ticket.ticket):
                return self._scan(context, ticket.ticket)
            message = unpack(ticket.ticket)
            if isinstance(message, flightsqlpb.TicketStatementQuery):
                held = self._fetch(message.statement_handle, _caller(context).user)
                return _stream(self._calls.run(context, held))
            table = answer(message, self._calls.run(context, self._visible_catalog(_caller(context))))
            if table is None:
                raise not_supported(f"a ticket of {message.DESCRIPTOR.name}")
            return _stream(table)

    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        """Run an update or an ingest, or bind parameters."""
        with flight_errors():
            command, running, caller = _command(descriptor), Running(), _caller(context)
            match command:
                case flightsqlpb.CommandStatementUpdate():
                    work = self._statements.update(caller, self._statement(context, command), running)
                case flightsqlpb.CommandPreparedStatementUpdate():
                    prepared = self._known(context, command.prepared_statement_handle)
                    rows = parameter_rows(list(_incoming(reader))) or ONE_RUN
                    statement = Statement(prepared.sql, prepared.transaction_id, rows)
                    work = self._statements.update(caller, statement, running)
                case flightsqlpb.CommandPreparedStatementQuery():
                    prepared = self._known(context, command.prepared_statement_handle)
                    prepared.rows = parameter_rows(list(_incoming(reader)))
                    writer.write(pa.py_buffer(flightsqlpb.DoPutPreparedStatementResult().SerializeToString()))
                    return
                case flightsqlpb.CommandStatementIngest():
                    work = self._ingest.run(caller, command, reader.schema, _incoming(reader), running)
                case _:
                    raise not_supported(f"DoPut of {command.DESCRIPTOR.name}")
            count = self._calls.run(context, work, running.cancel)
            writer.write(pa.py_buffer(flightsqlpb.DoPutUpdateResult(record_count=count).SerializeToString()))

    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Iterator[bytes]:
        """Prepared statements, transactions, savepoints, cancel."""
        with flight_errors():
            work = self._actions.run(_caller(context), action.type, action.body.to_pybytes())
            return iter(self._calls.run(context, work))

    def list_actions(self, context: flight.ServerCallContext) -> list[tuple[str, str]]:
        return list(ACTIONS.items())

    # --- steps --------------------------------------------------------------------------------------------------------

    def _statement(self, context: flight.ServerCallContext, command: Message) -> Statement:
        """What a command asks to run. Raises 1235 for one that runs nothing."""
        match command:
            case flightsqlpb.CommandStatementQuery() | flightsqlpb.CommandStatementUpdate():
                return Statement(command.query, command.transaction_id)
            case flightsqlpb.CommandPreparedStatementQuery():
                prepared = self._known(context, command.prepared_statement_handle)
                return Statement(prepared.sql, prepared.transaction_id, prepared.rows or ONE_RUN)
        raise not_supported(f"GetFlightInfo of {command.DESCRIPTOR.name}")

    def _known(self, context: flight.ServerCallContext, handle: bytes) -> Prepared:
        return self._prepared.get(handle, _caller(context).user)

    async def _fetch(self, handle: bytes, user: str) -> pa.Table:
        return self._held.get(handle, user)

    def _scan(self, context: flight.ServerCallContext, message: bytes) -> flight.FlightDataStream:
        """A scan ticket brought here, because no store with an endpoint leads its rows."""
        ticket = opened(self._signer, self._clock, _caller(context), message)
        scan = self._database.client.ticket_scan(ticket)
        return flight.GeneratorStream(scan.schema, self._scanned(context, scan))

    def _scanned(self, context: flight.ServerCallContext, scan: TicketScan) -> Iterator[pa.RecordBatch]:
        with flight_errors(), self._cancels.scans.run(scan.query_id) as run:
            yield from self._calls.drain(context, scan.parts(), run)


def _command(descriptor: flight.FlightDescriptor) -> Message:
    if descriptor.descriptor_type != flight.DescriptorType.CMD:
        raise SqlError(ER_UNKNOWN, "there are no paths here: use a Flight SQL client, such as ADBC's")
    return unpack(descriptor.command)


def _caller(context: flight.ServerCallContext) -> Caller:
    known = context.get_middleware(CALLER)
    return Caller(known.user or ROOT, known.database or DEFAULT_DATABASE)


def _incoming(reader: flight.MetadataRecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The batches a client sends."""
    for chunk in reader:
        if chunk.data is not None:
            yield chunk.data


def _flight_info(descriptor: flight.FlightDescriptor, told: QueryAnswer) -> flight.FlightInfo:
    endpoints = [
        flight.FlightEndpoint(each.ticket, [each.location] if each.location else []) for each in told.partitions
    ]
    return flight.FlightInfo(told.schema, descriptor, endpoints, told.rows, -1, ordered=told.is_ordered)


def _stream(table: pa.Table) -> flight.RecordBatchStream:
    """A table in batches that fit a message."""
    batches = [piece for batch in table.to_batches() for piece in cut(batch)]
    return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(table.schema, batches))
