"""SHOW STATUS over the wire, who may SET GLOBAL, and what the OK packet tells of the session."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pymysql
import pytest
from mysql_world import RawClient, World, error_code, play, until

from rutile.mysql.constants import Capability, Status
from rutile.mysql.wire import FieldReader
from rutile.session.counters import command_of


async def status(client: RawClient, name: str, scope: str = "") -> str:
    """One value."""
    await client.query(f"SHOW {scope} STATUS LIKE '{name}'")
    for _ in range(2):
        await client.read()
    reader = FieldReader(await client.read())
    await client.read()
    assert reader.lenenc_bytes().decode() == name
    return reader.lenenc_bytes().decode()


def test_what_a_connection_does_is_counted() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        sent = int(await status(client, "Bytes_sent"))
        received = int(await status(client, "Bytes_received"))
        assert (await client.command(b"\x0e"))[0] == 0
        assert int(await status(client, "Bytes_sent")) > sent and int(await status(client, "Bytes_received")) > received
        assert (await client.command(b"\x16COMMIT"))[0] == 0
        assert (await client.command(b"\x17\1\0\0\0\0\1\0\0\0"))[0] == 0
        assert [await status(client, f"Com_{name}") for name in ("stmt_prepare", "stmt_execute", "commit")] == ["1"] * 3
        assert await status(client, "Prepared_stmt_count") == "1"
        assert await status(client, "Com_admin_commands") == "1"
        line = (await client.command(b"\x09")).decode()
        assert line.startswith("Uptime: ") and "Threads: 1 " in line and "Slow queries: 0" in line
        await client.close()

    play(scenario)


def test_who_went_is_counted_too() -> None:
    async def scenario(world: World) -> None:
        first, second = await RawClient.login(world), await RawClient.login(world)
        assert await status(first, "Threads_connected") == "2"
        await second.query("SELECT 1")
        second.writer.transport.abort()
        await until(lambda: world.server.connection_count == 1)
        assert await status(first, "Com_select", "GLOBAL") == "1" and await status(first, "Com_select") == "0"
        assert await status(first, "Aborted_clients") == "1"
        third = await RawClient.connect(world)
        assert error_code(await third.authenticate("nobody")) == 1045
        await third.close()
        assert [await status(first, name) for name in ("Aborted_connects", "Connections", "Max_used_connections")] == [
            "1", "3", "2",
        ]  # fmt: skip
        await first.close()

    play(scenario)


def test_max_connections_is_the_clusters() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert (await client.query("SET GLOBAL max_connections = 1"))[0] == 0
        second = await RawClient.connect(world)
        assert error_code(await second.read()) == 1040
        await second.close()
        await until(lambda: world.server.connection_count == 1)
        assert (await client.query("SET GLOBAL max_connections = DEFAULT"))[0] == 0
        third = await RawClient.login(world)
        assert await status(third, "Connection_errors_max_connections") == "1"
        await third.close()
        await client.close()

    play(scenario)


def test_set_global_wants_a_privilege() -> None:
    async def scenario(world: World) -> None:
        root = await RawClient.login(world)
        for sql in ("CREATE USER plain", "CREATE USER admin", "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO admin"):
            assert (await root.query(sql))[0] == 0
        plain = await RawClient.login(world, user="plain", database="")
        assert error_code(await plain.query("SET GLOBAL wait_timeout = 9")) == 1227
        assert error_code(await plain.query("SET @@global.wait_timeout = 9")) == 1227
        assert (await plain.query("SET wait_timeout = 9"))[0] == 0
        admin = await RawClient.login(world, user="admin", database="")
        assert (await admin.query("SET GLOBAL wait_timeout = 90"))[0] == 0
        assert (await plain.command(b"\x1f"))[0] == 0
        await plain.query("SHOW VARIABLES LIKE 'wait_timeout'")
        rows = [await plain.read() for _ in range(4)]
        assert rows[2].endswith(b"90")
        for client in (root, plain, admin):
            await client.close()

    play(scenario)


def entries(payload: bytes) -> list[tuple[int, bytes]]:
    """The kinds and bodies of what an OK packet says of the session; none if it does not."""
    reader = FieldReader(payload)
    assert reader.number(1) == 0
    reader.lenenc_number()
    reader.lenenc_number()
    flags = Status(reader.number(2))
    reader.number(2)
    if Status.SESSION_STATE_CHANGED not in flags:
        return []
    reader.lenenc_bytes()
    told, found = FieldReader(reader.lenenc_bytes()), []
    while told.left:
        found.append((told.number(1), told.lenenc_bytes()))
    return found


def test_changes_of_the_session_are_told_to_who_asked() -> None:
    async def scenario(world: World) -> None:
        plain, client = await RawClient.login(world), await RawClient.connect(world)
        assert entries(await client.authenticate(extra=Capability.SESSION_TRACK)) == [(1, b"\x04test")]
        assert entries(await plain.query("SET autocommit = 0")) == []
        assert entries(await client.query("SET autocommit = 0")) == [(0, b"\x0aautocommit\x03OFF")]
        assert entries(await client.query("COMMIT")) == []
        assert entries(await client.query("USE test")) == [(1, b"\x04test")]
        assert entries(await client.command(b"\x02test")) == [(1, b"\x04test")]
        assert entries(await client.query("SET sql_safe_updates = 1")) == []
        assert entries(await client.query("SET session_track_system_variables = '*'"))[0][0] == 0
        assert entries(await client.query("SET sql_safe_updates = 0")) == [(0, b"\x10sql_safe_updates\x03OFF")]
        await client.query("SET session_track_system_variables = '', session_track_state_change = 1")
        assert entries(await client.query("SET sql_safe_updates = 1")) == [(2, b"\x011")]
        await client.query("SET session_track_state_change = 0, session_track_schema = 0")
        assert entries(await client.query("USE test")) == []
        await plain.close()
        await client.close()

    play(scenario)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT 1", "select"), ("  ( select 1 )", "select"), ("/* c */ -- d\n insert into t", "insert"),
        ("show full tables", "show_tables"), ("SHOW GLOBAL STATUS", "show_status"),
        ("SHOW COLUMNS FROM t", "show_fields"),
        ("SHOW CREATE TABLE t", "show_create_table"), ("SHOW TABLE STATUS", "show_table_status"),
        ("CREATE TABLE t (a INT)", "create_table"), ("CREATE UNIQUE INDEX i", "create_index"),
        ("DROP DATABASE d", "drop_db"), ("RELEASE SAVEPOINT s", "release_savepoint"), ("SET a = 1", "set_option"),
        ("START TRANSACTION", "begin"), ("gibberish", None), ("", None),
    ],
)  # fmt: skip
def test_the_name_a_statement_is_counted_under(text: str, name: str | None) -> None:
    assert command_of(text) == name


def test_a_real_client_reads_them() -> None:
    async def scenario(world: World) -> None:
        host, _, port = world.server.address.rpartition(":")

        def ask() -> dict[str, str]:
            with closing(pymysql.connect(host=host, port=int(port), user="root")) as connection:
                cursor = connection.cursor()
                cursor.execute("SHOW GLOBAL STATUS")
                return dict(cursor.fetchall())

        found = await asyncio.to_thread(ask)
        assert found["Threads_connected"] == "1" and int(found["Uptime"]) >= 0 and found["Ssl_cipher"] == ""

    play(scenario)
