"""An embedded database with a Flight SQL server on it, and ADBC connections to that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_flightsql.dbapi as adbc
from pyarrow import flight

import rutile
from rutile.flight.node import FlightSqlNode
from rutile.local import LocalBackend, SharedDatabase, shared_database
from rutile_kv.env.flight import FlightOptions

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
