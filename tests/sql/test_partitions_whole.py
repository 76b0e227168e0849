"""Queries of partitioned tables on the real stack: one store runs all of them, over the partitions that are left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database
from rutile.session.session import Session

ROWS = 300
TABLES = {
    "by_range": "RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200),"
    " PARTITION p2 VALUES LESS THAN MAXVALUE)",
    "by_hash": "HASH (id) PARTITIONS 5",
    "by_list": "LIST (id % 3) (PARTITION x VALUES IN (0), PARTITION y VALUES IN (1, 2))",
    "plain": "",
}
QUERIES = (
    "SELECT COUNT(*), SUM(v), MIN(name), MAX(id) FROM {t}",
    "SELECT v, COUNT(*), SUM(id) FROM {t} WHERE id >= 150 GROUP BY v ORDER BY v",
    "SELECT id, name FROM {t} WHERE id IN (7, 99, 100, 250) ORDER BY id",
    "SELECT a.v, COUNT(*) FROM {t} a JOIN {t} b ON a.id = b.v WHERE a.id < 30 GROUP BY a.v ORDER BY a.v",
    "SELECT id, RANK() OVER (PARTITION BY v ORDER BY id DESC) r FROM {t} WHERE id BETWEEN 90 AND 110 ORDER BY id",
    "SELECT COUNT(*) FROM {t} WHERE id > 500",
    "SELECT COUNT(*) FROM {t} WHERE id > 5 AND id < 3",
    "SELECT p.id, x.v FROM plain p LEFT JOIN {t} x ON p.id = x.id + 100 AND x.v > 3 ORDER BY 1, 2 LIMIT 40",
)


def with_session(work: Callable[[Session], Awaitable[None]]) -> None:
    """Do the work on tables of the same rows, each partitioned in its own way."""

    async def main() -> None:
        node = await EmbeddedNode.open(None)
        database = Database(node.client)
        try:
            await database.start()
            session = await database.session("test")
            for name, partitioning in TABLES.items():
                by = f"PARTITION BY {partitioning}" if partitioning else ""
                await session.execute(f"CREATE TABLE {name} (id INT PRIMARY KEY, v INT, name VARCHAR(20)) {by}")
                values = ", ".join(f"({number}, {number % 7}, 'name {number % 11}')" for number in range(ROWS))
                await session.execute(f"INSERT INTO {name} VALUES {values}")
            await work(session)
            await session.close()
            await database.close()
        finally:
            await node.close()

    asyncio.run(main())


async def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    return (await session.execute(sql)).rows()


async def explained(session: Session, sql: str) -> str:
    return "\n".join(str(row) for row in await rows(session, f"EXPLAIN ANALYZE {sql}"))


def test_every_way_to_the_rows_gives_the_same() -> None:
    async def work(session: Session) -> None:
        for query in QUERIES:
            wanted = await rows(session, query.format(t="plain"))
            for table in TABLES:
                for mode in ("whole", "per_store", "local", "whole"):
                    await session.execute(f"SET rutile_read_mode = '{mode}'")
                    assert await rows(session, query.format(t=table)) == wanted, (query, table, mode)
                await session.execute("SET rutile_read_mode = 'auto'")

    with_session(work)


def test_changes_are_seen_beside_the_mirror() -> None:
    async def work(session: Session) -> None:
        await session.execute("SET rutile_read_mode = 'whole'")
        for table in TABLES:
            await rows(session, f"SELECT SUM(v) FROM {table}")
            await session.execute(f"UPDATE {table} SET v = 1000 WHERE id IN (50, 150)")
            await session.execute(f"DELETE FROM {table} WHERE id = 299")
            await session.execute(f"INSERT INTO {table} VALUES (400, 5, 'new')")
        for query in QUERIES:
            wanted = await rows(session, query.format(t="plain"))
            for table in TABLES:
                assert await rows(session, query.format(t=table)) == wanted, (query, table)

    with_session(work)


@pytest.mark.parametrize(
    ("table", "condition", "partitions", "count"),
    [
        ("by_range", "v >= 0", "all", 300),
        ("by_range", "v >= 0 AND id < 100", "p0", 100),
        ("by_range", "v >= 0 AND id BETWEEN 120 AND 130", "p1", 11),
        ("by_hash", "v >= 0 AND id IN (3, 8)", "p3", 2),
    ],
)
def test_partitions_that_are_left_out_are_not_read(table: str, condition: str, partitions: str, count: int) -> None:
    async def work(session: Session) -> None:
        await session.execute("SET rutile_read_mode = 'whole'")
        shown = await explained(session, f"SELECT COUNT(*), MAX(name) FROM {table} WHERE {condition}")
        assert "whole: the query runs in one store" in shown
        assert f"table:{table}, partition:{partitions}" in shown
        assert f"rows read:{count}," in shown

    with_session(work)
