"""Server-side cursors: EXECUTE opens one, FETCH takes rows from it, and nothing of it is left behind."""

from __future__ import annotations

import asyncio

import pytest
from mysql_world import RawClient, World, error_code, play

from rutile.mysql.constants import Capability, Status
from rutile.mysql.cursors import MAX_CURSORS
from rutile.mysql.wire import FieldReader

ROWS = 25
CURSOR, NO_CURSOR = 1, 0
UNTIL_HERE = Status.CURSOR_EXISTS | Status.LAST_ROW_SENT


async def client_with_rows(world: World, without: int = 0) -> RawClient:
    client = await RawClient.login(world, without=without)
    assert (await client.query("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))"))[0] == 0
    values = ", ".join(f"({number}, 'v{number}')" for number in range(ROWS))
    assert (await client.query(f"INSERT INTO t VALUES {values}"))[0] == 0
    return client


async def prepare(client: RawClient, sql: str, *, with_eof: bool = False) -> int:
    """The id of a statement without parameters."""
    reader = FieldReader(await client.command(b"\x16" + sql.encode()))
    assert reader.number(1) == 0
    statement_id, columns = reader.number(4), reader.number(2)
    for _ in range(columns + (with_eof and columns > 0)):
        await client.read()
    return statement_id


async def execute(client: RawClient, statement_id: int, flags: int = CURSOR) -> Status:
    """The status at the end of the definitions; an AssertionError with the error where there is one."""
    command = b"\x17" + statement_id.to_bytes(4, "little") + bytes((flags,)) + (1).to_bytes(4, "little")
    first = await client.command(command)
    assert not error_code(first), first
    for _ in range(first[0]):
        await client.read()
    return status_of_end(await client.read(), client)


def status_of_end(payload: bytes, client: RawClient) -> Status:
    """Of an OK that begins as EOF, or of an EOF."""
    reader = FieldReader(payload)
    assert reader.number(1) == 0xFE
    if len(payload) == 5:
        reader.number(2)
        return Status(reader.number(2))
    reader.lenenc_number()
    reader.lenenc_number()
    return Status(reader.number(2))


async def fetch(client: RawClient, statement_id: int, count: int) -> tuple[list[int], Status]:
    """The first columns, which are INTs, and the status at the end."""
    payload = await client.command(b"\x1c" + statement_id.to_bytes(4, "little") + count.to_bytes(4, "little"))
    ids = []
    while payload[0] == 0:
        ids.append(int.from_bytes(payload[2:6], "little"))
        payload = await client.read()
    assert not error_code(payload), payload
    return ids, status_of_end(payload, client) & UNTIL_HERE


@pytest.mark.parametrize("sql", ["SELECT id, v FROM t", "SELECT id, v FROM t ORDER BY id"])
@pytest.mark.parametrize("without", [0, Capability.DEPRECATE_EOF])
def test_rows_come_as_they_are_fetched(sql: str, without: int) -> None:
    async def scenario(world: World) -> None:
        client = await client_with_rows(world, without)
        statement = await prepare(client, sql, with_eof=bool(without))
        assert Status.CURSOR_EXISTS in await execute(client, statement)
        ids, status = await fetch(client, statement, 10)
        assert (ids, status) == (list(range(10)), Status.CURSOR_EXISTS)
        ids, status = await fetch(client, statement, 15)
        assert (ids, status) == (list(range(10, ROWS)), Status.CURSOR_EXISTS)  # whether there are more is not known yet
        assert await fetch(client, statement, 1) == ([], Status.LAST_ROW_SENT)
        payload = await client.command(b"\x1c" + statement.to_bytes(4, "little") + b"\1\0\0\0")
        assert error_code(payload) == 1421
        await client.close()

    play(scenario)


def test_a_cursor_keeps_its_rows_while_others_change() -> None:
    async def scenario(world: World) -> None:
        client = await client_with_rows(world)
        statement = await prepare(client, "SELECT id, v FROM t")
        await execute(client, statement)
        assert (await client.query("DELETE FROM t"))[0] == 0
        other = await prepare(client, "SELECT COUNT(*) FROM t")
        await execute(client, other)
        assert (await fetch(client, statement, 100))[0] == list(range(ROWS))
        await client.close()

    play(scenario)


def test_a_statement_without_rows_opens_none() -> None:
    async def scenario(world: World) -> None:
        client = await client_with_rows(world)
        statement = await prepare(client, "UPDATE t SET v = 'x' WHERE id < 3")
        answer = await client.command(b"\x17" + statement.to_bytes(4, "little") + b"\1\1\0\0\0")
        assert answer[:2] == b"\0\3"
        assert error_code(await client.command(b"\x1c" + statement.to_bytes(4, "little") + b"\1\0\0\0")) == 1421
        await client.close()

    play(scenario)


def test_what_ends_a_cursor() -> None:
    """RESET, EXECUTE again without one, CLOSE; RESET CONNECTION forgets the statement too."""

    async def scenario(world: World) -> None:
        client = await client_with_rows(world)
        statement = await prepare(client, "SELECT id, v FROM t")
        number = statement.to_bytes(4, "little")
        await execute(client, statement)
        assert (await client.command(b"\x1a" + number))[0] == 0
        assert error_code(await client.command(b"\x1c" + number + b"\1\0\0\0")) == 1421
        await execute(client, statement)
        first = await client.command(b"\x17" + number + b"\0\1\0\0\0")
        for _ in range(first[0] + ROWS + 1):
            await client.read()
        assert error_code(await client.command(b"\x1c" + number + b"\1\0\0\0")) == 1421
        await execute(client, statement)
        assert (await client.command(b"\x1f"))[0] == 0
        assert error_code(await client.command(b"\x1c" + number + b"\1\0\0\0")) == 1243
        await client.close()

    play(scenario)


def test_there_are_so_many_and_no_more() -> None:
    async def scenario(world: World) -> None:
        client = await client_with_rows(world)
        statements = [await prepare(client, "SELECT id, v FROM t") for _ in range(MAX_CURSORS + 1)]
        for statement in statements[:-1]:
            await execute(client, statement)
        last = statements[-1].to_bytes(4, "little")
        assert error_code(await client.command(b"\x17" + last + b"\1\1\0\0\0")) == 1041
        client.sequence = 0
        client.send(b"\x19" + statements[0].to_bytes(4, "little"))
        assert Status.CURSOR_EXISTS in await execute(client, statements[-1])
        await client.close()

    play(scenario)


def test_clients_at_once_fetch_their_own() -> None:
    async def scenario(world: World) -> None:
        first = await client_with_rows(world)
        second = await RawClient.login(world)
        ids = [await prepare(client, "SELECT id, v FROM t ORDER BY id") for client in (first, second)]
        await asyncio.gather(execute(first, ids[0]), execute(second, ids[1]))
        for start in range(0, 20, 5):
            found = await asyncio.gather(fetch(first, ids[0], 5), fetch(second, ids[1], 5))
            assert [rows for rows, _ in found] == [list(range(start, start + 5))] * 2
        await first.close()
        await second.close()

    play(scenario)
