"""A column becomes another while two front ends write and read: nobody ever sees a value that is not the row's."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from fake_client import FakeClient, FakeStore
from sql_runner import NOW
from test_ddl_online import RETRYABLE, front_end, job_of, prepared, until

from rutile.catalog import jobs
from rutile.ddl import backfill, worker
from rutile.errors import SqlError
from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.session import Session

CHANGES = (
    "ALTER TABLE t MODIFY a VARCHAR(12)",
    "ALTER TABLE t MODIFY a DECIMAL(12, 0), ADD UNIQUE u2 (b, a)",
    "ALTER TABLE t CHANGE a a BIGINT NOT NULL FIRST",
)


class Traffic:
    """Writers, who always give `a` and `b` the same number, each time a new one, and readers, who look whether that
    holds. No two rows ever have one number, so nobody is to be told that there is a duplicate."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.failures: list[str] = []
        self.count = 0
        self._numbers = itertools.count(1_000)

    async def write(self, session: Session, seed: int) -> None:
        choose = random.Random(seed)
        while not self.done.is_set():
            at, value = choose.randrange(300), next(self._numbers)
            statement = choose.choice(
                (
                    f"UPDATE t SET a = {value}, b = {value} WHERE id = {at}",
                    f"DELETE FROM t WHERE id = {at}",
                    f"REPLACE INTO t (id, a, b) VALUES ({at}, {value}, {value})",
                    f"UPDATE t SET n = n + 1 WHERE id = {at}",
                )
            )
            await self._run(session, [statement] if choose.random() < 0.7 else ["BEGIN", statement, "COMMIT"])

    async def read(self, session: Session, seed: int) -> None:
        choose = random.Random(seed)
        while not self.done.is_set():
            at = choose.randrange(300)
            statement = choose.choice(
                (
                    f"SELECT a, b FROM t WHERE id = {at}",
                    "SELECT a, b FROM t",
                    f"SELECT a, b FROM t WHERE b = {choose.randrange(2_000)}",
                    f"SELECT a, b FROM t WHERE a BETWEEN '{at}' AND '{at}9'",
                )
            )
            await self._run(session, [statement])

    async def _run(self, session: Session, script: list[str]) -> None:
        for sql in script:
            try:
                rows = (await session.execute(sql)).rows()
                self.count += 1
                if sql.startswith("SELECT"):
                    self.failures += [f"{sql}: {a!r}, {b!r}" for a, b in rows if int(a) != b]
            except SqlError as error:
                if error.code not in RETRYABLE or not error.retryable:
                    self.failures.append(f"{sql}: {error}")
                await session.execute("ROLLBACK")
                return


def test_two_front_ends_write_and_read_while_a_column_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 16)

    async def run() -> None:
        node = await EmbeddedNode.open(None)
        try:
            options = DatabaseOptions(single_front_end=False, lease_s=0.05)
            databases = [Database(node.client, options=options) for _ in range(2)]
            for each in databases:
                await each.start()
            session, *others = [await databases[at % 2].session("test") for at in range(5)]
            await session.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, n INT DEFAULT 0, KEY k (a))")
            await session.execute("CREATE UNIQUE INDEX u ON t (a, id)")
            await session.execute(
                "INSERT INTO t (id, a, b) VALUES " + ", ".join(f"({n}, {n}, {n})" for n in range(300))
            )
            traffic = Traffic()
            roles = (traffic.write, traffic.write, traffic.read, traffic.read)
            work = [
                asyncio.create_task(role(each, at)) for at, (role, each) in enumerate(zip(roles, others, strict=True))
            ]
            for sql in CHANGES:
                before = traffic.count
                await session.execute(sql)
                await session.execute("ADMIN CHECK TABLE t")
                assert traffic.count > before
            traffic.done.set()
            await asyncio.gather(*work)
            assert not traffic.failures, traffic.failures[:5]
            shown = (await session.execute("SHOW CREATE TABLE t")).rows()[0][1]
            assert "`a` bigint NOT NULL" in shown and "UNIQUE KEY `u` (`a`,`id`)" in shown
            for one in (session, *others):
                await one.close()
            for each in databases:
                await each.close()
        finally:
            await node.close()

    asyncio.run(run())


async def is_rewriting(database: Database) -> bool:
    job = await job_of(database)
    return job is not None and job.row_count > 0


def test_a_dead_owner_s_change_is_finished_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 2)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.005)

    async def run() -> None:
        store = FakeStore()
        first = await front_end(store)
        session = await prepared(first, 300)
        statement = asyncio.create_task(session.execute("ALTER TABLE t MODIFY a VARCHAR(5)"))
        await until(lambda: is_rewriting(first))
        await first.ddl.close()
        left = await job_of(first)
        assert left is not None and left.row_count < 300
        second = await front_end(store)
        store.clock += (jobs.OWNER_LEASE_MS + 1) << 18
        await statement
        other = await second.session("test")
        await other.execute("ADMIN CHECK TABLE t")
        assert (await other.execute("SELECT a FROM t WHERE id = 59")).rows() == [("9",)]
        for each in (session, other):
            await each.close()
        await first.close()
        await second.close()

    asyncio.run(run())


@pytest.mark.parametrize("meanwhile", ["ADMIN CANCEL DDL JOBS {job}", "TRUNCATE TABLE t", "DROP TABLE t"])
def test_a_change_that_ends_early_leaves_the_table_as_it_was(meanwhile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 1)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)

    async def run() -> None:
        database = await front_end(FakeStore())
        session = await prepared(database, 200)
        other = await database.session("test")
        await session.execute("CREATE INDEX k ON t (a)")
        statement = asyncio.create_task(session.execute("ALTER TABLE t MODIFY a VARCHAR(5)"))
        await until(lambda: is_rewriting(database))
        job = await job_of(database)
        assert job is not None
        await other.execute(meanwhile.format(job=job.id))
        with pytest.raises(SqlError) as caught:
            await statement
        assert caught.value.code == (8214 if "CANCEL" in meanwhile else 1146)
        if "DROP" in meanwhile:
            await other.execute("FLASHBACK TABLE t")
        assert "`a` int DEFAULT NULL" in (await other.execute("SHOW CREATE TABLE t")).rows()[0][1]
        await other.execute("REPLACE INTO t VALUES (1, 70000), (1000, 1)")
        await other.execute("ADMIN CHECK TABLE t")
        assert (await other.execute("SELECT a FROM t WHERE id = 1")).rows() == [(70000,)]
        await session.execute("ALTER TABLE t MODIFY a VARCHAR(5)")
        await session.execute("ADMIN CHECK TABLE t")
        for each in (session, other):
            await each.close()
        await database.close()

    asyncio.run(run())


def test_a_value_that_would_not_fit_is_refused_while_the_column_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 1)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)

    async def run() -> None:
        database = await front_end(FakeStore())
        session = await prepared(database, 100)
        other = await database.session("test")
        statement = asyncio.create_task(session.execute("ALTER TABLE t MODIFY a TINYINT"))
        await until(lambda: is_rewriting(database))
        with pytest.raises(SqlError) as caught:
            await other.execute("INSERT INTO t VALUES (1000, 300)")
        assert caught.value.code == 1264
        await statement
        for each in (session, other):
            await each.close()
        await database.close()

    asyncio.run(run())


def test_a_transaction_of_before_does_not_read_rows_by_the_new_definition() -> None:
    async def run() -> None:
        options = DatabaseOptions(single_front_end=True, now=lambda: NOW)
        database = Database(FakeClient(FakeStore()), options=options)
        await database.start()
        session, other = await prepared(database, 5), await database.session("test")
        await other.execute("BEGIN")
        await other.execute("SELECT * FROM t")
        await session.execute("ALTER TABLE t MODIFY a VARCHAR(5)")
        for query in ("SELECT a FROM t WHERE id = 1", "SELECT * FROM t"):
            with pytest.raises(SqlError) as caught:
                await other.execute(query)
            assert caught.value.code == 8028
        await other.execute("ROLLBACK")
        assert (await other.execute("SELECT a FROM t WHERE id = 1")).rows() == [("1",)]
        for each in (session, other):
            await each.close()
        await database.close()

    asyncio.run(run())
