"""What PREPARE tells before a statement has run: libmysql and libmariadb lose step when the counts are wrong."""

from __future__ import annotations

import pytest
from mysql_world import CAPABILITIES, RawClient, World, error_code, play

from rutile.mysql.constants import Capability
from rutile.mysql.wire import FieldReader

STATEMENTS = [
    ("SELECT * FROM t", ["id", "v", "d"], 0),
    ("SELECT v AS a, t.id, COUNT(*) n FROM t WHERE id > ? GROUP BY v, t.id LIMIT ?", ["a", "id", "n"], 2),
    ("SELECT a.*, b.v FROM t a JOIN t b ON a.id = b.id WHERE b.d = ?", ["id", "v", "d", "v"], 1),
    ("SELECT id FROM t UNION ALL SELECT ?", ["id"], 1),
    ("WITH w AS (SELECT id + ? AS x FROM t) SELECT x, (SELECT MAX(id) FROM t) m FROM w", ["x", "m"], 1),
    ("SELECT x.k FROM (SELECT id AS k FROM t) x WHERE x.k IN (?, ?, ?)", ["k"], 3),
    ("SELECT 1, ? + 1, @@version, NOW()", ["1", "? + 1", "@@version", "NOW()"], 1),
    ("SELECT table_name FROM information_schema.tables WHERE table_schema = ?", ["table_name"], 1),
    ("SHOW TABLES", ["Tables_in_test"], 0),
    ("SHOW COLUMNS FROM t LIKE 'i%'", ["Field", "Type", "Null", "Key", "Default", "Extra"], 0),
    ("INSERT INTO t VALUES (?, ?, ?)", [], 3),
    ("UPDATE t SET v = ? WHERE id = ?", [], 2),
    ("DELETE FROM t WHERE id = ?", [], 1),
    ("COMMIT", [], 0),
]
REFUSED = [
    ("SELECT * FROM nowhere", 1146),
    ("SELECT nothing FROM t", 1054),
    ("SELEC ?", 1064),
    ("", 1065),
    ("EXPLAIN SELECT 1", 1295),
    ("PREPARE x FROM 'SELECT 1'", 1295),
]


def name_of(definition: bytes) -> str:
    reader = FieldReader(definition)
    for _ in range(4):
        reader.lenenc_bytes()
    return reader.lenenc_bytes().decode()


async def client_with_table(world: World) -> RawClient:
    client = await RawClient.login(world)
    assert (await client.query("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), d DECIMAL(10, 2))"))[0] == 0
    return client


def test_the_counts_and_names_are_told() -> None:
    async def scenario(world: World) -> None:
        assert Capability.DEPRECATE_EOF in CAPABILITIES  # so there is nothing after the definitions
        client = await client_with_table(world)
        for sql, names, parameters in STATEMENTS:
            answer = FieldReader(await client.command(b"\x16" + sql.encode()))
            assert answer.number(1) == 0, sql
            answer.number(4)
            assert (answer.number(2), answer.number(2)) == (len(names), parameters), sql
            for _ in range(parameters):
                await client.read()
            assert [name_of(await client.read()) for _ in names] == names
            assert (await client.command(b"\x0e"))[0] == 0
        await client.close()

    play(scenario)


@pytest.mark.parametrize(("sql", "code"), REFUSED)
def test_what_cannot_be_prepared_is_told_at_once(sql: str, code: int) -> None:
    async def scenario(world: World) -> None:
        client = await client_with_table(world)
        assert error_code(await client.command(b"\x16" + sql.encode())) == code
        await client.close()

    play(scenario)


def test_preparing_runs_nothing() -> None:
    async def scenario(world: World) -> None:
        client = await client_with_table(world)
        for sql in ("INSERT INTO t VALUES (1, 'a', 1)", "DROP TABLE t", "SET autocommit = 0"):
            assert (await client.command(b"\x16" + sql.encode()))[0] == 0
        assert (await client.command(b"\x0e"))[3] == 2  # autocommit, no transaction
        assert await client.query("SELECT COUNT(*) FROM t") == b"\x01"
        await client.read()
        assert await client.read() == b"\x010"
        await client.close()

    play(scenario)


def test_a_statement_outlives_a_change_of_its_table() -> None:
    async def scenario(world: World) -> None:
        client = await client_with_table(world)
        statement_id = (await client.command(b"\x16SELECT * FROM t WHERE id = 1"))[1:5]
        for _ in range(3):
            await client.read()
        execute = b"\x17" + statement_id + b"\0\x01\0\0\0"
        await client.query("DROP TABLE t")
        assert error_code(await client.command(execute)) == 1146
        await client.query("CREATE TABLE t (id INT PRIMARY KEY, other INT)")
        await client.query("INSERT INTO t VALUES (1, 7)")
        assert await client.command(execute) == b"\x02"
        assert [name_of(await client.read()) for _ in range(2)] == ["id", "other"]
        assert await client.read() == b"\0\0" + (1).to_bytes(4, "little") + (7).to_bytes(4, "little")
        await client.close()

    play(scenario)
