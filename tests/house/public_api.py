"""A program over the public API, for mypy: what it says of a type is what a user's editor knows. It is not run."""

from __future__ import annotations

import asyncio
from typing import assert_type

import pandas
import polars
import pyarrow as pa

import rutile
import rutile.aio
import rutile.kv
from rutile.dbapi import BatchStream, QueryResult


def statements(connection: rutile.Connection) -> int:
    """PEP 249, and what Rutile adds to it."""
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, None)])
        assert_type(cursor.rowcount, int)
        assert_type(cursor.lastrowid, int | None)
        for description in cursor.execute("SELECT * FROM t WHERE id > ?", (0,)).description or []:
            assert_type(description[0], str)
        name, kind = cursor.fetchone() or (None, None)
        print(name, kind, [len(row) for row in cursor.fetchmany(2)], cursor.arrow().num_rows)
    return connection.execute("DELETE FROM t").rowcount


def results(connection: rutile.Connection) -> pa.Table:
    """Results that go to other libraries."""
    result = connection.sql("SELECT id FROM t", ())
    assert_type(result, QueryResult)
    assert_type(result.columns, list[str])
    frame: pandas.DataFrame = result.df()
    other: polars.DataFrame = result.pl()
    print(len(frame), other.height, len(result), connection.table("t").count())
    with connection.stream("SELECT id FROM t") as batches:
        assert_type(batches, BatchStream)
        print(sum(batch.num_rows for batch in batches))
    return result.arrow()


def transactions(connection: rutile.Connection) -> None:
    """Blocks, and what a lost conflict tells."""
    try:
        with connection.transaction(read_only=True) as same:
            assert_type(same, rutile.Connection)
        with connection.transaction():
            assert_type(connection.insert_arrow("t", pa.table({"id": [1]}), mode="append", primary_key=["id"]), int)
    except rutile.OperationalError as error:
        assert_type(error.code, int)
        assert_type(error.retryable, bool)
    connection.begin(read_only=False)
    connection.rollback()


async def awaited() -> None:
    """The same with await."""
    async with rutile.aio.connect(None, database="test") as connection:
        cursor = await connection.execute("SELECT 1")
        async for row in cursor:
            print(row[0])
        async with await connection.stream("SELECT id FROM t") as batches:
            print([batch.num_rows async for batch in batches])
        async with connection.transaction():
            await connection.executemany("INSERT INTO t VALUES (?)", [(1,)])
        print((await connection.sql("SELECT 1")).arrow().num_rows, cursor.rowcount)


def keys_and_values() -> None:
    """Without SQL."""
    with rutile.kv.connect() as client:
        with client.begin() as txn:
            txn[b"k"] = b"v"
        assert_type(client.snapshot().get(b"k"), bytes | None)
        assert_type(client.snapshot().scan(b"a", b"z"), list[tuple[bytes, bytes]])
        client.raw.put(b"raw", b"1", ttl_s=60)
        assert_type(client.run(lambda txn: int(txn[b"k"])), int)


def main() -> None:
    """All of it."""
    with rutile.connect("a/directory", database="test", autocommit=False) as connection:
        print(statements(connection), results(connection))
        transactions(connection)
    asyncio.run(awaited())
    keys_and_values()
