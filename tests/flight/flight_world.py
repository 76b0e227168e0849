"""An embedded database with a Flight SQL server on it, and ADBC connections to that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
from google.protobuf.message import Message
from pyarrow import flight

import rutile
from rutile.flight.node import FlightSqlNode
from rutile.flight.wire import pack, unpack
from rutile.nodes.local import LocalBackend, SharedDatabase, shared_database
from rutile_kv.env.flight import FlightOptions
from rutile_proto import flightsqlpb_pb2 as pb

SECRET = b"an embedded test's own secret"


class FlightWorld:
    """One database, one server, any number of clients."""

    def __init__(self, shared: SharedDatabase, node: FlightSqlNode) -> None:
        self.shared = shared
        self.node = node

    @property
    def sql(self) -> rutile.Connection:
        """A DB-API connection to the same database, to look from outside. Close it."""
        return rutile.Connection(LocalBackend(self.shared.acquire(), "test"))

    def connect(self, *, autocommit: bool = True, **options: str) -> adbc.Connection:
        """An ADBC connection. Close it."""
        return adbc.connect(self.node.location, db_kwargs=options, autocommit=autocommit)

    def client(self) -> flight.FlightClient:
        """A plain Flight client. Close it."""
        return flight.connect(self.node.location)


@contextmanager
def flight_world(password: str = "", options: FlightOptions | None = None) -> Iterator[FlightWorld]:
    """A world in memory."""
    shared = shared_database(None)
    node = FlightSqlNode(shared.database, options or FlightOptions("127.0.0.1:0", SECRET), password=password)
    try:

        async def start() -> None:
            await node.start()

        shared.loop.run(start())
        try:
            yield FlightWorld(shared, node)
        finally:
            shared.loop.run(node.stop())
    finally:
        shared.release()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Look until it is so."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        pause.wait(0.05)


# --- what ADBC's driver has no call for -------------------------------------------------------------------------------


def act(client: flight.FlightClient, kind: str, request: Message) -> Message | None:
    """Run an action; its result, if it has one."""
    results = list(client.do_action(flight.Action(kind, pack(request))))
    return unpack(results[0].body.to_pybytes()) if results else None


def end_transaction(client: flight.FlightClient, transaction_id: bytes, *, commit: bool) -> None:
    end = pb.ActionEndTransactionRequest
    action = end.END_TRANSACTION_COMMIT if commit else end.END_TRANSACTION_ROLLBACK
    act(client, "EndTransaction", end(transaction_id=transaction_id, action=action))


def put(client: flight.FlightClient, command: Message, table: pa.Table) -> int:
    """DoPut of a table; the count that comes back."""
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(pack(command)), table.schema)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        return pb.DoPutUpdateResult.FromString(reader.read().to_pybytes()).record_count


def ingest_into(client: flight.FlightClient, table_name: str, table: pa.Table, **more: object) -> int:
    """Make the table or append to it."""
    options = pb.CommandStatementIngest.TableDefinitionOptions
    how = options(if_not_exist=options.TABLE_NOT_EXIST_OPTION_CREATE, if_exists=options.TABLE_EXISTS_OPTION_APPEND)
    return put(client, pb.CommandStatementIngest(table=table_name, table_definition_options=how, **more), table)


def update(client: flight.FlightClient, sql: str, transaction_id: bytes) -> int:
    """Run a data change in a transaction."""
    command = pb.CommandStatementUpdate(query=sql, transaction_id=transaction_id)
    return put(client, command, pa.table({}))
