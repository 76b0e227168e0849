"""Pessimistic locks in memory on real stores: nothing is written for them, and they go where their regions go."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lock_cluster import Stores, stores, until

from rutile_kv.client.client import Client
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import LockWaitTimeout, TxnAborted
from rutile_proto.keys import storage_key

Scenario = Callable[[Stores, Client], Awaitable[None]]


def run(scenario: Scenario, count: int = 1) -> None:
    async def body() -> None:
        async with stores(count, count) as cluster, cluster.client() as client:
            await scenario(cluster, client)

    asyncio.run(body())


async def holder_of(client: Client, *keys: bytes) -> PessimisticTransaction:
    async with await client.begin() as txn:
        for key in keys:
            txn.put(key, b"before")
    txn = await client.begin(pessimistic=True)
    assert await txn.batch_get_for_update(keys) == dict.fromkeys(keys, b"before")
    return txn


async def assert_locked(client: Client, *keys: bytes) -> None:
    for key in keys:
        other = await client.begin(pessimistic=True)
        with pytest.raises(LockWaitTimeout):
            await other.lock_keys([key], wait_s=0)
        await other.rollback()


async def commit(client: Client, txn: PessimisticTransaction, *keys: bytes) -> None:
    for key in keys:
        txn.put(key, b"after")
    commit_ts = await txn.commit()
    assert await client.snapshot(commit_ts).batch_get(keys) == dict.fromkeys(keys, b"after")


def in_memory(cluster: Stores) -> int:
    return sum(len(node.servicer.scheduler.memory_locks) for node in cluster.nodes)


def applied(node: StoreNode) -> int:
    return sum(node.driver.store.applied_index(info.region.id) for info in node.driver.region_infos())


def context(node: StoreNode, key: bytes) -> kvrpcpb.Context:
    region = node.driver.find_region(storage_key(key))
    info = node.driver.store.region_info(region.id) if region is not None else None
    assert info is not None
    return context_of(info)


def test_locking_and_unlocking_write_nothing() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a", b"b")
        before = applied(cluster.nodes[0])
        await assert_locked(client, b"a", b"b")
        assert in_memory(cluster) == 2
        await txn.rollback()
        async with await client.begin(pessimistic=True) as other:
            await other.lock_keys([b"a", b"b"], wait_s=0)
        assert (in_memory(cluster), applied(cluster.nodes[0])) == (0, before)

    run(scenario)


def test_who_looks_for_locks_finds_them() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a", b"b")
        stub, place = next(iter(cluster.stubs.values())), context(cluster.nodes[0], b"a")
        asked = kvrpcpb.ScanLockRequest(context=place, max_version=txn.start_ts)
        found = (await stub.KvScanLock(asked)).locks
        assert [(lock.key, lock.lock_type) for lock in found] == [(b"a", kvrpcpb.PessimisticLock)] * 1 + [
            (b"b", kvrpcpb.PessimisticLock)
        ]
        shown = await stub.MvccGetByKey(kvrpcpb.MvccGetByKeyRequest(context=place, key=b"b"))
        assert shown.info.lock.start_ts == txn.start_ts
        beat = kvrpcpb.TxnHeartBeatRequest(
            context=place, primary_lock=b"a", start_version=txn.start_ts, advise_lock_ttl=1 << 40
        )
        assert (await stub.KvTxnHeartBeat(beat)).lock_ttl == 1 << 40
        status = kvrpcpb.CheckTxnStatusRequest(context=place, primary_key=b"a", lock_ts=txn.start_ts)
        assert (await stub.KvCheckTxnStatus(status)).lock_ttl == 1 << 40
        assert in_memory(cluster) == 2
        await stub.KvResolveLock(kvrpcpb.ResolveLockRequest(context=place, start_version=txn.start_ts))
        assert not (await stub.KvScanLock(asked)).locks
        with pytest.raises(TxnAborted):
            await commit(client, txn, b"a")

    run(scenario)


def test_a_planned_transfer_takes_the_locks_along() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a", b"b")
        assert in_memory(cluster) == 2
        old = cluster.leader(b"a")
        await cluster.lead(b"a", next(node for node in cluster.nodes if node is not old))
        assert in_memory(cluster) == 0
        await assert_locked(client, b"a", b"b")
        await commit(client, txn, b"a", b"b")

    run(scenario, count=3)


def test_splits_and_merges_take_the_locks_along() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a", b"z")
        await client.split_regions([b"m"])
        await assert_locked(client, b"a", b"z")
        more = await holder_of(client, b"b", b"y")
        assert in_memory(cluster) >= 2
        await cluster.merge(b"a")
        await assert_locked(client, b"a", b"b", b"y", b"z")
        await commit(client, txn, b"a", b"z")
        await commit(client, more, b"b", b"y")
        assert in_memory(cluster) == 0

    run(scenario)


@pytest.mark.parametrize("written_by_others", [False, True])
def test_locks_lost_with_their_leader_matter_only_if_somebody_wrote(written_by_others: bool) -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a")
        leader = cluster.leader(b"a")
        assert leader is not None
        await leader.stop()
        cluster.nodes.remove(leader)
        del cluster.stubs[leader.store_id]
        await until(lambda: cluster.leader(b"a") is not None)
        if not written_by_others:
            await commit(client, txn, b"a")
            return
        async with await client.begin(pessimistic=True) as other:
            other.put(b"a", await other.get_for_update(b"a") or b"")
        with pytest.raises(TxnAborted):
            await commit(client, txn, b"a")

    run(scenario, count=3)


def test_reading_under_locks_taken_one_by_one_notices_that_one_was_lost() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a", b"b")
        assert await txn.get_for_update(b"c") is None
        cluster.nodes[0].servicer.scheduler.memory_locks.forget_region(context(cluster.nodes[0], b"a").region_id)
        async with await client.begin(pessimistic=True) as other:
            other.put(b"a", await other.get_for_update(b"a") or b"")
        with pytest.raises(TxnAborted):
            await txn.commit()

    run(scenario)


def test_whoever_waits_goes_on_where_the_region_is_led_now() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a")
        other = await client.begin(pessimistic=True)
        waiting = asyncio.ensure_future(other.get_for_update(b"a", wait_s=10))
        await until(lambda: any(node.servicer.waiting.waits() for node in cluster.nodes))
        old = cluster.leader(b"a")
        await cluster.lead(b"a", next(node for node in cluster.nodes if node is not old))
        await until(lambda: old is not None and not old.servicer.waiting.waits())
        await commit(client, txn, b"a")
        assert await waiting == b"after"
        await other.rollback()

    run(scenario, count=3)


async def lose_locks_and_overwrite(cluster: Stores, client: Client, key: bytes) -> None:
    """What a change of leaders may come to."""
    cluster.nodes[0].servicer.scheduler.memory_locks.forget_region(context(cluster.nodes[0], key).region_id)
    async with await client.begin(pessimistic=True) as other:
        assert await other.get_for_update(key) == b"before"
        other.put(key, b"between")


def test_a_lost_lock_is_not_taken_again_by_reading_again() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await holder_of(client, b"a")
        await lose_locks_and_overwrite(cluster, client, b"a")
        assert await txn.get_for_update(b"a") == b"before"
        assert await txn.lock_keys([b"a"]) == {}
        with pytest.raises(TxnAborted):
            await commit(client, txn, b"a")

    run(scenario)


@pytest.mark.parametrize("lost", [False, True])
def test_a_value_that_was_not_asked_for_is_read_only_if_the_lock_was_not_lost(lost: bool) -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        async with await client.begin() as first:
            first.put(b"a", b"before")
        txn = await client.begin(pessimistic=True)
        assert await txn.lock_keys([b"a", b"b"]) == {b"a": True, b"b": False}
        if not lost:
            assert await txn.batch_get_for_update([b"a", b"b", b"c"]) == {b"a": b"before"}
            await commit(client, txn, b"a", b"b")
            return
        await lose_locks_and_overwrite(cluster, client, b"a")
        assert await txn.get_for_update(b"b") is None, "nobody wrote it: as good as never lost"
        with pytest.raises(TxnAborted):
            await txn.get_for_update(b"a")
        await txn.rollback()

    run(scenario)
