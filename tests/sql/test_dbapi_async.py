"""rutile.aio: the same API with await."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

import rutile
import rutile.aio

ENDLESS = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT MAX(i) FROM n"


async def tour(target: Path) -> None:
    connection = await rutile.aio.connect(target)
    await connection.execute("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20))")
    cursor = await connection.executemany("INSERT INTO t VALUES (?, ?)", ((i, f"n{i}") for i in range(1, 31)))
    assert (cursor.rowcount, cursor.description) == (30, None)
    more = pa.table({"id": list(range(31, 2501)), "name": [f"n{i}" for i in range(31, 2501)]})
    assert await connection.insert_arrow("t", more) == 2470
    cursor = await connection.execute("SELECT id, name FROM t ORDER BY id")
    assert [column[0] for column in cursor.description or []] == ["id", "name"]
    assert await cursor.fetchone() == (1, "n1") and await cursor.fetchmany(2) == [(2, "n2"), (3, "n3")]
    assert [row[0] async for row in cursor] == list(range(4, 2501))
    assert await cursor.fetchall() == [] and (await cursor.arrow()).num_rows == 2500
    result = await connection.sql("SELECT COUNT(*) AS n FROM t WHERE id > ?", (10,))
    assert result.fetchone() == (2490,) and "│ 2490 │" in repr(result)
    assert await connection.insert_arrow("t", pa.table({"id": [9000], "name": ["x"]})) == 1
    async with connection.cursor() as other:
        other.arraysize = 2
        await other.execute("DROP TABLE IF EXISTS nothing")
        assert len(await other.messages()) == 1 and other.lastrowid is None
    with pytest.raises(rutile.InterfaceError):
        await other.execute("SELECT 1")
    await connection.close()
    await connection.close()
    with pytest.raises(rutile.InterfaceError):
        await connection.sql("SELECT 1")


def test_statements_and_results(tmp_path: Path) -> None:
    asyncio.run(tour(tmp_path))


async def transactions() -> None:
    async with rutile.aio.connect() as connection:
        await connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        async with connection.transaction() as same:
            assert same is connection and connection.in_transaction
            await connection.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO t VALUES (2)")
                    raise ZeroDivisionError
        other = await connection.duplicate()
        async with other:
            assert await (await other.execute("SELECT id FROM t")).fetchall() == [(1,)]
            other.autocommit = False
            await other.execute("INSERT INTO t VALUES (3)")
            await other.rollback()
            await other.begin()
            await other.execute("INSERT INTO t VALUES (4)")
            await other.commit()
        assert (await connection.sql("SELECT id FROM t ORDER BY id")).fetchall() == [(1,), (4,)]


def test_transactions() -> None:
    asyncio.run(transactions())


async def cancellation() -> None:
    async with rutile.aio.connect() as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connection.execute(ENDLESS)
        assert (await connection.sql("SELECT 1")).fetchone() == (1,)


def test_a_timeout_stops_the_statement_and_not_the_connection() -> None:
    asyncio.run(cancellation())


async def failures(target: Path) -> None:
    with pytest.raises(rutile.OperationalError, match="playground"):
        await rutile.aio.connect("127.0.0.1:1")
    with pytest.raises(ZeroDivisionError):
        async with rutile.aio.connect(target) as connection:
            await connection.execute("CREATE TABLE t (id INT PRIMARY KEY)")
            await connection.begin()
            await connection.execute("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError
    assert connection.is_closed
    async with rutile.aio.connect(target) as connection:
        assert (await connection.sql("SELECT * FROM t")).fetchall() == []
        with pytest.raises(rutile.ProgrammingError):
            await connection.execute("SELEC")


def test_failures_and_no_threads_left(tmp_path: Path) -> None:
    asyncio.run(failures(tmp_path))
    deadline = time.monotonic() + 20
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith("rutile")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
