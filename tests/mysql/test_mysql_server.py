"""The server against clients that behave, and against those that do not."""

from __future__ import annotations

import asyncio
import random

import pytest
from mysql_world import PROOFS, RawClient, World, error_code, hello, play, until

from rutile.mysql.auth import caching_sha2_proof
from rutile.mysql.connection import ServerOptions
from rutile.mysql.constants import OFFERED, Capability, Command
from rutile_kv.env.prompt import NotNow

PASSWORD = ServerOptions(password="s3cret")


@pytest.mark.parametrize("method", ["caching_sha2_password", "mysql_native_password"])
def test_the_password_lets_in(method: str) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world, password="s3cret", method=method)
        assert (await client.query("SELECT 1"))[0] == 1
        await client.close()

    play(scenario, PASSWORD)


@pytest.mark.parametrize(("user", "password"), [("root", "wrong"), ("root", ""), ("nobody", "s3cret"), ("nobody", "")])
@pytest.mark.parametrize("method", ["caching_sha2_password", "mysql_native_password"])
def test_a_refused_client_is_closed_and_executes_nothing(user: str, password: str, method: str) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        client.send(hello(user, PROOFS[method](password, client.nonce), method, "test"))
        client.sequence = 0
        client.send(b"\x03CREATE TABLE stolen (id INT PRIMARY KEY)")
        assert error_code(await client.read()) == 1045
        assert await client.is_closed()
        await client.close()
        inside = await RawClient.login(world, password="s3cret")
        assert error_code(await inside.query("SELECT * FROM stolen")) == 1146
        await inside.close()

    play(scenario, PASSWORD)


def test_an_unknown_method_is_switched() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        client.send(hello("root", b"whatever", "dialog", "test"))
        switch = await client.read()
        name, nonce = switch[1:].split(b"\0")[:2]
        assert (switch[0], name) == (0xFE, b"caching_sha2_password")
        assert nonce != client.nonce
        client.send(caching_sha2_proof("s3cret", nonce))
        assert await client.read() == b"\x01\x03"
        assert (await client.read())[0] == 0
        await client.close()

    play(scenario, PASSWORD)


def test_tls_is_neither_offered_nor_accepted() -> None:
    async def scenario(world: World) -> None:
        assert not OFFERED & Capability.SSL
        client = await RawClient.connect(world)
        await client.read_greeting()
        client.send(hello("root", b"", "caching_sha2_password", "test", Capability.SSL)[:32])
        answer = await client.read()
        assert error_code(answer) == 1043 and b"TLS" in answer
        assert await client.is_closed()
        await client.close()

    play(scenario)


def test_an_unknown_database_is_refused() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        assert error_code(await client.authenticate(database="nowhere")) == 1049
        assert await client.is_closed()
        await client.close()

    play(scenario)


def test_too_many_connections() -> None:
    async def scenario(world: World) -> None:
        first = await RawClient.login(world)
        second = await RawClient.connect(world)
        assert error_code(await second.read()) == 1040
        assert await second.is_closed()
        await second.close()
        await first.close()
        await until(lambda: world.server.connection_count == 0)
        third = await RawClient.login(world)
        await third.close()

    play(scenario, ServerOptions(max_connections=1))


def test_strangers_are_not_waited_for() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        assert await client.is_closed()
        await client.close()

    play(scenario, ServerOptions(handshake_timeout_s=0.05))


def test_strangers_may_not_send_much() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.connect(world)
        await client.read_greeting()
        client.send(bytes(1 << 20))
        assert error_code(await client.read()) == 1153
        assert await client.is_closed()
        await client.close()

    play(scenario)


def test_a_silent_client_is_closed_after_wait_timeout() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert (await client.query("SET wait_timeout = 1"))[0] == 0
        assert await client.is_closed()
        await client.close()

    play(scenario)


def test_an_oversize_packet_is_an_error_and_the_next_command_works() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert error_code(await client.query("SELECT '" + "x" * 200_000 + "'")) == 1153
        assert (await client.command(b"\x0e"))[0] == 0
        await client.close()

    play(scenario, ServerOptions(max_packet_bytes=100_000))


def test_a_payload_of_several_packets_there_and_back() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        statement_id = (await client.command(b"\x16SELECT ? AS value"))[1:5]
        await client.read()  # the parameter
        await client.read()  # the column
        value = b"x" * (0xFFFFFF + 10)
        size = b"\xfe" + len(value).to_bytes(8, "little")
        header = b"\x17" + statement_id + b"\0\x01\0\0\0" + b"\0" + b"\x01" + b"\xfc\0"
        assert await client.command(header + size + value) == b"\x01"
        await client.read()
        assert (await client.read())[2:] == size + value
        await client.close()

    play(scenario)


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.sequence = 0
        client.send(b"\x03SELECT REPEAT('x', 30000000)")
        await client.writer.drain()
        await until(lambda: world.server.connection_count == 0)
        await client.close()

    play(scenario, ServerOptions(write_timeout_s=0.1))


def test_commands_sent_ahead_are_answered_in_order() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        for _ in range(50):
            client.sequence = 0
            client.send(b"\x0e")
        assert [(await client.read())[0] for _ in range(50)] == [0] * 50
        await client.close()

    play(scenario)


@pytest.mark.parametrize("command", [b"\x04t\0", b"\x1d\x01\0\0\0\0\0\0\0", b"\x77", b""])
def test_unknown_commands_are_errors_only(command: bytes) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert error_code(await client.command(command)) == 1047
        assert (await client.command(b"\x0e"))[0] == 0
        await client.close()

    play(scenario)


def test_small_commands() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert b"Threads: 1" in await client.command(b"\x09")
        assert error_code(await client.command(b"\x02nowhere")) == 1049
        assert (await client.command(b"\x02information_schema"))[0] in (0, 0xFF)
        assert (await client.command(b"\x02test"))[0] == 0
        assert (await client.command(b"\x1b\0\0"))[0] == 0xFE
        assert error_code(await client.command(b"\x17\x09\0\0\0\0\x01\0\0\0")) == 1243
        assert error_code(await client.command(b"\x17\x09")) == 1835
        client.sequence = 0
        client.send(b"\x01")
        assert await client.is_closed()
        await client.close()

    play(scenario)


@pytest.mark.parametrize(
    "sql",
    [
        "/* mysql-connector-j */SELECT @@session.auto_increment_increment AS i, @@init_connect AS c, @@sql_mode AS m",
        "SET character_set_results = NULL",
        "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
        "select @@version_comment limit 1",
    ],
)
def test_what_drivers_ask_when_they_connect(sql: str) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert error_code(await client.query(sql)) == 0
        await client.close()

    play(scenario)


def test_reset_connection_forgets_everything_but_the_database() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY)")
        await client.query("SET autocommit = 0")
        assert (await client.query("INSERT INTO t VALUES (1)"))[3] == 1  # in a transaction
        statement_id = (await client.command(b"\x16COMMIT"))[1:5]
        reset = await client.command(b"\x1f")
        assert (reset[0], reset[3]) == (0, 2)  # autocommit again
        assert error_code(await client.command(b"\x17" + statement_id + b"\0\x01\0\0\0")) == 1243
        assert (await client.query("SELECT COUNT(*), CONNECTION_ID() FROM t"))[0] == 2
        for _ in range(2):
            await client.read()
        assert await client.read() == b"\x010\x01" + str(client.thread_id).encode()
        await client.close()

    play(scenario)


def test_kill_ends_an_idle_connection_and_refuses_unknown_ones() -> None:
    async def scenario(world: World) -> None:
        victim, killer = await RawClient.login(world), await RawClient.login(world)
        assert error_code(await killer.query("KILL 999999")) == 1094
        assert (await killer.query(f"KILL QUERY {victim.thread_id}"))[0] == 0
        assert (await victim.command(b"\x0e"))[0] == 0  # nothing was running
        assert (await killer.query(f"kill connection {victim.thread_id};"))[0] == 0
        assert await victim.is_closed()
        assert (await killer.query(f"KILL {killer.thread_id}"))[0] == 0
        assert await killer.is_closed()
        for client in (victim, killer):
            await client.close()

    play(scenario)


def test_kill_query_stops_the_statement_and_keeps_the_connection() -> None:
    async def scenario(world: World) -> None:
        victim, killer = await RawClient.login(world), await RawClient.login(world)
        await victim.query("CREATE TABLE t (id INT PRIMARY KEY)")
        started, never = asyncio.Event(), asyncio.Event()

        async def stuck(key: bytes) -> bytes | None:
            started.set()
            await never.wait()
            return None

        client = world.database.client
        reading = client.snapshot
        client.snapshot = lambda ts: _Stuck(stuck)  # type: ignore[assignment, method-assign]
        running = asyncio.create_task(victim.query("SELECT * FROM t WHERE id = 1"))
        await started.wait()
        client.snapshot = reading  # type: ignore[method-assign]
        assert (await killer.query(f"KILL QUERY {victim.thread_id}"))[0] == 0
        assert error_code(await running) == 1317
        assert (await victim.query("SELECT * FROM t WHERE id = 1"))[0] == 1
        for client_ in (victim, killer):
            await client_.close()

    play(scenario)


class _Stuck:
    def __init__(self, get: object) -> None:
        self.get = get

    def get_now(self, key: bytes) -> bytes | None:
        raise NotNow


def test_a_client_that_leaves_stops_its_statement() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY)")
        started, never = asyncio.Event(), asyncio.Event()

        async def stuck(key: bytes) -> bytes | None:
            started.set()
            await never.wait()
            return None

        world.database.client.snapshot = lambda ts: _Stuck(stuck)  # type: ignore[assignment, method-assign]
        client.sequence = 0
        client.send(b"\x03SELECT * FROM t WHERE id = 1")
        await started.wait()
        await client.close()
        await until(lambda: world.server.connection_count == 0)

    play(scenario)


def test_long_data_is_kept_bounded_and_used_once() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        statement_id = (await client.command(b"\x16SELECT ?"))[1:5]
        await client.read()
        await client.read()
        execute = b"\x17" + statement_id + b"\0\x01\0\0\0" + b"\0" + b"\x01" + b"\xfc\0"

        def send_long(data: bytes) -> None:
            client.sequence = 0
            client.send(b"\x18" + statement_id + b"\0\0" + data)

        send_long(b"ab\xff")
        send_long(b"cd")
        assert await client.command(execute) == b"\x01"
        await client.read()
        assert (await client.read())[2:] == b"\x05ab\xffcd"
        await client.read()
        send_long(b"x" * 60_000)
        send_long(b"x" * 60_000)
        assert error_code(await client.command(execute)) == 1153
        client.sequence = 0
        client.send(b"\x19" + statement_id)
        assert error_code(await client.command(execute)) == 1243
        await client.close()

    play(scenario, ServerOptions(max_packet_bytes=100_000))


def test_packets_cut_flipped_and_made_up_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Seeded; after each the client is gone, one who behaves is served, and nothing failed that was not foreseen."""
    source = random.Random(7)

    async def scenario(world: World) -> None:
        behaved = await RawClient.login(world)
        for case in range(120):
            client = await RawClient.connect(world)
            await client.read_greeting()
            payload = bytearray(hello("root", b"", "caching_sha2_password", "test", Capability.CONNECT_ATTRS))
            if case % 2:
                client.send(bytes(payload))
                await client.read()
                client.sequence = 0
                kinds = (b"\x03SELECT ?", b"\x16SELECT ?", b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfd\0\x03abc")
                payload = bytearray(source.choice(kinds))
            for _ in range(source.randrange(4)):
                payload[source.randrange(len(payload))] = source.randrange(256)
            if payload[0] == Command.PROCESS_KILL:
                payload[0] = Command.PING  # it would be right to end the one who behaves
            client.send(bytes(payload[: source.randrange(len(payload) + 1)]))
            client.writer.write(source.randbytes(source.randrange(12)))
            await client.close()
            assert (await behaved.command(b"\x0e"))[0] == 0
        await until(lambda: world.server.connection_count == 1)
        await behaved.close()

    play(scenario)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
