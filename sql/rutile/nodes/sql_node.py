"""A SQL front end as a server: `rutilepb.Sql` over gRPC, MySQL's protocol and Arrow Flight SQL where addresses for them
are given. All make sessions of the same database, which is a cluster's, found by its placement driver, or one in this
very process (`standalone`): there a point SELECT is answered without a wire between SQL and the data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.mysql.connection import ServerOptions
from rutile.mysql.server import MysqlServer
from rutile.nodes.cluster import open_database
from rutile.nodes.service import SqlServicer
from rutile.session.engine import Database
from rutile.session.file_access import NOWHERE, FileAccess
from rutile_kv.env.rpc import start_server
from rutile_proto.rutilepb_pb2_grpc import add_SqlServicer_to_server

if TYPE_CHECKING:
    from rutile.flight.node import FlightSqlNode
    from rutile_kv.env.flight import FlightOptions


@dataclass(frozen=True, slots=True)
class Opened:
    """A running database."""

    database: Database
    close: Callable[[], Awaitable[None]]
    """Closes it with everything below it."""
    wait_failed: Callable[[], Awaitable[Exception]]
    """Returns when what it needs has stopped by itself and will not come back, with the reason."""


def of_cluster(pd_addresses: Sequence[str], *, tikv_only: bool = False) -> Callable[[], Awaitable[Opened]]:
    """Opens the database of the cluster at these addresses. `tikv_only`: its stores are asked nothing that TiKV would
    not answer."""

    async def open_it() -> Opened:
        client, database = await open_database(list(pd_addresses), tikv_only=tikv_only)

        async def close() -> None:
            await database.close()
            await client.close()

        return Opened(database, close, _wait_for_ever)

    return open_it


async def _wait_for_ever() -> Exception:
    """Stores of a cluster come back, or others take their place."""
    never: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    return await never


def standalone(data_dir: Path) -> Callable[[], Awaitable[Opened]]:
    """Opens the database in a directory: placement driver, one store and SQL in this process."""

    async def open_it() -> Opened:
        from rutile.nodes.embedded import (
            EmbeddedNode,
        )  # loads store and PD: a front end of a cluster has no use for them

        node = await EmbeddedNode.open(data_dir)
        return Opened(node.database, node.close, node.store.wait_failed)

    return open_it


class SqlNode:
    """A SQL front end. `mysql_address` None: it speaks gRPC only."""

    def __init__(
        self,
        open_it: Callable[[], Awaitable[Opened]],
        address: str,
        mysql_address: str | None = None,
        mysql_options: ServerOptions | None = None,
        flight_options: FlightOptions | None = None,
        files: FileAccess = NOWHERE,
    ) -> None:
        """`files`: what statements may read and write on this machine."""
        self._open = open_it
        self._files = files
        self.address = address
        self.mysql_address = mysql_address
        self._mysql_options = mysql_options
        self._flight_options = flight_options
        self._flight: FlightSqlNode | None = None

    @property
    def announcement(self) -> str:
        """What follows `ready sql`: where each protocol is served."""
        mysql = f" mysql={self.mysql_address}" if self.mysql_address else ""
        flight = f" flight={self._flight.location}" if self._flight is not None else ""
        return f"{self.address}{mysql}{flight}"

    async def start(self) -> None:
        """Open the database, then listen. Raises PdError, DataDirMismatch, PortInUse."""
        self._opened = await self._open()
        self.database = self._opened.database
        self.database.files = self._files
        try:
            await self._listen()
        except BaseException:
            await self._opened.close()
            raise

    async def wait_failed(self) -> Exception:
        """Returns when there is nothing to serve any more, with the reason: the store in this process gave up."""
        return await self._opened.wait_failed()

    async def _listen(self) -> None:
        password = self._mysql_options.password if self._mysql_options is not None else ""
        servicer = SqlServicer(self.database, root_password=password)
        self._mysql = await self._start_mysql()
        try:
            await self._start_flight()
            self._server, self.address = await start_server(
                self.address,
                [lambda server: add_SqlServicer_to_server(servicer, server)],  # type: ignore[no-untyped-call]
            )
        except BaseException:
            await self._stop_others()
            raise

    async def _start_mysql(self) -> MysqlServer | None:
        if self.mysql_address is None:
            return None
        server = MysqlServer(self.database, self.mysql_address, self._mysql_options)
        await server.start()
        self.mysql_address = server.address
        return server

    async def _start_flight(self) -> None:
        if self._flight_options is None:
            return
        from rutile.flight.node import FlightSqlNode  # loads Arrow Flight: only those who serve it wait for it

        password = self._mysql_options.password if self._mysql_options is not None else ""
        node = FlightSqlNode(self.database, self._flight_options, password=password)
        await node.start()
        self._flight = node

    async def _stop_others(self) -> None:
        if self._flight is not None:
            await self._flight.stop()
        if self._mysql is not None:
            await self._mysql.stop()

    async def stop(self) -> None:
        """Refuse new sessions, end the open ones, leave the cluster."""
        await self._stop_others()
        await self._server.stop(grace=0.5)
        await self._opened.close()
