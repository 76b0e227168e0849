"""Garbage collection on real stores: what is removed, what holds it back, and that space comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lock_cluster import Stores, stores, until

from rutile_kv.client import gc_hold
from rutile_kv.client.client import Client
from rutile_kv.client.gc import GcWorker
from rutile_kv.engine.api import CF_LOCK, CF_WRITE, MVCC_CFS
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest, TxnAborted
from rutile_proto.keys import storage_key
from rutile_proto.timestamps import compose, physical_ms

Scenario = Callable[[Stores, Client], Awaitable[None]]


def run(scenario: Scenario, count: int = 1, replicas: int = 1, **config: Any) -> None:
    async def body() -> None:
        async with stores(count, replicas, gc_poll_seconds=0.02, **config) as cluster, cluster.client() as client:
            await scenario(cluster, client)

    asyncio.run(body())


async def put(client: Client, key: bytes, value: bytes | None) -> int:
    txn = await client.begin()
    if value is None:
        txn.delete(key)
    else:
        txn.put(key, value)
    return await txn.commit()


async def gc_now(client: Client) -> int:
    """Raise the safe point above everything committed so far (it has no logical part, so wait for the next ms)."""
    last = await client.timestamp()

    async def is_later() -> bool:
        return physical_ms(await client.timestamp()) > physical_ms(last)

    await until(is_later)
    return await GcWorker(client.cluster, life_time_s=0).run_once()


def versions(node: StoreNode, key: bytes) -> int:
    return len(list(MvccReader(node.driver._engine).writes(key)))


def test_old_versions_go_from_every_replica_and_readers_below_are_told() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await client.split_regions([b"m"])
        for key in (b"a", b"z"):
            for number in range(5):
                await put(client, key, b"%d" % number * 300)
        old = await put(client, b"gone", b"x")
        await put(client, b"gone", None)
        safe_point = await gc_now(client)
        await put(client, b"a", b"new")
        everywhere = {b"a": 2, b"z": 1, b"gone": 0}
        await until(
            lambda: all(versions(node, key) == left for node in cluster.nodes for key, left in everywhere.items())
        )
        now = await client.timestamp()
        assert await client.snapshot(now).batch_get([b"a", b"z", b"gone"]) == {b"a": b"new", b"z": b"4" * 300}
        assert await client.snapshot(safe_point).get(b"a") == b"4" * 300
        for read in (client.snapshot(old).get(b"gone"), client.snapshot(old).scan(b"a", b"b")):
            with pytest.raises(TxnAborted, match="safe point"):
                await read
        stale = await client.begin(old)
        stale.put(b"a", b"stale")
        with pytest.raises(TxnAborted, match="safe point"):
            await stale.commit()

    run(scenario, count=3, replicas=3)


def test_abandoned_transactions_are_ended_first() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await client.split_regions([b"m"])
        node = cluster.nodes[0]
        start_ts = await client.timestamp()
        for key in (b"a", b"z"):  # alive for an hour by its time to live; the primary is a
            region = node.driver.store.find_region(storage_key(key))
            await until(lambda: all(info.is_leader for info in node.driver.region_infos()))
            request = kvrpcpb.PrewriteRequest(
                context=context_of(node.driver.store.region_info(region.id)),
                mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=b"v")],
                primary_lock=b"a",
                start_version=start_ts,
                lock_ttl=3_600_000,
            )
            assert await cluster.stubs[node.store_id].KvPrewrite(request) == kvrpcpb.PrewriteResponse()
        await put(client, b"q", b"1")
        worker = GcWorker(client.cluster, life_time_s=0)
        assert await worker.end_transactions(start_ts - 1) == 0
        assert await worker.end_transactions(start_ts) == 2
        async with await client.begin() as txn:
            assert await txn.get(b"z") is None
            txn.put(b"z", b"free")
        assert await gc_now(client) > start_ts
        await until(lambda: versions(node, b"a") == 0)  # the rollback record

    run(scenario)


def test_an_old_transaction_holds_the_safe_point_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, b"a", b"1")
        reader = await client.begin()
        await put(client, b"a", b"2")
        worker = GcWorker(client.cluster, life_time_s=0)

        async def held() -> bool:
            lowest = await client.pd.update_service_gc_safe_point(b"test", 1, await client.timestamp())
            return lowest == reader.start_ts - 1

        await until(held)
        await client.pd.update_service_gc_safe_point(b"test", 0, 0)
        assert await worker.run_once() == reader.start_ts - 1
        assert await reader.get(b"a") == b"1"
        await reader.rollback()

        async def free() -> bool:
            return await worker.run_once() > reader.start_ts

        await until(free)
        await until(lambda: versions(cluster.nodes[0], b"a") == 1)

    monkeypatch.setattr(gc_hold, "LOOK_EVERY_S", 0.02)
    run(scenario)


def test_the_leader_of_the_first_region_moves_the_safe_point_by_itself() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, b"a", b"1")
        second = await put(client, b"a", b"2")
        await until(lambda: versions(cluster.nodes[0], b"a") == 1)
        safe_point = await client.pd.gc_safe_point()
        assert safe_point > second - compose(1000)
        assert physical_ms(await client.timestamp()) - physical_ms(safe_point) >= 100

    run(scenario, gc_interval_seconds=0.05, gc_life_time_seconds=0.1)


def test_gc_on_request_goes_no_further_than_the_safe_point() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        node = cluster.nodes[0]
        for number in range(3):
            await put(client, b"a", b"%d" % number)
        ahead = await client.timestamp()
        region = node.driver.store.find_region(b"")
        request = kvrpcpb.GCRequest(context=context_of(node.driver.store.region_info(region.id)), safe_point=ahead)
        with pytest.raises(Exception, match="above the cluster's"):
            await cluster.stubs[node.store_id].KvGC(request)
        assert versions(node, b"a") == 3
        node.servicer.scheduler.safe_point.raise_to(ahead)
        assert await cluster.stubs[node.store_id].KvGC(request) == kvrpcpb.GCResponse()
        assert versions(node, b"a") == 1

    run(scenario)


def _settled(node: StoreNode, keys: int) -> bool:
    """Whether the store has applied the commits of all `keys`, and no lock is left that could be committed."""
    locks, writes = (list(node.driver._engine.scan(cf, b"", None)) for cf in (CF_LOCK, CF_WRITE))
    return not locks and len(writes) == keys


def test_a_destroyed_range_is_gone_from_every_store_and_its_neighbours_are_not() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await client.split_regions([b"t2"])
        async with await client.begin() as txn:
            for key in (b"t1_a", b"t1_b", b"t2_a", b"t2_b", b"t3"):
                txn.put(key, b"v" * 300)
        await until(lambda: all(_settled(node, 5) for node in cluster.nodes))
        await client.destroy_range(b"t1_b", b"t2_b")
        assert dict(await client.snapshot(await client.timestamp()).scan()) == {
            b"t1_a": b"v" * 300,
            b"t2_b": b"v" * 300,
            b"t3": b"v" * 300,
        }
        for node in cluster.nodes:
            for cf in MVCC_CFS:
                assert not list(node.driver._engine.scan(cf, storage_key(b"t1_b"), storage_key(b"t2_b")))
        for start, end in ((b"b", b"a"), (b"a", b"a"), (b"a", b"")):
            with pytest.raises(InvalidRequest):
                await client.destroy_range(start, end)

    run(scenario, count=3, replicas=3)


def test_disk_space_comes_back(tmp_path: Path) -> None:
    def used() -> int:
        return sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.sst"))

    async def scenario(cluster: Stores, client: Client) -> None:
        node = cluster.nodes[0]
        engine = node.driver._engine
        for seed in range(4):
            async with await client.begin() as txn:
                for number in range(2_000):
                    txn.put(b"k%05d" % number, (b"%d %d " % (seed, number)) * 60)
        engine.compact(b"", None)
        full = used()
        assert full > 200_000
        await gc_now(client)
        await until(lambda: versions(node, b"k01999") == 1)
        engine.compact(b"", None)
        assert used() < full / 2
        assert len(await client.snapshot(await client.timestamp()).scan()) == 2_000
        await client.destroy_range(b"k", b"l")
        assert used() < 50_000

    run(scenario, data_dir=tmp_path / "store")
