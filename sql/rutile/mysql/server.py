"""The listening side: accepts clients up to a limit, knows every connection, ends them all when it stops."""

from __future__ import annotations

import asyncio
import contextlib

from rutile.mysql import replies
from rutile.mysql.connection import HANDSHAKE_PACKET_BYTES, Connection, ServerOptions
from rutile.mysql.link import Link, LinkLost
from rutile.mysql.problems import too_many_connections
from rutile.privileges.logins import Logins
from rutile.session.engine import Database
from rutile.session.variables import SessionVariables
from rutile_proto.errors import PortInUse

STOP_TIMEOUT_S = 5.0
BACKLOG = 512


class MysqlServer:
    """Serves a database's sessions to MySQL clients.

    server = MysqlServer(database, "127.0.0.1:4000", ServerOptions(password="..."))
    await server.start()
    """

    def __init__(self, database: Database, address: str, options: ServerOptions | None = None) -> None:
        self.address = address
        self._database = database
        self._options = options or ServerOptions()
        self._logins = Logins(database.catalog, self._options.password)
        self._connections: dict[int, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connection_count(self) -> int:
        """Clients that are in, or still at the door."""
        return len(self._tasks)

    async def start(self) -> None:
        """Listen; `address` then has the port in use. Raises PortInUse."""
        host, _, port = self.address.rpartition(":")
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._make_link, host.strip("[]"), int(port), backlog=BACKLOG
            )
        except OSError as error:
            raise PortInUse(f"cannot listen on {self.address}: {error}; is another process using it?") from error
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Accept nobody more, end the connections, and wait for them to roll back."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections.values()):
            connection.kill()
        if self._tasks:
            await self._end_late(await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S))
        if self._server is not None:
            await self._server.wait_closed()

    async def _end_late(self, waited: tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]) -> None:
        """Those that are still at it after the wait are ended at once."""
        for connection in list(self._connections.values()):
            connection.abort()
        for task in waited[1]:
            task.cancel()
        await asyncio.gather(*waited[1], return_exceptions=True)

    def _make_link(self) -> Link:
        return Link(self._opened, HANDSHAKE_PACKET_BYTES, self._options.write_timeout_s)

    def _opened(self, link: Link) -> None:
        limit, counters = self._most_connections, self._database.counters
        is_full = len(self._tasks) >= limit
        counters.came(len(self._tasks) + (not is_full))
        counters.refused_as_too_many += is_full
        serving = self._turn_away(link, limit) if is_full else self._serve(link)
        task = asyncio.get_running_loop().create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _most_connections(self) -> int:
        """The server's own limit, or max_connections where that is lower."""
        catalog = self._database.catalog.cached()
        variables = SessionVariables(catalog.variables) if catalog is not None else SessionVariables()
        return min(self._options.max_connections, variables.number("max_connections"))

    async def _turn_away(self, link: Link, limit: int) -> None:
        error = too_many_connections(limit)
        link.send(replies.error(error, with_sqlstate=False))
        with contextlib.suppress(LinkLost):
            await link.flush()
        link.close()

    async def _serve(self, link: Link) -> None:
        session = await self._database.session()
        connection = Connection(link, session, self._database, self._logins, self._options)
        self._connections[connection.thread_id] = connection
        try:
            await connection.run()
        finally:
            del self._connections[connection.thread_id]
