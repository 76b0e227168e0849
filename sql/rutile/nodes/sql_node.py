"""A SQL front end as a server, against a cluster found by its placement driver: `rutilepb.Sql` over gRPC, MySQL's
protocol and Arrow Flight SQL where addresses for them are given. All make sessions of the same database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rutile.mysql.connection import ServerOptions
from rutile.mysql.server import MysqlServer
from rutile.nodes.cluster import open_database
from rutile.nodes.service import SqlServicer
from rutile_kv.env.rpc import start_server
from rutile_proto.rutilepb_pb2_grpc import add_SqlServicer_to_server

if TYPE_CHECKING:
    from rutile.flight.node import FlightSqlNode
    from rutile_kv.env.flight import FlightOptions


class SqlNode:
    """A SQL front end. `mysql_address` None: it speaks gRPC only."""

    def __init__(
        self,
        pd_addresses: Sequence[str],
        address: str,
        mysql_address: str | None = None,
        mysql_options: ServerOptions | None = None,
        flight_options: FlightOptions | None = None,
        *,
        tikv_only: bool = False,
    ) -> None:
        """`tikv_only`: the stores are asked nothing that TiKV would not answer."""
        self._pd_addresses = list(pd_addresses)
        self.address = address
        self.mysql_address = mysql_address
        self._mysql_options = mysql_options
        self._flight_options = flight_options
        self._tikv_only = tikv_only
        self._flight: FlightSqlNode | None = None

    @property
    def announcement(self) -> str:
        """What follows `ready sql`: where each protocol is served."""
        mysql = f" mysql={self.mysql_address}" if self.mysql_address else ""
        flight = f" flight={self._flight.location}" if self._flight is not None else ""
        return f"{self.address}{mysql}{flight}"

    async def start(self) -> None:
        """Connect to the cluster, then listen. Raises PdError, PortInUse."""
        self.client, self.database = await open_database(self._pd_addresses, tikv_only=self._tikv_only)
        try:
            await self._listen()
        except BaseException:
            await self.database.close()
            await self.client.close()
            raise

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
        await self.database.close()
        await self.client.close()
