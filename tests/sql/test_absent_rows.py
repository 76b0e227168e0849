"""Pessimistic transactions that change rows which are not there, and INSERTs that are large."""

import asyncio

import pytest
from fake_client import FakeClient
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.session import shaped


def test_a_delete_locks_the_key_it_named_though_there_was_no_row() -> None:
    """Two clients that each delete and insert the same row: the second waits, then meets the first one's row."""

    async def main() -> None:
        database = make_database(FakeClient())
        await database.start()
        first, second = await database.session("test"), await database.session("test")
        await first.execute("CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT)")
        for where in ("id = 5", "u = 50"):
            await first.execute("BEGIN")
            await first.execute(f"DELETE FROM t WHERE {where}")
            await second.execute("SET innodb_lock_wait_timeout = 1")
            await second.execute("BEGIN")
            with pytest.raises(SqlError, match="Lock wait timeout"):
                await second.execute(f"UPDATE t SET v = 1 WHERE {where}")
            await first.execute("INSERT INTO t VALUES (5, 50, 500)")
            await first.execute("COMMIT")
            assert (await second.execute(f"DELETE FROM t WHERE {where}")).affected_rows == 1
            await second.execute("INSERT INTO t VALUES (5, 50, 501)")
            await second.execute("COMMIT")
            await first.execute("DELETE FROM t WHERE id = 5")
        await first.close()
        await second.close()
        await database.close()

    asyncio.run(main())


def test_large_inserts_take_turns_but_not_within_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaped, "LARGE_INSERT_ROWS", 3)

    async def main() -> None:
        database = make_database(FakeClient())
        await database.start()
        session, other = await database.session("test"), await database.session("test")
        await session.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        async with database.large_inserts:
            await session.execute("INSERT INTO t VALUES (1), (2)")
            await other.execute("BEGIN")
            await other.execute("INSERT INTO t VALUES (11), (12), (13)")
            await other.execute("COMMIT")
            waiting = asyncio.ensure_future(session.execute("INSERT INTO t VALUES (21), (22), (23)"))
            await asyncio.sleep(0)
            assert (await other.execute("SELECT COUNT(*) FROM t")).rows() == [(5,)]
            assert not waiting.done()
        await waiting
        assert (await other.execute("SELECT COUNT(*) FROM t")).rows() == [(8,)]
        await session.close()
        await other.close()
        await database.close()

    asyncio.run(main())
