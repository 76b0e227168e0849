"""What clients are told of result columns: where they come from, and the flags that only a table knows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from mysql_world import RawClient, World, play

from rutile.mysql.constants import ColumnFlag
from rutile.mysql.wire import FieldReader
from rutile.rows.origins import Trait

TABLE = (
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a BIGINT UNSIGNED NOT NULL, b VARCHAR(10) NOT NULL DEFAULT 'x',"
    " r INT NOT NULL, s SMALLINT, u INT, v VARCHAR(20), d DECIMAL(10, 3), tx TEXT, h DATETIME(3),"
    " m TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,"
    " UNIQUE KEY (a), KEY (r, s), UNIQUE KEY uv (u, v), KEY kv (v))"
)
N, B = ColumnFlag.NUMBER, ColumnFlag.BINARY
PART = Trait.PART_OF_KEY
FLAGS = {
    "id": N | Trait.NOT_NULL | Trait.PRIMARY_KEY | Trait.AUTO_INCREMENT | PART,
    "a": N | ColumnFlag.UNSIGNED | Trait.NOT_NULL | Trait.UNIQUE_KEY | Trait.NO_DEFAULT | PART,
    "b": Trait.NOT_NULL,
    "r": N | Trait.NOT_NULL | Trait.MULTIPLE_KEY | Trait.NO_DEFAULT | PART,
    "s": N | PART,
    "u": N | Trait.MULTIPLE_KEY | PART,
    "v": Trait.MULTIPLE_KEY | PART,
    "d": N,
    "tx": ColumnFlag.BLOB,
    "h": B,
    "m": B | Trait.ON_UPDATE,
}
"""As MariaDB tells them (SHOW ... with --column-type-info), NUM apart, which clients add, and BINARY of texts."""


@dataclass
class Told:
    schema: str
    table: str
    org_table: str
    name: str
    org_name: str
    charset: int
    length: int
    kind: int
    flags: int
    decimals: int


def read(definition: bytes) -> Told:
    reader = FieldReader(definition)
    assert reader.lenenc_bytes() == b"def"
    texts = [reader.lenenc_bytes().decode() for _ in range(5)]
    assert reader.number(1) == 12
    numbers = [reader.number(size) for size in (2, 4, 1, 2, 1)]
    return Told(*texts, *numbers)  # type: ignore[arg-type]


async def told(client: RawClient, sql: str) -> list[Told]:
    count = (await client.query(sql))[0]
    assert count not in (0x00, 0xFF), sql
    found = [read(await client.read()) for _ in range(count)]
    while (await client.read())[0] != 0xFE:
        pass
    return found


@pytest.mark.parametrize(
    "where", ["WHERE id = 1", "WHERE x.id BETWEEN 1 AND 2", "WHERE 1 = 1", "WHERE id > 0 ORDER BY d + 1 LIMIT 3"]
)
def test_the_same_is_told_by_every_way(where: str) -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        assert (await client.query(TABLE))[0] == 0
        assert (await client.query("INSERT INTO t (a, r) VALUES (1, 2)"))[0] == 0
        columns = await told(client, f"SELECT {', '.join(FLAGS)}, id AS other FROM t x {where}")
        for column, (name, flags) in zip(columns, FLAGS.items(), strict=False):
            assert (column.schema, column.table, column.org_table) == ("test", "x", "t")
            assert (column.name, column.org_name) == (name, name)
            assert column.flags == int(flags), name
        assert (columns[-1].name, columns[-1].org_name, columns[-1].flags) == ("other", "id", int(FLAGS["id"]))
        assert {column.name: column.length for column in columns}["tx"] == 65535 * 4

    play(scenario)


def test_prepare_tells_it_and_expressions_come_from_nowhere() -> None:
    async def scenario(world: World) -> None:
        client = await RawClient.login(world)
        await client.query(TABLE)
        assert (await client.command(b"\x16SELECT id, a + 1 AS n FROM t WHERE r > 5"))[0] == 0
        first, second = [read(await client.read()) for _ in range(2)]
        assert (first.schema, first.org_table, first.flags) == ("test", "t", int(FLAGS["id"]))
        assert (second.schema, second.table, second.org_name, second.name) == ("", "", "", "n")
        joined = await told(client, "SELECT x.id, y.v FROM t x JOIN t y ON x.id = y.id")
        assert [(each.table, each.org_name) for each in joined] == [("x", "id"), ("y", "v")]
        for sql in ("SELECT COUNT(*) FROM t", "SELECT 1", "SHOW TABLES", "SELECT id FROM t UNION SELECT 2"):
            assert [each.table for each in await told(client, sql)] == [""], sql

    play(scenario)
