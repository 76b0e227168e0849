"""Prompt answers: the same bytes as the ordinary way's, and the ordinary way wherever something is not settled."""

from __future__ import annotations

import asyncio
import random
import string
from datetime import timedelta

import pytest
from mysql_world import RawClient, World, error_code, play

from rutile.mysql.connection import ServerOptions
from rutile.mysql.constants import Capability, FieldType
from rutile.mysql.wire import lenenc_bytes
from rutile.parse.skeleton import skeleton_of

TYPES = {
    "INT": lambda r: str(r.randint(-(2**31), 2**31 - 1)),
    "BIGINT UNSIGNED": lambda r: str(r.randint(0, 2**64 - 1)),
    "TINYINT": lambda r: str(r.randint(-128, 127)),
    "DECIMAL(12, 3)": lambda r: f"{r.randint(-(10**9), 10**9)}.{r.randint(0, 999):03}",
    "DOUBLE": lambda r: repr(r.uniform(-1e9, 1e9)),
    "FLOAT": lambda r: str(r.randint(-1000, 1000) / 8),
    "CHAR(20)": lambda r: _quoted(r, 20),
    "VARCHAR(300)": lambda r: _quoted(r, 300),
    "TEXT": lambda r: _quoted(r, 900),
    "VARBINARY(40)": lambda r: f"x'{r.randbytes(r.randint(0, 40)).hex()}'",
    "DATE": lambda r: f"'{r.randint(1901, 2155)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}'",
    "DATETIME(6)": lambda r: f"'2024-02-29 {r.randint(0, 23)}:00:01.{r.randint(0, 999999):06}'",
    "TIMESTAMP": lambda r: f"'2024-02-29 {r.randint(0, 23)}:00:01'",
    "TIME(3)": lambda r: f"'{r.randint(-99, 99)}:10:11.{r.randint(0, 999):03}'",
    "YEAR": lambda r: str(r.randint(1901, 2155)),
    "JSON": lambda r: f"'[{r.randint(0, 99)}]'",
}  # fmt: skip


def _quoted(r: random.Random, most: int) -> str:
    return "'" + "".join(r.choices(string.ascii_letters + "äß😀 ", k=r.randint(0, most))) + "'"


async def answer(client: RawClient, packet: bytes) -> list[tuple[int, bytes]]:
    """Every packet of a result set or other answer, with the number after it."""
    packets = [(await client.command(packet), client.sequence)]
    packets = [(client.sequence, packets[0][0])]
    if packets[0][1][0] in (0x00, 0xFF):
        return packets
    ends = 0
    while ends < (1 if client.has_no_eof else 2):  # type: ignore[attr-defined]
        payload = await client.read()
        packets.append((client.sequence, payload))
        ends += payload[0] == 0xFE and len(payload) < 9
    return packets


async def login(world: World, *, has_no_eof: bool = True) -> RawClient:
    client = await RawClient.login(world, without=0 if has_no_eof else int(Capability.DEPRECATE_EOF))
    client.has_no_eof = has_no_eof  # type: ignore[attr-defined]
    return client


def prompt(world: World, *, on: bool) -> None:
    world.database.client.prompt = on  # type: ignore[attr-defined]


def answers(world: World) -> int:
    """Prompt ones, of all sessions."""
    return sum(session.prompt.answers for session in world.database.sessions.values())


async def compare(world: World, client: RawClient, packet: bytes, *, expect_prompt: bool | None = True) -> None:
    """The ordinary answer (which makes the plan), and the prompt one."""
    prompt(world, on=False)
    ordinary = await answer(client, packet)
    prompt(world, on=True)
    before = answers(world)
    assert await answer(client, packet) == ordinary, packet
    if expect_prompt is not None:
        assert (answers(world) > before) == expect_prompt, packet


async def prepare(client: RawClient, sql: str, columns: int, parameters: int) -> int:
    prepared = await client.command(b"\x16" + sql.encode())
    assert prepared[0] == 0, prepared
    eof = 0 if client.has_no_eof else 1  # type: ignore[attr-defined]
    for _ in range(parameters + columns + eof * (bool(parameters) + bool(columns))):
        await client.read()
    return int.from_bytes(prepared[1:5], "little")


def execute(statement: int, *values: int | str) -> bytes:
    kinds = b"".join(
        bytes((FieldType.LONGLONG if isinstance(value, int) else FieldType.VAR_STRING, 0)) for value in values
    )
    body = b"".join(
        value.to_bytes(8, "little", signed=True) if isinstance(value, int) else lenenc_bytes(value.encode())
        for value in values
    )
    nulls = bytes((len(values) + 7) // 8)
    return b"\x17" + statement.to_bytes(4, "little") + b"\0\1\0\0\0" + nulls + b"\1" + kinds + body


@pytest.mark.parametrize("has_no_eof", [True, False])
def test_every_type_in_both_protocols(has_no_eof: bool) -> None:
    async def scenario(world: World) -> None:
        r = random.Random(7)
        client = await login(world, has_no_eof=has_no_eof)
        names = [f"c{at}" for at in range(len(TYPES))]
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, TYPES, strict=True))
        assert (await client.query(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})"))[0] == 0
        for number in range(30):
            values = ["NULL" if r.random() < 0.2 else make(r) for make in TYPES.values()]
            insert = await client.query(f"INSERT INTO t VALUES ({number}, {', '.join(values)})")
            assert insert[0] == 0, insert
        wanted = ", ".join(names)
        statement = await prepare(client, f"SELECT {wanted} FROM t WHERE id = ?", len(names), 1)
        for number in range(32):  # two that are not there
            await compare(world, client, f"\x03SELECT {wanted} FROM t WHERE id = {number}".encode())
            await compare(world, client, execute(statement, number))

    play(scenario)


def test_keys_of_several_kinds() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        for sql in (
            "CREATE TABLE s (k VARCHAR(20) PRIMARY KEY, v INT)", "INSERT INTO s VALUES ('a', 1), ('it''s', 2), ('', 3)",
            "CREATE TABLE p (a INT, b CHAR(5), v INT, PRIMARY KEY (a, b))", "INSERT INTO p VALUES (1, 'x', 7)",
            "CREATE TABLE d (k DATE PRIMARY KEY, v INT)", "INSERT INTO d VALUES ('2024-02-29', 5)",
        ):  # fmt: skip
            assert (await client.query(sql))[0] == 0, sql
        by_text = await prepare(client, "SELECT v FROM s WHERE k = ?", 1, 1)
        by_two = await prepare(client, "SELECT v, a, b AS bb FROM p WHERE b = ? AND a = ?", 3, 2)
        by_day = await prepare(client, "SELECT v FROM d WHERE ? = k", 1, 1)
        for value in ("a", "it's", "", "none"):
            await compare(world, client, execute(by_text, value))
        await compare(world, client, execute(by_two, "x", 1))
        await compare(world, client, execute(by_two, "x", 2))
        await compare(world, client, execute(by_day, "2024-02-29"))
        await compare(world, client, execute(by_text, 1), expect_prompt=False)  # a number is no value of the key
        await compare(world, client, execute(by_two, "x", 1 << 40), expect_prompt=False)  # nor what no INT can be

    play(scenario)


def test_what_is_more_than_plain_goes_the_ordinary_way() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY, v INT, u INT UNIQUE)")
        await client.query("INSERT INTO t VALUES (1, 2, 3)")
        for sql in (
            "SELECT v + 1 FROM t WHERE id = 1", "SELECT v FROM t WHERE id = 1 LIMIT 1",
            "SELECT v FROM t WHERE id = 1 AND v = 2", "SELECT v FROM t WHERE id IN (1)", "SELECT v FROM t WHERE u = 3",
            "SELECT v FROM t WHERE id = -1", "SELECT v FROM t WHERE id = 1.0", "SELECT v FROM t WHERE id = '1'",
            "SELECT v FROM t WHERE id = 1 FOR UPDATE", "SELECT v FROM nowhere WHERE id = 1", "SELECT 1",
            "SELECT v FROM t WHERE id = 1e0", "SELECT v AS `a 1` FROM t WHERE id = 1", "SELECT w FROM t WHERE id = 1",
        ):  # fmt: skip
            await compare(world, client, b"\x03" + sql.encode(), expect_prompt=False)
        for sql in ("SELECT *FROM t WHERE id=1", "select id, `v`, v x from test.t as y where (y.id = 1)"):
            await compare(world, client, b"\x03" + sql.encode(), expect_prompt=None)
        await compare(world, client, b"\x03 SELECT v FROM t WHERE id=1")

    play(scenario)


def test_transactions_see_their_own_writes_and_their_own_moment() -> None:
    async def scenario(world: World) -> None:
        client, other = await login(world), await login(world)
        for sql in ("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)"):
            assert (await client.query(sql))[0] == 0
        select = [f"\x03SELECT v FROM t WHERE id = {number}".encode() for number in (1, 2, 3)]
        for packet in select:
            await compare(world, client, packet)
        for begin in ("BEGIN", "BEGIN OPTIMISTIC", "SET autocommit = 0"):
            await client.query(begin)
            if begin.startswith("SET"):
                await client.query("UPDATE t SET v = v WHERE id = 3")
            await compare(world, client, select[0])
            await client.query("UPDATE t SET v = v + 1 WHERE id = 1")
            await client.query("DELETE FROM t WHERE id = 2")
            await other.query("UPDATE t SET v = v + 100 WHERE id = 3")
            for packet in select:
                await compare(world, client, packet)
            await client.query("ROLLBACK")
            await client.query("SET autocommit = 1")
            for packet in select:
                await compare(world, client, packet)
        await client.query("SET transaction_isolation = 'READ-COMMITTED'")
        await client.query("BEGIN")
        await compare(world, client, select[2], expect_prompt=False)

    play(scenario)


def test_a_changed_definition_database_or_privilege_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        for sql in (
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 10)", "CREATE DATABASE other",
            "CREATE TABLE other.t (id INT PRIMARY KEY, v VARCHAR(5))", "INSERT INTO other.t VALUES (1, 'x')",
            "CREATE USER u IDENTIFIED WITH caching_sha2_password BY ''", "GRANT SELECT ON test.t TO u",
        ):  # fmt: skip
            assert (await client.query(sql))[0] == 0, sql
        statement, text = await prepare(client, "SELECT v FROM t WHERE id = ?", 1, 1), b"\x03SELECT v FROM t WHERE id=1"
        for change in (None, "USE other", "ALTER TABLE t ADD COLUMN w INT", "USE test", "ALTER TABLE t DROP COLUMN v"):
            if change is not None:
                assert error_code(await client.query(change)) == 0, change
            expected = None if change is None or "DROP" not in change else False
            await compare(world, client, text, expect_prompt=expected)
            await compare(world, client, execute(statement, 1), expect_prompt=expected)
        guest = await RawClient.login(world, user="u")
        guest.has_no_eof = True  # type: ignore[attr-defined]
        select = b"\x03SELECT id FROM t WHERE id=1"
        await compare(world, guest, select)
        await client.query("REVOKE SELECT ON test.t FROM u")
        prompt(world, on=True)
        assert error_code((await answer(guest, select))[0][1]) == 1142

    play(scenario)


def test_a_client_heard_of_promptly_is_not_silent() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY)")
        await client.query("SET wait_timeout = 1")
        packet = b"\x03SELECT id FROM t WHERE id=1"
        await compare(world, client, packet)
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + timedelta(seconds=1.5).total_seconds():
            assert len(await answer(client, packet)) == 3
            await asyncio.sleep(0.05)
        assert await client.is_closed()  # silent now

    play(scenario, ServerOptions())


def test_pieces_and_pairs_of_packets_are_answered_too() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY)")
        packet = b"\x03SELECT id FROM t WHERE id=1"
        await compare(world, client, packet)
        framed = len(packet).to_bytes(3, "little") + b"\0" + packet
        for at in range(1, len(framed), 5):
            client.writer.write(framed[:at])
            await asyncio.sleep(0.001)
            client.writer.write(framed[at:])
            assert [(await client.read())[0] for _ in range(3)] == [1, 3, 0xFE]
        client.writer.write(framed * 3)
        assert [(await client.read())[0] for _ in range(9)] == [1, 3, 0xFE] * 3

    play(scenario)


def test_what_is_noted_of_a_statement_is_noted_of_these_too() -> None:
    async def scenario(world: World) -> None:
        client = await login(world)
        await client.query("CREATE TABLE t (id INT PRIMARY KEY)")
        packet = b"\x03SELECT id FROM t WHERE id=1"
        for _ in range(3):
            await compare(world, client, packet)
        counts = {
            shape: summary.count for (_, shape, _), summary in world.database.history.windows[-1].summaries.items()
        }
        assert counts["SELECT id FROM t WHERE id=?"] == 6

    play(scenario)


def test_skeletons() -> None:
    assert skeleton_of("SELECT c FROM t1 WHERE id=12 AND b IN(3,44)") == (
        "SELECT c FROM t1 WHERE id=? AND b IN(?,?)", (12, 3, 44)
    )  # fmt: skip
    for sql in (
        "SELECT 'x'",
        "SELECT 1;",
        "UPDATE t SET a=1",
        "SELECT a-- 1",
        "SELECT ?",
        "SELECT @a1",
        "SELECT 1 # 2",
    ):
        assert skeleton_of(sql) is None
    assert skeleton_of("SELECT 1.5, .5, 1e5, t1.c2, 0x10, a$1") == ("SELECT 1.5, .5, 1e5, t1.c2, 0x10, a$1", ())
