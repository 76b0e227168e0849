"""A MySQL server over the fake key-value client, and a client so plain that it can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from fake_client import FakeClient
from sql_runner import make_database

from rutile.mysql.auth import caching_sha2_proof, native_proof
from rutile.mysql.connection import ServerOptions
from rutile.mysql.constants import Capability
from rutile.mysql.packets import frame
from rutile.mysql.server import MysqlServer
from rutile.mysql.wire import FieldReader, lenenc_bytes
from rutile.session.engine import Database

CAPABILITIES = (
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC_DATA
    | Capability.CONNECT_WITH_DB
    | Capability.DEPRECATE_EOF
    | Capability.TRANSACTIONS
)
PROOFS = {"caching_sha2_password": caching_sha2_proof, "mysql_native_password": native_proof}
DEADLINE_S = 20.0


@dataclass
class World:
    server: MysqlServer
    database: Database
    clients: list[RawClient] = field(default_factory=list)
    """Every one that connected; those a failing test left open are closed with the world."""


Scenario = Callable[[World], Awaitable[None]]


def play(scenario: Scenario, options: ServerOptions | None = None) -> None:
    """Run a scenario beside a fresh server; afterwards the server must end and hold nobody."""

    async def run() -> None:
        async with world(options) as found, asyncio.timeout(DEADLINE_S):
            await scenario(found)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def world(options: ServerOptions | None = None) -> AsyncIterator[World]:
    database = make_database(FakeClient())
    await database.start()
    server = MysqlServer(database, "127.0.0.1:0", options)
    await server.start()
    found = World(server, database)
    try:
        yield found
    finally:
        for client in found.clients:
            await client.close()
        await server.stop()
        await database.close()
        assert server.connection_count == 0


async def until(condition: Callable[[], bool]) -> None:
    """Poll until `condition` holds; the scenario's deadline ends it."""
    while not condition():
        await asyncio.sleep(0.005)


class RawClient:
    """Sends and reads payloads. A method for each thing a test wants to do right; everything else it can do wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sequence = 0
        self.nonce = b""
        self.thread_id = 0

    @classmethod
    async def connect(cls, world: World) -> RawClient:
        """Connected, the greeting not yet read."""
        host, _, port = world.server.address.rpartition(":")
        client = cls(*await asyncio.open_connection(host, int(port)))
        world.clients.append(client)
        return client

    @classmethod
    async def login(cls, world: World, **options: object) -> RawClient:
        """In, or an AssertionError with the server's answer."""
        client = await cls.connect(world)
        answer = await client.authenticate(**options)  # type: ignore[arg-type]
        assert answer[0] == 0, answer
        return client

    async def authenticate(
        self,
        user: str = "root",
        password: str = "",
        method: str = "caching_sha2_password",
        database: str = "test",
        extra: int = 0,
        without: int = 0,
    ) -> bytes:
        """Read the greeting and answer it; the server's last word on it."""
        await self.read_greeting()
        self.send(hello(user, PROOFS[method](password, self.nonce), method, database, extra, without))
        answer = await self.read()
        return await self.read() if answer == b"\x01\x03" else answer

    async def read_greeting(self) -> None:
        reader = FieldReader(await self.read())
        assert reader.number(1) == 10
        reader.until_zero()
        self.thread_id = reader.number(4)
        self.nonce = reader.take(8)
        reader.take(1 + 2 + 1 + 2 + 2 + 1 + 10)
        self.nonce += reader.take(12)

    def send(self, payload: bytes) -> None:
        framed, self.sequence = frame(payload, self.sequence)
        self.writer.write(framed)

    async def read(self) -> bytes:
        """The next payload; IncompleteReadError when the server has closed."""
        payload = b""
        while True:
            header = await self.reader.readexactly(4)
            self.sequence = (header[3] + 1) & 0xFF
            part = await self.reader.readexactly(int.from_bytes(header[:3], "little"))
            payload += part
            if len(part) < 0xFFFFFF:
                return payload

    async def command(self, payload: bytes) -> bytes:
        """The first payload of the answer to a command."""
        self.sequence = 0
        self.send(payload)
        return await self.read()

    async def query(self, sql: str) -> bytes:
        return await self.command(b"\x03" + sql.encode())

    async def is_closed(self) -> bool:
        """Whether nothing more comes, once the server has closed."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def hello(user: str, proof: bytes, method: str, database: str, extra: int = 0, without: int = 0) -> bytes:
    """HandshakeResponse41."""
    capabilities = int(CAPABILITIES | extra) & ~without
    return b"".join((
        capabilities.to_bytes(4, "little"), (1 << 24).to_bytes(4, "little"), b"\x2d", bytes(23),
        user.encode(), b"\0", lenenc_bytes(proof), database.encode(), b"\0", method.encode(), b"\0",
    ))  # fmt: skip


def error_code(payload: bytes) -> int:
    """The number of an ERR packet; 0 for anything else."""
    return int.from_bytes(payload[1:3], "little") if payload[:1] == b"\xff" else 0
