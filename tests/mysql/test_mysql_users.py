"""Users over MySQL's protocol: who comes in, as whom, and what becomes of connections when accounts change."""

from __future__ import annotations

import pytest
from mysql_world import RawClient, World, error_code, play

from rutile.mysql.auth import caching_sha2_proof, native_proof
from rutile.mysql.connection import ServerOptions


async def root(world: World, *statements: str) -> RawClient:
    client = await RawClient.login(world)
    for statement in statements:
        assert error_code(await client.query(statement)) == 0, statement
    return client


async def one_value(client: RawClient, sql: str) -> str:
    """The only value of a query."""
    assert (await client.query(sql))[0] == 1
    await client.read()
    value = (await client.read())[1:].decode()
    await client.read()
    return value


@pytest.mark.parametrize("method", ["caching_sha2_password", "mysql_native_password"])
def test_a_user_comes_in_with_its_password_by_either_method(method: str) -> None:
    async def scenario(world: World) -> None:
        await root(world, "CREATE USER ann IDENTIFIED BY 's3cret'", "GRANT SELECT ON test.* TO ann")
        client = await RawClient.login(world, user="ann", password="s3cret", method=method)
        assert await one_value(client, "SELECT CONCAT(USER(), ' ', CURRENT_USER())") == "ann@127.0.0.1 ann@%"
        for password in ("", "wrong"):
            stranger = await RawClient.connect(world)
            assert error_code(await stranger.authenticate("ann", password, method)) == 1045
            assert await stranger.is_closed()

    play(scenario)


def test_an_account_of_one_method_switches_the_client_to_it() -> None:
    async def scenario(world: World) -> None:
        text = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"  # of "secret", as MySQL shows it
        await root(
            world, f"CREATE USER old IDENTIFIED WITH mysql_native_password AS '{text}'", "GRANT SELECT ON *.* TO old"
        )
        client = await RawClient.connect(world)
        switch = await client.authenticate("old", "secret")
        assert switch.startswith(b"\xfemysql_native_password\0")
        client.send(native_proof("secret", switch[-21:-1]))
        assert (await client.read())[0] == 0
        assert (await client.query("SELECT 1"))[0] == 1

    play(scenario)


def test_locked_dropped_and_foreign_accounts_do_not_come_in() -> None:
    async def scenario(world: World) -> None:
        await root(
            world,
            "CREATE USER locked IDENTIFIED BY 'x' ACCOUNT LOCK", "CREATE ROLE reader", "CREATE USER far@'10.%'",
            "CREATE USER gone", "DROP USER gone",
        )  # fmt: skip
        for user, password, code in (
            ("locked", "x", 3118),
            ("reader", "", 3118),
            ("far", "", 1045),
            ("gone", "", 1045),
        ):
            client = await RawClient.connect(world)
            assert error_code(await client.authenticate(user, password)) == code
            assert await client.is_closed()

    play(scenario)


def test_the_most_specific_host_counts() -> None:
    async def scenario(world: World) -> None:
        await root(world, "CREATE USER ann IDENTIFIED BY 'far'", "CREATE USER ann@localhost IDENTIFIED BY 'near'")
        client = await RawClient.connect(world)
        assert error_code(await client.authenticate("ann", "far", database="information_schema")) == 1045
        client = await RawClient.login(world, user="ann", password="near", database="information_schema")
        assert await one_value(client, "SELECT CURRENT_USER()") == "ann@localhost"

    play(scenario)


def test_the_database_asked_for_at_login_is_checked() -> None:
    async def scenario(world: World) -> None:
        await root(world, "CREATE USER ann", "CREATE DATABASE app")
        client = await RawClient.connect(world)
        assert error_code(await client.authenticate("ann", database="app")) == 1044
        assert await client.is_closed()

    play(scenario)


def test_roots_password_changes_and_a_given_one_overrides_it() -> None:
    async def scenario(world: World) -> None:
        client = await root(world, "ALTER USER CURRENT_USER() IDENTIFIED BY 'new'")
        assert (await client.query("SELECT 1"))[0] == 1
        stranger = await RawClient.connect(world)
        assert error_code(await stranger.authenticate("root")) == 1045
        assert await RawClient.login(world, user="root", password="new")

    async def overridden(world: World) -> None:
        client = await RawClient.login(world, password="given")
        assert error_code(await client.query("SET PASSWORD = 'stored'")) == 0
        assert await RawClient.login(world, password="given")

    play(scenario)
    play(overridden, ServerOptions(password="given"))


def change_user(user: str, proof: bytes, database: str, method: str = "caching_sha2_password") -> bytes:
    """COM_CHANGE_USER."""
    names = user.encode() + b"\0" + bytes((len(proof),)) + proof + database.encode() + b"\0"
    return b"\x11" + names + b"\x2d\0" + method.encode() + b"\0"


def test_change_user_begins_anew_as_somebody_else() -> None:
    async def scenario(world: World) -> None:
        client = await root(
            world, "CREATE USER ann IDENTIFIED BY 'x'", "CREATE TABLE t (id INT PRIMARY KEY)", "SET autocommit = 0",
            "GRANT SELECT ON test.t TO ann", "INSERT INTO t VALUES (1)",
        )  # fmt: skip
        answer = await client.command(change_user("ann", caching_sha2_proof("x", client.nonce), "test"))
        assert answer == b"\x01\x03"
        assert (await client.read())[0] == 0
        assert await one_value(client, "SELECT COUNT(*) FROM t") == "0"  # rolled back
        assert await one_value(client, "SELECT CURRENT_USER()") == "ann@%"
        assert error_code(await client.query("INSERT INTO t VALUES (2)")) == 1142

    play(scenario)


def test_change_user_with_a_wrong_password_ends_the_connection() -> None:
    async def scenario(world: World) -> None:
        client = await root(world, "CREATE USER ann IDENTIFIED BY 'x'")
        assert (
            error_code(await client.command(change_user("ann", caching_sha2_proof("y", client.nonce), "test"))) == 1045
        )
        assert await client.is_closed()

    play(scenario)


def test_what_is_revoked_is_gone_from_open_connections() -> None:
    async def scenario(world: World) -> None:
        admin = await root(
            world, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CREATE USER ann",
            "GRANT SELECT ON test.t TO ann",
        )  # fmt: skip
        client = await RawClient.login(world, user="ann")
        statement_id = (await client.command(b"\x16SELECT id FROM t WHERE id = 1"))[1:5]
        await client.read()
        assert await one_value(client, "SELECT id FROM t WHERE id = 1") == "1"
        assert (await admin.query("REVOKE SELECT ON test.t FROM ann"))[0] == 0
        assert error_code(await client.query("SELECT id FROM t WHERE id = 1")) == 1142
        assert error_code(await client.query("SELECT id FROM t WHERE id < 5")) == 1142
        assert error_code(await client.command(b"\x17" + statement_id + b"\0\x01\0\0\0")) == 1142
        assert error_code(await client.command(b"\x16SELECT id FROM t WHERE id = 2")) == 1142

    play(scenario)


def test_kill_is_for_ones_own() -> None:
    async def scenario(world: World) -> None:
        admin = await root(world, "CREATE USER ann", "CREATE USER bob", "GRANT USAGE ON *.* TO ann")
        ann = await RawClient.login(world, user="ann", database="information_schema")
        bob = await RawClient.login(world, user="bob", database="information_schema")
        assert error_code(await ann.query(f"KILL {bob.thread_id}")) == 1095
        assert error_code(await ann.command(b"\x0c" + bob.thread_id.to_bytes(4, "little"))) == 1095
        assert (await admin.query("GRANT CONNECTION_ADMIN ON *.* TO ann"))[0] == 0
        assert (await ann.command(b"\x0c" + bob.thread_id.to_bytes(4, "little")))[0] == 0
        assert await bob.is_closed()

    play(scenario)
