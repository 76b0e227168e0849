"""A SQL front end as a server, against a cluster found by its placement driver: `rutilepb.Sql` over gRPC, and MySQL's
protocol where an address for it is given. Both make sessions of the same database."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.cluster import open_database
from rutile.mysql.connection import ServerOptions
from rutile.mysql.server import MysqlServer
from rutile.service import SqlServicer
from rutile_kv.env.rpc import start_server
from rutile_proto.rutilepb_pb2_grpc import add_SqlServicer_to_server


class SqlNode:
    """A SQL front end. `mysql_address` None: it speaks gRPC only."""

    def __init__(
        self,
        pd_addresses: Sequence[str],
        address: str,
        mysql_address: str | None = None,
        mysql_options: ServerOptions | None = None,
    ) -> None:
        self._pd_addresses = list(pd_addresses)
        self.address = address
        self.mysql_address = mysql_address
        self._mysql_options = mysql_options

    @property
    def announcement(self) -> str:
        """What follows `ready sql`: where each protocol is served."""
        return f"{self.address} mysql={self.mysql_address}" if self.mysql_address else self.address

    async def start(self) -> None:
        """Connect to the cluster, then listen. Raises PdError, PortInUse."""
        self.client, self.database = await open_database(self._pd_addresses)
        try:
            await self._listen()
        except BaseException:
            await self.database.close()
            await self.client.close()
            raise

    async def _listen(self) -> None:
        servicer = SqlServicer(self.database)
        self._mysql = await self._start_mysql()
        try:
            self._server, self.address = await start_server(
                self.address,
                [lambda server: add_SqlServicer_to_server(servicer, server)],  # type: ignore[no-untyped-call]
            )
        except BaseException:
            await self._stop_mysql()
            raise

    async def _start_mysql(self) -> MysqlServer | None:
        if self.mysql_address is None:
            return None
        server = MysqlServer(self.database, self.mysql_address, self._mysql_options)
        await server.start()
        self.mysql_address = server.address
        return server

    async def _stop_mysql(self) -> None:
        if self._mysql is not None:
            await self._mysql.stop()

    async def stop(self) -> None:
        """Refuse new sessions, end the open ones, leave the cluster."""
        await self._stop_mysql()
        await self._server.stop(grace=0.5)
        await self.database.close()
        await self.client.close()
