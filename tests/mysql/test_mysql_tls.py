"""TLS: offered, required, refused, and begun in the middle of a segment."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import closing

import mysql.connector
import pymysql
import pytest
from mysql_world import CAPABILITIES, RawClient, World, error_code, hello, play

from rutile.mysql.connection import ServerOptions
from rutile.mysql.constants import Capability
from rutile.mysql.login import Security
from rutile.mysql.packets import frame
from rutile.mysql.tls import self_signed_context

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE


def options(*, required: bool = False) -> ServerOptions:
    return ServerOptions(security=Security(self_signed_context(), required))


def port_of(world: World) -> int:
    return int(world.server.address.rpartition(":")[2])


def test_clients_in_tls() -> None:
    def with_pymysql(port: int) -> None:
        found = pymysql.connect(host="127.0.0.1", port=port, user="root", database="test", ssl=TRUSTING)
        with closing(found), found.cursor() as cursor:
            cursor.execute("SELECT REPEAT('x', 300000), 'it''s'")
            assert cursor.fetchall() == (("x" * 300_000, "it's"),)

    def with_connector(port: int) -> None:
        found = mysql.connector.connect(host="127.0.0.1", port=port, user="root", use_pure=True)
        with closing(found), closing(found.cursor(prepared=True)) as cursor:
            cursor.execute("SELECT ? + 1", (41,))
            assert [int(value) for (value,) in cursor.fetchall()] == [42]

    async def scenario(world: World) -> None:
        for client in (with_pymysql, with_connector):
            await asyncio.to_thread(client, port_of(world))

    play(scenario, options(required=True))


def test_without_tls_where_it_is_required() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        assert error_code(await client.authenticate()) == 3159
        assert await client.is_closed()

    play(scenario, options(required=True))


def test_an_account_that_requires_tls() -> None:
    async def scenario(world: World) -> None:
        root = await RawClient.login(world)
        assert error_code(await root.query("CREATE USER ann IDENTIFIED BY 'pw' REQUIRE SSL")) == 0
        client = await RawClient.connect(world)
        assert error_code(await client.authenticate("ann", "pw")) == 1045
        connect = {"host": "127.0.0.1", "port": port_of(world), "user": "ann", "password": "pw", "ssl": TRUSTING}
        (await asyncio.to_thread(lambda: pymysql.connect(**connect))).close()

    play(scenario, options())


def test_tls_that_begins_in_the_segment_of_its_request() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = TRUSTING.wrap_bio(incoming, outgoing)
        request = int(CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.writer.write(frame(request, 1)[0] + outgoing.read())
        while True:
            incoming.write(await client.reader.read(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.writer.write(outgoing.read())
        tls.write(frame(hello("root", b"", "caching_sha2_password", "test"), 2)[0])
        client.writer.write(outgoing.read())
        answer = b""
        while len(answer) < 5:
            incoming.write(await client.reader.read(65536))
            with pytest.raises(ssl.SSLWantReadError):
                while True:
                    answer += tls.read(65536)
        assert answer[4] == 0

    play(scenario, options())


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 50, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70_000]
)
def test_no_tls_after_the_request(garbage: bytes) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        request = int(CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28)
        client.writer.write(frame(request, 1)[0] + garbage)
        client.writer.write_eof()
        await client.is_closed()  # what it says before is TLS's alert
        assert await RawClient.login(world)

    play(scenario, options())


def test_a_request_for_tls_that_was_not_offered() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        client.send(int(CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28))
        assert error_code(await client.read()) == 1043
        assert await client.is_closed()

    play(scenario)
