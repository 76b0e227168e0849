"""Pessimistic transactions on the real stack in this process: waiting, what was waited for, circles, patience."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session

Scenario = Callable[[list[Session]], Awaitable[None]]


def play(scenario: Scenario, sessions: int) -> None:
    """Run the scenario with so many sessions on a table of two accounts."""

    async def run() -> None:
        node = await EmbeddedNode.open(None)
        try:
            database = Database(node.client, options=DatabaseOptions(single_front_end=True))
            await database.start()
            opened = [await database.session("test") for _ in range(sessions)]
            await opened[0].execute("CREATE TABLE t (id INT PRIMARY KEY, k INT UNIQUE, v INT, KEY (v))")
            await opened[0].execute("INSERT INTO t VALUES (1, 1, 0), (2, 2, 0)")
            await scenario(opened)
            for session in opened:
                await session.close()
            await database.close()
        finally:
            await node.close()

    asyncio.run(run())


async def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    return (await session.execute(sql)).rows()


@pytest.mark.parametrize(
    "read", ["SELECT v FROM t WHERE id = 1 FOR UPDATE", "SELECT v FROM t WHERE v >= 0 ORDER BY id FOR UPDATE"]
)
def test_nothing_is_lost_and_nobody_fails(read: str) -> None:
    async def worker(session: Session) -> None:
        for _ in range(5):
            await session.execute("BEGIN")
            value = (await rows(session, read))[0][0]
            assert isinstance(value, int)
            await session.execute(f"UPDATE t SET v = {value + 1} WHERE id = 1")
            await session.execute("COMMIT")

    async def scenario(sessions: list[Session]) -> None:
        await asyncio.gather(*(worker(session) for session in sessions))
        assert await rows(sessions[0], "SELECT v FROM t WHERE id = 1") == [(20,)]
        assert await rows(sessions[0], "SELECT id FROM t WHERE v = 20") == [(1,)]

    play(scenario, 4)


def test_statements_in_autocommit_meet_without_errors() -> None:
    async def worker(session: Session) -> None:
        for _ in range(10):
            await session.execute("UPDATE t SET v = v + 1 WHERE k = 2")

    async def scenario(sessions: list[Session]) -> None:
        await asyncio.gather(*(worker(session) for session in sessions))
        assert await rows(sessions[0], "SELECT v FROM t WHERE id = 2") == [(40,)]

    play(scenario, 4)


def test_of_a_circle_one_is_rolled_back() -> None:
    async def cross(session: Session, first: int, second: int, ready: asyncio.Barrier) -> str:
        await session.execute("BEGIN")
        await session.execute(f"UPDATE t SET v = v + 1 WHERE id = {first}")
        await ready.wait()
        try:
            await session.execute(f"UPDATE t SET v = v + 1 WHERE id = {second}")
        except SqlError as error:
            assert (error.code, error.sqlstate) == (1213, "40001")
            assert not session.in_transaction
            return "victim"
        await session.execute("COMMIT")
        return "done"

    async def scenario(sessions: list[Session]) -> None:
        ready = asyncio.Barrier(2)
        outcomes = await asyncio.gather(cross(sessions[0], 1, 2, ready), cross(sessions[1], 2, 1, ready))
        assert sorted(outcomes) == ["done", "victim"]
        assert await rows(sessions[0], "SELECT v FROM t ORDER BY id") == [(1,), (1,)]

    play(scenario, 2)


def test_patience_ends_with_the_statement_not_the_transaction() -> None:
    async def scenario(sessions: list[Session]) -> None:
        first, second = sessions
        await first.execute("BEGIN")
        await first.execute("UPDATE t SET v = 5 WHERE id = 1")
        await second.execute("SET innodb_lock_wait_timeout = 1")
        await second.execute("BEGIN")
        await second.execute("UPDATE t SET v = 6 WHERE id = 2")
        for sql in ("UPDATE t SET v = 7 WHERE id = 1", "INSERT INTO t VALUES (1, 9, 9)"):
            with pytest.raises(SqlError) as caught:
                await second.execute(sql)
            assert caught.value.code == 1205 and second.in_transaction
        with pytest.raises(SqlError) as refused:
            await second.execute("SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT")
        assert refused.value.code == 3572
        await first.execute("COMMIT")
        await second.execute("COMMIT")
        assert await rows(first, "SELECT v FROM t ORDER BY id") == [(5,), (6,)]

    play(scenario, 2)


def test_an_insert_waits_for_the_key_and_learns_of_it() -> None:
    async def scenario(sessions: list[Session]) -> None:
        first, second = sessions
        await first.execute("BEGIN")
        await first.execute("INSERT INTO t VALUES (3, 3, 3)")
        waiting = asyncio.create_task(second.execute("INSERT INTO t VALUES (4, 3, 4)"))
        await first.execute("COMMIT")
        with pytest.raises(SqlError) as caught:
            await waiting
        assert caught.value.code == 1062 and "key 'k'" in caught.value.message

    play(scenario, 2)


def test_a_statement_that_names_its_keys_sees_what_was_committed_after_its_transaction_began() -> None:
    async def scenario(sessions: list[Session]) -> None:
        first, second = sessions
        await first.execute("BEGIN")
        await second.execute("UPDATE t SET v = 10")
        await second.execute("INSERT INTO t VALUES (3, 3, 30)")
        await second.execute("DELETE FROM t WHERE id = 2")
        assert (await first.execute("UPDATE t SET v = v + 1 WHERE id IN (1, 2, 3)")).affected_rows == 2
        assert await rows(first, "SELECT v FROM t WHERE k = 1 FOR UPDATE") == [(11,)]
        await first.execute("INSERT INTO t VALUES (2, 2, 5)")
        with pytest.raises(SqlError, match="key 'k'"):
            await first.execute("UPDATE t SET k = 3 WHERE id = 2")
        assert (await first.execute("DELETE FROM t WHERE k = 3")).affected_rows == 1
        assert (await first.execute("UPDATE t SET k = 3 WHERE id = 2")).affected_rows == 1
        await first.execute("COMMIT")
        assert await rows(second, "SELECT * FROM t ORDER BY id") == [(1, 1, 11), (2, 3, 5)]

    play(scenario, 2)


def test_update_of_a_unique_value_back_and_forth() -> None:
    """Index entries that come and go within and between transactions."""

    async def scenario(sessions: list[Session]) -> None:
        first, second = sessions
        await first.execute("BEGIN")
        await second.execute("UPDATE t SET k = 20 WHERE id = 2")
        await first.execute("UPDATE t SET k = 2 WHERE id = 1")
        await first.execute("UPDATE t SET k = 1 WHERE id = 1")
        await first.execute("UPDATE t SET k = 2, v = 9 WHERE k = 1")
        await first.execute("COMMIT")
        assert await rows(second, "SELECT id, k, v FROM t ORDER BY id") == [(1, 2, 9), (2, 20, 0)]
        assert await rows(second, "SELECT id FROM t WHERE k = 2") == [(1,)]
        assert await rows(second, "SELECT id FROM t WHERE k = 1") == []

    play(scenario, 2)


def test_consumers_share_a_queue_by_skipping_what_is_locked() -> None:
    async def consumer(session: Session, taken: list[object]) -> None:
        while True:
            await session.execute("BEGIN")
            found = await rows(session, "SELECT id FROM jobs WHERE v = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
            if not found:
                await session.execute("ROLLBACK")
                return
            await session.execute(f"UPDATE jobs SET v = 1 WHERE id = {found[0][0]}")
            await session.execute("COMMIT")
            taken.append(found[0][0])

    async def scenario(sessions: list[Session]) -> None:
        await sessions[0].execute("CREATE TABLE jobs (id INT PRIMARY KEY, v INT)")
        await sessions[0].execute("INSERT INTO jobs VALUES " + ", ".join(f"({n}, 0)" for n in range(12)))
        taken: list[object] = []
        await asyncio.gather(*(consumer(session, taken) for session in sessions))
        assert sorted(map(int, map(str, taken))) == list(range(12))

    play(scenario, 3)
