"""A Flight SQL server with its options, started and stopped on a loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rutile.flight.server import FlightSqlServer
from rutile.session.engine import Database
from rutile_kv.env.clock import Clock, SystemClock
from rutile_kv.env.flight import FlightOptions, LoopCalls
from rutile_proto.errors import InvalidRequest
from rutile_proto.signing import MIN_SECRET_BYTES


def secret_from_file(path: Path) -> bytes:
    """The cluster's secret. InvalidRequest if the file cannot be read, or is too short."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}; the Flight secret is the same file on every node") from error
    if len(secret) < MIN_SECRET_BYTES:
        raise InvalidRequest(
            f"{path}: a secret has at least {MIN_SECRET_BYTES} bytes: `openssl rand -hex 32` makes one"
        )
    return secret


class FlightSqlNode:
    """Serves one database over Arrow Flight SQL.

    >>> node = FlightSqlNode(database, FlightOptions("127.0.0.1:31337", secret))
    >>> await node.start()
    """

    def __init__(
        self, database: Database, options: FlightOptions, *, password: str = "", clock: Clock | None = None
    ) -> None:
        """`password` is root's; empty lets everybody in as root."""
        self._database = database
        self._options = options
        self._password = password
        self._clock = clock or SystemClock()
        self._server: FlightSqlServer | None = None
        self.address = options.address

    @property
    def location(self) -> str:
        """What a Flight client connects to."""
        return f"{self._options.scheme}://{self.address}"

    async def start(self) -> None:
        """Listen; `address` then has the port in use. Raises PortInUse, InvalidRequest."""
        calls = LoopCalls(asyncio.get_running_loop())
        self._server = FlightSqlServer(self._database, self._options, calls, self._clock, self._password)
        self.address = self._server.address

    async def stop(self) -> None:
        """End what runs, roll back what is open."""
        if self._server is not None:
            server, self._server = self._server, None
            stopping = asyncio.ensure_future(asyncio.to_thread(server.shutdown))
            await server.close()
            await stopping
