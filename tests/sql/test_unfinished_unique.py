"""A UNIQUE index that is made while rows with one value come and go: whose an entry is, is told by the row it names."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from fake_client import FakeStore
from test_ddl_online import RETRYABLE, job_of
from test_neighbouring_steps import held_front_end

from rutile.catalog.model import TableInfo
from rutile.ddl import backfill
from rutile.errors import ER_DUP_ENTRY, SqlError
from rutile.rows.access import TableAccess
from rutile.session.engine import Database
from rutile.session.session import Session
from rutile.session.storage import KvTransaction
from rutile_proto.errors import LockWaitTimeout
from rutile_proto.timestamps import MAX_TIMESTAMP

CHANGE = "CREATE UNIQUE INDEX w ON t (a)"
ONE_OF_EACH_VALUE = tuple(f"DELETE x FROM t x JOIN t y ON x.a = y.a WHERE x.id {than} y.id" for than in "<>")


def hold_batches(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have the fill go row by row; `meanwhile` runs before each row is read, and before what it lacks is committed."""
    monkeypatch.setattr(backfill, "BATCH_ROWS", 1)
    monkeypatch.setattr(backfill, "BATCHES_AT_ONCE", 1)
    make = backfill.Backfill._make

    async def held(fill: backfill.Backfill, txn: KvTransaction, batch: Any) -> None:
        await meanwhile()
        await make(fill, txn, batch)
        await meanwhile()

    monkeypatch.setattr(backfill.Backfill, "_make", held)


@pytest.mark.parametrize(
    ("goes", "found"),
    [
        ("DELETE FROM t WHERE id = 1", [(9, 5)]),
        ("DELETE FROM t WHERE id < 2", [(9, 5)]),
        ("UPDATE t SET a = 6 WHERE id = 1", [(1, 6), (9, 5)]),
        ("UPDATE t SET id = 2, a = 6 WHERE id = 1", [(2, 6), (9, 5)]),
        ("REPLACE INTO t VALUES (1, 6)", [(1, 6), (9, 5)]),
        ("INSERT INTO t VALUES (1, 0) ON DUPLICATE KEY UPDATE a = 6", [(1, 6), (9, 5)]),
        ("DELETE x FROM t x JOIN t y ON x.a = y.a WHERE x.id < y.id", [(9, 5)]),
        ("UPDATE t SET id = 2 WHERE id = 1", None),
    ],
)
@pytest.mark.parametrize("begin", ["", "BEGIN OPTIMISTIC", "BEGIN PESSIMISTIC"])
def test_a_row_without_an_entry_leaves_the_others_entry(
    goes: str, found: list[tuple[int, int]] | None, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 9 has come since the fill began, with the value of row 1, which has no entry yet and goes."""

    async def run() -> None:
        owner = await held_front_end(FakeStore())
        first, other = [await owner.session("test") for _ in range(2)]
        refused: list[SqlError] = []
        once = iter([True])

        async def meanwhile() -> None:
            if next(once, False):
                await other.execute("INSERT INTO t VALUES (9, 5)")
                try:
                    for sql in filter(None, (begin, goes, "COMMIT")):
                        await other.execute(sql)
                except SqlError as error:
                    refused.append(error)
                    await other.execute("ROLLBACK")

        hold_batches(monkeypatch, meanwhile)
        await first.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL)")
        await first.execute("INSERT INTO t VALUES (1, 5)")
        statement = asyncio.create_task(first.execute(CHANGE))
        await stepped(owner, statement)
        if found is None:  # the row keeps its value, which the other has: refused to it, and then to the index
            assert [error.code for error in refused] == [ER_DUP_ENTRY]
            with pytest.raises(SqlError, match="Duplicate entry '5'"):
                await statement
        else:
            assert not refused, refused[0]
            await statement
            assert (await first.execute("SELECT id, a FROM t ORDER BY id")).rows() == found
            with pytest.raises(SqlError, match="Duplicate entry '5'"):
                await first.execute("INSERT INTO t VALUES (7, 5)")
        await first.execute("ADMIN CHECK TABLE t")
        for session in (first, other):
            await session.close()
        await owner.close()

    asyncio.run(run())


@pytest.mark.parametrize("begin", ["BEGIN OPTIMISTIC", "BEGIN PESSIMISTIC"])
def test_the_others_entry_stays_until_the_row_has_gone(begin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the fill could make the entry of a row that is about to go."""

    async def run() -> None:
        owner = await held_front_end(FakeStore())
        first, other, third = [await owner.session("test") for _ in range(3)]
        once, refused = iter([True]), list[SqlError]()

        async def meanwhile() -> None:
            if not next(once, False):
                return
            for sql in ("INSERT INTO t VALUES (9, 5)", begin, "DELETE FROM t WHERE id = 1"):
                await other.execute(sql)
            await attempt(third, "DELETE FROM t WHERE id = 9")

        async def attempt(session: Session, sql: str) -> None:
            try:
                await session.execute(sql)
            except SqlError as error:
                refused.append(error)

        hold_batches(monkeypatch, meanwhile)
        await first.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL)")
        await first.execute("INSERT INTO t VALUES (1, 5), (2, 6)")
        statement = asyncio.create_task(first.execute(CHANGE))
        await attempt_to_fill(owner)
        await attempt(other, "COMMIT")
        await stepped(owner, statement)
        assert [error.retryable for error in refused] == [True]
        await third.execute("ADMIN CHECK TABLE t")
        for session in (first, other, third):
            await session.close()
        await owner.close()

    asyncio.run(run())


async def attempt_to_fill(owner: Database) -> None:
    """Take the job's steps until rows have been filled in once."""
    while (job := await job_of(owner)) is None or not job.row_count:
        try:
            await owner.ddl._work()
        except LockWaitTimeout:  # nobody waits in this store; the worker comes again
            return
        await asyncio.sleep(0)  # the turn of the statement, which waits for nothing else here


async def stepped(owner: Database, statement: asyncio.Task[Any]) -> None:
    """Take the job's steps until the statement is answered."""
    while not statement.done():
        await owner.ddl._work()
        await asyncio.sleep(0)  # the turn of the statement, which waits for nothing else here


class Crowd:
    """Sessions of several front ends, each in a transaction of its own kind or in none, in turns as chance has it."""

    def __init__(self, seed: int, sessions: list[Session]) -> None:
        self._choose = random.Random(seed)
        self._sessions = sessions
        self._open: dict[Session, int] = {}

    async def turns(self, count: int) -> None:
        for _ in range(count):
            session = self._choose.choice(self._sessions)
            sql = self._next(session)
            try:
                await session.execute(sql)
            except SqlError as error:
                assert error.code == ER_DUP_ENTRY or error.code in RETRYABLE, f"{sql}: {error}"
                sql = "ROLLBACK"
                await session.execute(sql)
            if sql in ("COMMIT", "ROLLBACK"):
                self._open.pop(session, None)

    async def end(self) -> None:
        for session in self._open:
            await session.execute("ROLLBACK")
        self._open.clear()

    def _next(self, session: Session) -> str:
        choose = self._choose
        if session not in self._open and choose.random() < 0.4:
            self._open[session] = choose.randrange(1, 4)
            return choose.choice(("BEGIN OPTIMISTIC", "BEGIN PESSIMISTIC"))
        if session in self._open:
            self._open[session] -= 1
            if self._open[session] < 0:
                return choose.choice(("COMMIT", "COMMIT", "ROLLBACK"))
        at, other, value = choose.randrange(18), choose.randrange(18), choose.randrange(40)
        return choose.choice(
            (
                f"INSERT INTO t SELECT {other}, a FROM t WHERE id = {at}",
                f"INSERT IGNORE INTO t VALUES ({at}, {value})",
                f"INSERT INTO t VALUES ({at}, {value}) ON DUPLICATE KEY UPDATE a = {value}",
                f"REPLACE INTO t VALUES ({at}, {value})",
                f"UPDATE t SET id = {other} WHERE id = {at}",
                f"UPDATE IGNORE t SET id = {other}, a = {value} WHERE id = {at}",
                f"DELETE FROM t WHERE a = {value}",
                *ONE_OF_EACH_VALUE,
            )
        )


async def entries_name_their_rows(database: Database) -> None:
    """What must hold in every state: an entry's row is there, and has the entry's value."""
    snapshot = database.client.snapshot(MAX_TIMESTAMP)
    info: TableInfo = (await database.catalog.refresh()).tables["test", "t"]
    table = TableAccess(info)
    for index in table.indexes:
        for key, value in await snapshot.scan(*index.range):
            handle = index.read(key, value)[1]
            stored = await snapshot.get(table.row_key_beside(key, handle))
            assert stored is not None, f"{index.info.name} has an entry of a row that went"
            entry = index.entry_before(table.rows.decode_row(stored), handle)
            assert entry is not None and (entry.key, entry.value) == (key, value), f"{index.info.name}: a stale entry"


@pytest.mark.parametrize("seed", range(6))
def test_entries_name_their_rows_in_every_state(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Front ends one step apart, in all orders of events that chance makes; what is made at last holds every row."""

    async def run() -> None:
        store = FakeStore()
        owner, ahead, behind = [await held_front_end(store) for _ in range(3)]
        first, *sessions = [await each.session("test") for each in (owner, ahead, ahead, behind, owner)]
        crowd = Crowd(seed, sessions)
        await first.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT NOT NULL, KEY k (a))")
        await first.execute("INSERT INTO t VALUES " + ", ".join(f"({at}, {at * 2})" for at in range(14)))
        for each in (ahead, behind):
            await each.catalog.refresh()

        async def meanwhile() -> None:
            await crowd.turns(4)

        hold_batches(monkeypatch, meanwhile)
        statement = asyncio.create_task(first.execute(CHANGE))
        while not statement.done():
            await ahead.catalog.refresh()
            await crowd.turns(8)
            await behind.catalog.refresh()
            with contextlib.suppress(LockWaitTimeout):  # nobody waits in this store; the worker comes again
                await owner.ddl._work()
            await entries_name_their_rows(owner)
            await asyncio.sleep(0)  # the turn of the statement, which waits for nothing else here
        try:
            await statement
        except SqlError as error:
            assert error.code == ER_DUP_ENTRY, error
        await crowd.end()
        await first.execute("ADMIN CHECK TABLE t")
        for session in (first, *sessions):
            await session.close()
        for database in (owner, ahead, behind):
            await database.close()

    asyncio.run(run())
