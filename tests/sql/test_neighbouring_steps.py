"""Front ends that are one step of a change apart get along: each sees the rows there are, and refuses no others.

Three front ends on one store: one that takes the steps, one that hears of each at once, and one that hears of it only
before the next is taken, as a front end may within its lease.
"""

from __future__ import annotations

import asyncio
import random

import pytest
from fake_client import FakeClient, FakeStore
from sql_runner import NOW
from test_ddl_online import job_of

from rutile.ddl.column_steps import NO_WAY_BACK
from rutile.ddl.worker import ER_CANNOT_CANCEL
from rutile.errors import ER_DUP_ENTRY, SqlError
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session

CHANGES = (
    "ALTER TABLE t MODIFY a VARCHAR(12)",
    "ALTER TABLE t MODIFY a BIGINT NOT NULL",
    "CREATE UNIQUE INDEX fresh ON t (a)",
    "DROP INDEX u ON t",
)
TABLE = "CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL, UNIQUE KEY u (a), UNIQUE KEY kept (a), KEY k (a, id))"
ROUNDS = 60
"""Statements between two steps."""


async def held_front_end(store: FakeStore) -> Database:
    """One that takes no steps, and hears of others' only when it is told to."""
    database = Database(FakeClient(store), options=DatabaseOptions(single_front_end=True, now=lambda: NOW))
    await database.start()
    await database.ddl.close()
    return database


class Twin:
    """What the table holds, and what statements on it are to do."""

    def __init__(self, seed: int) -> None:
        self.rows: dict[int, int] = {}
        self._choose = random.Random(seed)

    async def round(self, sessions: list[Session]) -> None:
        """One statement by one of the front ends."""
        choose, session = self._choose, self._choose.choice(sessions)
        at, value = choose.randrange(12), choose.randrange(12)
        match choose.randrange(5):
            case 0:
                await self._run(session, f"INSERT INTO t (id, a) VALUES ({at}, {value})", {**self.rows, at: value}, at)
            case 1:
                left = {row: a for row, a in self.rows.items() if row != at}
                await self._run(session, f"DELETE FROM t WHERE id = {at}", left)
            case 2 | 3:
                changed = {**self.rows, at: value} if at in self.rows else self.rows
                await self._run(session, f"UPDATE t SET a = {value} WHERE id = {at}", changed)
            case _:
                await self._look(session, value)

    async def _run(self, session: Session, sql: str, after: dict[int, int], inserted: int | None = None) -> None:
        is_taken = inserted in self.rows or len(set(after.values())) < len(after)
        try:
            await session.execute(sql)
        except SqlError as error:
            if error.retryable:
                return
            assert is_taken and error.code == ER_DUP_ENTRY, f"{sql}: {error}; there is {self.rows}"
        else:
            assert not is_taken, f"{sql} went in beside {self.rows}"
            self.rows = after

    async def _look(self, session: Session, value: int) -> None:
        try:
            found = (await session.execute(f"SELECT id FROM t WHERE a = '{value}'")).rows()
        except SqlError as error:
            assert error.retryable, error
        else:
            assert [row for (row,) in found] == [row for row, a in self.rows.items() if a == value]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES)
def test_front_ends_one_step_apart(change: str, seed: int) -> None:
    async def run() -> None:
        store = FakeStore()
        owner, ahead, behind = [await held_front_end(store) for _ in range(3)]
        first, *sessions = [await each.session("test") for each in (owner, ahead, behind)]
        await first.execute(TABLE)
        twin, steps = Twin(seed), 0
        statement = asyncio.create_task(first.execute(change))
        while not statement.done():
            await ahead.catalog.refresh()
            for _ in range(ROUNDS):
                await twin.round(sessions)
            await behind.catalog.refresh()
            steps += await owner.ddl._work()
            await asyncio.sleep(0)  # the turn of the statement, which waits for nothing else here
        await statement
        await first.execute("ADMIN CHECK TABLE t")
        assert steps >= 3
        assert sorted((await first.execute("SELECT id, a FROM t")).rows(), key=str) == sorted(
            ((row, str(a) if "VARCHAR" in change else a) for row, a in twin.rows.items()), key=str
        )
        for session in (first, *sessions):
            await session.close()
        for database in (owner, ahead, behind):
            await database.close()

    asyncio.run(run())


def test_there_is_a_point_of_no_return() -> None:
    """Rows of then have no entries in the old indexes: the change is not cancelled, and a dropped table comes back with
    the new column."""

    async def run() -> None:
        owner = await held_front_end(FakeStore())
        first, other = [await owner.session("test") for _ in range(2)]
        await first.execute(TABLE)
        statement = asyncio.create_task(first.execute("ALTER TABLE t MODIFY a VARCHAR(12)"))
        while (job := await job_of(owner)) is None or job.schema_state != NO_WAY_BACK:
            await owner.ddl._work()
            await asyncio.sleep(0)  # the turn of the statement, which waits for nothing else here
        await other.execute("INSERT INTO t VALUES (1, 10), (2, 20)")
        with pytest.raises(SqlError) as caught:
            await other.execute(f"ADMIN CANCEL DDL JOBS {job.id}")
        assert caught.value.code == ER_CANNOT_CANCEL
        await other.execute("DROP TABLE t")
        await owner.ddl._work()
        with pytest.raises(SqlError):
            await statement
        await other.execute("FLASHBACK TABLE t")
        await other.execute("ADMIN CHECK TABLE t")
        assert (await other.execute("SELECT id FROM t WHERE a = '20'")).rows() == [(2,)]
        for session in (first, other):
            await session.close()
        await owner.close()

    asyncio.run(run())
