"""A fill has to do with the rows there were when it began, whatever is written and whoever goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_client import FakeStore
from test_ddl_online import front_end, job_of, prepared, until

from rutile.catalog import jobs
from rutile.ddl import backfill, index_load, worker
from rutile.ddl.fill_snapshot import READ_AT, RENEW_MS, FillSnapshot
from rutile.session.engine import Database
from rutile_proto.errors import TxnAborted
from rutile_proto.timestamps import LOGICAL_BITS

FILLS = (
    "CREATE INDEX k ON t (a)",
    "CREATE UNIQUE INDEX k ON t (a, id)",
    "ALTER TABLE t MODIFY a VARCHAR(5)",
)

MOST_ADDED = 300
"""The store of these tests looks through all it has for each read."""


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH_ROWS", 2)
    monkeypatch.setattr(backfill, "BATCHES_AT_ONCE", 2)
    monkeypatch.setattr(index_load, "BATCH_ROWS", 2)
    monkeypatch.setattr(backfill, "NOTE_EVERY", 1)
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.005)


async def is_filling(database: Database) -> bool:
    job = await job_of(database)
    return job is not None and job.row_count > 0


async def last_job(database: Database) -> jobs.Job:
    client = database.client
    return (await jobs.history(client.snapshot(await client.timestamp())))[0]


@pytest.mark.parametrize("fill", FILLS)
def test_rows_written_meanwhile_are_not_filled(fill: str) -> None:
    async def run() -> None:
        store = FakeStore()
        database = await front_end(store)
        session, writer = await prepared(database, 60), await database.session("test")
        statement = asyncio.create_task(session.execute(fill))
        await until(lambda: is_filling(database))
        added = 0
        while not statement.done():
            if added < MOST_ADDED:
                await writer.execute(f"INSERT INTO t VALUES ({1_000 + added}, 1), ({-1 - added}, 1)")
                added += 1
            await asyncio.sleep(0)
        await statement
        assert (added, (await last_job(database)).row_count) == (max(added, 5), 60)
        await session.execute("ADMIN CHECK TABLE t")
        assert store.claims == {}
        for each in (session, writer):
            await each.close()
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("collected", [False, True])
def test_another_owner_reads_at_the_same_timestamp_while_it_can(fill: str, collected: bool) -> None:
    async def run() -> None:
        store = FakeStore()
        first = await front_end(store)
        session = await prepared(first, 300)
        statement = asyncio.create_task(session.execute(fill))
        await until(lambda: is_filling(first))
        await first.ddl.close()
        left = await job_of(first)
        assert left is not None and left.row_count < 300 and list(store.claims.values()) == [left.extra[READ_AT]]
        other = await first.session("test")
        await other.execute("UPDATE t SET a = a + 10 WHERE id % 3 = 0")
        await other.execute("DELETE FROM t WHERE id % 3 = 1")
        if collected:
            store.safe_point = left.extra[READ_AT] + 1
        second = await front_end(store)
        store.clock += (jobs.OWNER_LEASE_MS + 1) << LOGICAL_BITS
        await statement
        done = await last_job(second)
        assert (done.extra[READ_AT] != left.extra[READ_AT]) is collected
        await other.execute("ADMIN CHECK TABLE t")
        for each in (session, other):
            await each.close()
        await first.close()
        await second.close()

    asyncio.run(run())


def test_what_may_have_been_collected_is_not_read() -> None:
    """A front end that was stopped for long finds its claim gone, and says so before it reads or loads anything."""

    async def run() -> None:
        store = FakeStore()
        database = await front_end(store)
        session = await prepared(database, 4)
        job = jobs.Job(7, "add index", "test", "t", 1, 1, "k", 0)
        source = await FillSnapshot.open(database.client, job)
        store.safe_point = source.ts + 1
        await source.keep()  # the claim is young: nothing can have been collected
        store.clock += (RENEW_MS + 1) << LOGICAL_BITS
        with pytest.raises(TxnAborted, match="goes on at a new one"):
            await source.scan(b"", b"", 1)
        again = await FillSnapshot.open(database.client, source.noted(job))
        assert again.ts > store.safe_point
        await session.close()
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize("fill", FILLS[1:])
@pytest.mark.parametrize("change", ["a = a + 1", "b = b + 1"])
def test_a_row_is_in_the_way_once(fill: str, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is written: who changed it has made what it lacked, or left it as it was to its entries."""
    monkeypatch.setattr(backfill, "BATCH_ROWS", 8)
    make, attempts = backfill.Backfill._make, 0

    async def run() -> None:
        database = await front_end(FakeStore())
        session, writer = await prepared(database, 8), await database.session("test")
        await session.execute("ALTER TABLE t ADD COLUMN b INT DEFAULT 0, ADD INDEX other (a)")

        async def disturbed(self: backfill.Backfill, txn: Any, batch: Any) -> None:
            nonlocal attempts
            attempts += 1
            await make(self, txn, batch)
            await writer.execute(f"UPDATE t SET {change} WHERE id = 3")

        monkeypatch.setattr(backfill.Backfill, "_make", disturbed)
        await session.execute(fill)
        assert attempts <= 2
        await session.execute("ADMIN CHECK TABLE t")
        for each in (session, writer):
            await each.close()
        await database.close()

    asyncio.run(run())
