"""Dropped ranges: destroyed on every store once the safe point has passed the drop, and not before."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lock_cluster import Stores, stores, until

from rutile.session.engine import Database
from rutile_kv.client.client import Client
from rutile_kv.client.delete_ranges import DeleteRanges, Note, schedule, unschedule
from rutile_kv.client.gc import GcWorker
from rutile_kv.engine.api import MVCC_CFS
from rutile_proto.errors import InvalidRequest, RutileError
from rutile_proto.keys import storage_key
from rutile_proto.timestamps import physical_ms

Scenario = Callable[[Stores, Client], Awaitable[None]]


def run(scenario: Scenario, count: int = 1, **config: Any) -> None:
    async def body() -> None:
        async with stores(count, count, gc_poll_seconds=0.02, **config) as cluster, cluster.client() as client:
            await scenario(cluster, client)

    asyncio.run(body())


async def fill(client: Client, prefix: bytes, keys: int = 20) -> None:
    async with await client.begin() as txn:
        for number in range(keys):
            txn.put(prefix + b"%03d" % number, b"v" * 300)


async def drop(client: Client, start: bytes, end: bytes) -> int:
    txn = await client.begin()
    schedule(txn, start, end)
    return await txn.commit()


async def next_millisecond(client: Client) -> None:
    """A safe point has no logical part: let it pass what was committed so far."""
    last = physical_ms(await client.timestamp())

    async def is_later() -> bool:
        return physical_ms(await client.timestamp()) > last

    await until(is_later)


async def raise_safe_point(client: Client) -> int:
    await next_millisecond(client)
    return await GcWorker(client.cluster, life_time_s=0).run_once()


def entries(cluster: Stores, start: bytes, end: bytes) -> int:
    """What all stores together still have of a range, in every family."""
    bounds = storage_key(start), storage_key(end)
    return sum(len(list(node.driver._engine.scan(cf, *bounds))) for node in cluster.nodes for cf in MVCC_CFS)


def test_a_dropped_range_goes_when_the_safe_point_has_passed_the_drop() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        for prefix in (b"a", b"b", b"c"):
            await fill(client, prefix)
        before = await client.timestamp()
        dropped = await drop(client, b"b", b"c")
        ranges = DeleteRanges(client.cluster)
        assert await ranges.due(dropped - 1) == []
        assert await ranges.due(dropped) == [Note(b"b", b"c", 0)]
        assert len(await client.snapshot(before).scan(b"b", b"c")) == 20  # readers of the time before still see it
        await raise_safe_point(client)
        await until(lambda: entries(cluster, b"b", b"c") == 0)
        for kept in (b"a", b"c"):
            assert len(await client.snapshot(await client.timestamp()).scan(kept, kept + b"\xff")) == 20

    run(scenario, count=3)


def test_a_range_is_destroyed_a_second_time_and_then_forgotten() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await drop(client, b"b", b"c")
        ranges = DeleteRanges(client.cluster)

        async def listed() -> list[Note]:
            return await ranges.due(await client.timestamp())

        assert await ranges.run(await client.timestamp()) == 1
        assert await listed() == [Note(b"b", b"c", 1, claimed=True)]
        await fill(client, b"b")  # as a snapshot sent meanwhile would
        await until(lambda: entries(cluster, b"b", b"c") > 0)
        assert await ranges.run(await client.timestamp()) == 1
        assert await listed() == []
        assert entries(cluster, b"b", b"c") == 0

    run(scenario)


def test_what_is_taken_back_in_time_stays_also_for_a_worker_that_looks_as_of_before() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await fill(client, b"b")
        dropped = await drop(client, b"b", b"c")
        async with await client.begin() as txn:
            assert await unschedule(txn, b"b", b"c")
        assert await DeleteRanges(client.cluster).run(dropped) == 0
        async with await client.begin() as txn:  # dropped again: the old note is none for the new drop
            schedule(txn, b"b", b"c", mark=txn.start_ts)
        assert await DeleteRanges(client.cluster).run(dropped) == 0
        assert len(await client.snapshot(await client.timestamp()).scan(b"b", b"c")) == 20
        assert await DeleteRanges(client.cluster).run(await client.timestamp()) == 1
        async with await client.begin() as txn:
            assert not await unschedule(txn, b"b", b"c"), "it is destroyed"

    run(scenario)


def test_a_worker_and_somebody_who_takes_back_never_both_succeed() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        for _ in range(10):
            await fill(client, b"b")
            await drop(client, b"b", b"c")

            async def take_back() -> bool:
                try:
                    async with await client.begin() as txn:
                        return await unschedule(txn, b"b", b"c")
                except RutileError:
                    return False

            worker = DeleteRanges(client.cluster)
            destroyed, back = await asyncio.gather(worker.run(await client.timestamp()), take_back())
            assert not (destroyed and back)
            if back:
                assert len(await client.snapshot(await client.timestamp()).scan(b"b", b"c")) == 20
            while await worker.due(await client.timestamp()):
                await worker.run(await client.timestamp())

    run(scenario)


def test_two_workers_at_once_do_no_harm() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await drop(client, b"b", b"c")
        ts = await client.timestamp()
        await asyncio.gather(*(DeleteRanges(client.cluster).run(ts) for _ in range(3)))
        assert await DeleteRanges(client.cluster).due(await client.timestamp()) == [Note(b"b", b"c", 1, claimed=True)]
        assert await DeleteRanges(client.cluster).run(ts) == 0  # as it was at ts, it is no more

    run(scenario)


def test_a_store_that_is_away_keeps_the_range_on_the_list_and_the_others_do_their_part() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await fill(client, b"b")
        await drop(client, b"b", b"c")
        away = next(node for node in cluster.nodes if node is not cluster.leader(b""))
        stub = cluster.stubs.pop(away.store_id)

        class Away:
            def UnsafeDestroyRange(self, *_: object, **__: object) -> Awaitable[object]:
                return stub.UnsafeDestroyRange(None)  # which the servicer cannot take: the call fails

        cluster.stubs[away.store_id] = Away()
        ranges = DeleteRanges(client.cluster)
        ts = await client.timestamp()
        assert await ranges.run(ts) == 0
        here = [node for node in cluster.nodes if node is not away]
        assert entries(Stores(cluster.pd, here), b"b", b"c") == 0
        assert entries(Stores(cluster.pd, [away]), b"b", b"c") > 0
        cluster.stubs[away.store_id] = stub
        assert await ranges.run(ts) == 1
        assert entries(cluster, b"b", b"c") == 0

    run(scenario, count=3)


def test_ranges_that_are_none_are_refused() -> None:
    async def scenario(_: Stores, client: Client) -> None:
        for start, end in ((b"b", b"a"), (b"a", b"a"), (b"a", b"")):
            with pytest.raises(InvalidRequest, match="start below its end"):
                await drop(client, start, end)

    run(scenario)


def test_the_disk_space_of_dropped_and_truncated_tables_comes_back(tmp_path: Path) -> None:
    def used() -> int:
        return sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.sst"))

    async def scenario(cluster: Stores, client: Client) -> None:
        database = Database(client)
        await database.start()
        session = await database.session("test")
        for table in ("t", "u", "kept"):
            await session.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, text VARCHAR(600))")
            for first in range(0, 2_000, 500):
                rows = ",".join(f"({n}, '{f'{table} {n} ' * 50}')" for n in range(first, first + 500))
                await session.execute(f"INSERT INTO {table} VALUES {rows}")
        cluster.nodes[0].driver._engine.compact(b"", None)
        full = used()
        await session.execute("DROP TABLE t")
        await session.execute("TRUNCATE TABLE u")
        await session.execute("INSERT INTO u VALUES (1, 'new')")
        await raise_safe_point(client)
        await until(lambda: used() < full / 2, seconds=60)
        assert (await session.execute("SELECT COUNT(*) FROM kept")).rows() == [(2_000,)]
        assert (await session.execute("SELECT text FROM u")).rows() == [("new",)]
        await session.close()
        await database.close()

    run(scenario, data_dir=tmp_path / "store")
