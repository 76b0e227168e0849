"""Indexes made while others write, by an owner that may die: at the end the index is what the rows say."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from fake_client import FakeClient, FakeStore
from sql_runner import NOW

from rutile.catalog import jobs
from rutile.ddl import backfill, index_load, worker
from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session

RETRYABLE = (8028, 9007, 1205, 1213)


async def write_until(session: Session, done: asyncio.Event, seed: int, failures: list[SqlError]) -> int:
    """Change rows at random, some in transactions; what failed otherwise than retryably goes to `failures`."""
    choose = random.Random(seed)
    count = 0
    while not done.is_set():
        at, value, fresh = choose.randrange(400), choose.randrange(1000), seed * 100_000 + count
        statement = choose.choice(
            (
                f"UPDATE t SET a = {value} WHERE id = {at}",
                f"UPDATE t SET id = {fresh} WHERE id = {at}",
                f"DELETE FROM t WHERE id = {at}",
                f"REPLACE INTO t (id, a, u) VALUES ({at}, {value}, {fresh})",
                f"INSERT INTO t (id, a, u) VALUES ({at}, {value}, {fresh}) ON DUPLICATE KEY UPDATE a = a + 1",
            )
        )
        script = [statement] if choose.random() < 0.7 else ["BEGIN", statement, "COMMIT"]
        for sql in script:
            try:
                await session.execute(sql)
                count += 1
            except SqlError as error:
                if error.code not in RETRYABLE or not error.retryable:
                    failures.append(error)
                await session.execute("ROLLBACK")
                break
    return count


def test_indexes_come_and_go_while_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 16)
    monkeypatch.setattr(index_load, "BATCH_ROWS", 16)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 2)

    async def run() -> None:
        node = await EmbeddedNode.open(None)
        try:
            database = Database(node.client, options=DatabaseOptions(single_front_end=True))
            await database.start()
            session, *writers = [await database.session("test") for _ in range(4)]
            await session.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT, u INT)")
            rows = ", ".join(f"({at}, {at % 7}, {-at})" for at in range(400))
            await session.execute(f"INSERT INTO t VALUES {rows}")
            done, failures = asyncio.Event(), list[SqlError]()
            work = [
                asyncio.create_task(write_until(writer, done, at + 1, failures)) for at, writer in enumerate(writers)
            ]
            for sql in (
                "CREATE INDEX k ON t (a)", "CREATE UNIQUE INDEX w ON t (u)", "DROP INDEX k ON t",
                "ALTER TABLE t ADD INDEX k2 (a, u), ADD COLUMN c INT DEFAULT 4",
            ):  # fmt: skip
                await session.execute(sql)
                await session.execute("ADMIN CHECK TABLE t")
            done.set()
            counts = await asyncio.gather(*work)
            assert not failures, failures[0]
            assert min(counts) > 0
            await session.execute("ADMIN CHECK TABLE t")
            for each in (session, *writers):
                await each.close()
            await database.close()
        finally:
            await node.close()

    asyncio.run(run())


async def front_end(store: FakeStore, *, working: bool = True) -> Database:
    options = DatabaseOptions(single_front_end=False, lease_s=0.001, now=lambda: NOW)
    database = Database(FakeClient(store), options=options)
    await database.start()
    if not working:
        await database.ddl.close()
    return database


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(2_000):
        if await condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come true")


async def prepared(database: Database, rows: int) -> Session:
    session = await database.session("test")
    await session.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
    await session.execute("INSERT INTO t VALUES " + ", ".join(f"({at}, {at % 10})" for at in range(rows)))
    return session


async def job_of(database: Database) -> jobs.Job | None:
    found = await jobs.queued(database.client.snapshot(database.client.store.clock))  # type: ignore[attr-defined]
    return found[0] if found else None


def test_a_job_goes_on_where_a_dead_owner_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 2)
    monkeypatch.setattr(index_load, "BATCH_ROWS", 2)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.005)

    async def run() -> None:
        store = FakeStore()
        first = await front_end(store)
        session = await prepared(first, 60)
        statement = asyncio.create_task(session.execute("CREATE INDEX k ON t (a)"))

        async def is_filling() -> bool:
            job = await job_of(first)
            return job is not None and job.row_count > 0

        await until(is_filling)
        await first.ddl.close()
        left = await job_of(first)
        assert left is not None and 0 < left.row_count < 60
        second = await front_end(store)
        store.clock += (jobs.OWNER_LEASE_MS + 1) << 18
        await statement
        other = await second.session("test")
        await other.execute("ADMIN CHECK TABLE t")
        assert (await other.execute("SELECT COUNT(*) FROM t FORCE INDEX (k) WHERE a = 3")).rows() == [(6,)]
        for each in (session, other):
            await each.close()
        await first.close()
        await second.close()

    asyncio.run(run())


def test_a_cancelled_job_takes_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 1)
    monkeypatch.setattr(index_load, "BATCH_ROWS", 1)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)

    async def run() -> None:
        database = await front_end(FakeStore())
        session = await prepared(database, 200)
        other = await database.session("test")
        statement = asyncio.create_task(session.execute("CREATE INDEX k ON t (a)"))

        async def is_filling() -> bool:
            job = await job_of(database)
            return job is not None and job.row_count > 0

        await until(is_filling)
        job = await job_of(database)
        assert job is not None
        await other.execute(f"ADMIN CANCEL DDL JOBS {job.id}")
        with pytest.raises(SqlError) as caught:
            await statement
        assert caught.value.code == 8214
        assert len((await other.execute("SHOW INDEX FROM t")).rows()) == 1
        shown = (await other.execute("ADMIN SHOW DDL JOBS")).rows()[0]
        assert (shown[3], shown[10]) == ("add index", "rollback done")
        await session.execute("CREATE INDEX k ON t (a)")
        await session.execute("ADMIN CHECK TABLE t")
        await session.close()
        await other.close()
        await database.close()

    asyncio.run(run())


def test_a_truncated_table_takes_the_job_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 1)
    monkeypatch.setattr(index_load, "BATCH_ROWS", 1)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)

    async def run() -> None:
        database = await front_end(FakeStore())
        session = await prepared(database, 200)
        other = await database.session("test")
        statement = asyncio.create_task(session.execute("CREATE INDEX k ON t (a)"))

        async def is_filling() -> bool:
            job = await job_of(database)
            return job is not None and job.row_count > 0

        await until(is_filling)
        await other.execute("TRUNCATE TABLE t")
        with pytest.raises(SqlError) as caught:
            await statement
        assert caught.value.code == 1146
        await other.execute("INSERT INTO t VALUES (1, 1)")
        await session.execute("CREATE INDEX k ON t (a)")
        await session.execute("ADMIN CHECK TABLE t")
        await session.close()
        await other.close()
        await database.close()

    asyncio.run(run())


def test_a_front_end_that_missed_a_step_does_not_commit() -> None:
    async def run() -> None:
        store = FakeStore()
        first, second = await front_end(store), await front_end(store)
        session = await prepared(first, 5)
        other = await second.session("test")
        await other.execute("BEGIN")
        await other.execute("INSERT INTO t VALUES (100, 1)")
        await session.execute("CREATE INDEX k ON t (a)")
        with pytest.raises(SqlError) as caught:
            await other.execute("COMMIT")
        assert (caught.value.code, caught.value.retryable) == (8028, True)
        await other.execute("INSERT INTO t VALUES (100, 1)")
        await session.execute("ADMIN CHECK TABLE t")
        for each in (session, other):
            await each.close()
        await first.close()
        await second.close()

    asyncio.run(run())


def test_the_history_of_jobs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_HISTORY", 3)

    async def run() -> None:
        database = await front_end(FakeStore())
        session = await prepared(database, 1)
        for at in range(5):
            await session.execute(f"CREATE INDEX k{at} ON t (a)")
        shown = (await session.execute("ADMIN SHOW DDL JOBS 10")).rows()
        assert [row[3] for row in shown] == ["add index"] * 3
        assert [row[0] for row in shown] == sorted((row[0] for row in shown), reverse=True)
        await session.close()
        await database.close()

    asyncio.run(run())


def test_check_table_finds_what_is_wrong() -> None:
    async def run() -> None:
        store = FakeStore()
        database = await front_end(store)
        session = await prepared(database, 5)
        await session.execute("CREATE INDEX k ON t (a)")
        entry = next(key for key in store.ordered if key[9:11] == b"_i")
        for value, word in ((None, "missing"), (b"0", ""), (b"1", "another row's")):
            store.put(entry, store.tick(), value)
            if not word:
                await session.execute("ADMIN CHECK TABLE t")
                continue
            with pytest.raises(SqlError, match=word) as caught:
                await session.execute("ADMIN CHECK TABLE t")
            assert caught.value.code == 8223
        store.put(entry, store.tick(), b"0")
        store.put(entry + b"\0", store.tick(), b"0")
        with pytest.raises(SqlError, match="6 entries for 5 rows"):
            await session.execute("ADMIN CHECK TABLE t")
        await session.close()
        await database.close()

    asyncio.run(run())
