"""A range is destroyed on a store only after the replicas there have applied what was written to it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lock_cluster import Stores, stores, until

from rutile_kv.client.client import Client
from rutile_kv.engine.api import CF_LOCK, CF_WRITE, MVCC_CFS
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.catching_up import CatchingUp, ReplicaLags
from rutile_kv.server.node import StoreNode
from rutile_kv.server.space import Space
from rutile_proto.errors import RegionError
from rutile_proto.keys import storage_key

START, END = b"t1", b"t2"
KEYS = 20


def run(scenario: Callable[[Stores, Client, StoreNode], Awaitable[None]]) -> None:
    """With three replicas, and a store whose replica has missed that the range was written."""

    async def body() -> None:
        async with stores(3, 3) as cluster, cluster.client() as client:
            leader = cluster.leader(b"")
            laggard = next(node for node in cluster.nodes if node is not leader)
            cluster.network.cut_off(laggard.store_id)
            await client.split_regions([b"t1_m"])
            async with await client.begin() as txn:
                for number in range(KEYS):
                    txn.put(b"t1_%c" % (ord("a") + number), b"v" * 300)
            await until(lambda: all(is_written(node) for node in cluster.nodes if node is not laggard))
            assert not records(laggard)
            await scenario(cluster, client, laggard)

    asyncio.run(body())


def records(node: StoreNode) -> int:
    engine = node.driver._engine
    return sum(len(list(engine.scan(cf, storage_key(START), storage_key(END)))) for cf in MVCC_CFS)


def is_written(node: StoreNode) -> bool:
    """Whether all of it has come, and nothing will be committed any more."""
    locks, writes = (list(node.driver._engine.scan(cf, b"", None)) for cf in (CF_LOCK, CF_WRITE))
    return not locks and len(writes) == KEYS


async def has_caught_up(node: StoreNode) -> bool:
    """Whether all its replicas have applied what is committed by now."""
    for info in node.driver.region_infos():
        context = context_of(info)
        context.replica_read = True
        try:
            await node.driver.read_view(context)
        except RegionError:
            return False
    return len(node.driver.region_infos()) == 2


def test_a_range_is_destroyed_after_a_lagging_replica_has_caught_up() -> None:
    async def scenario(cluster: Stores, client: Client, laggard: StoreNode) -> None:
        order = [store.id for store in await client.cluster.pd.all_stores()]
        before = [node for node in cluster.nodes if order.index(node.store_id) < order.index(laggard.store_id)]
        destroying = asyncio.create_task(client.destroy_range(START, END))
        await until(lambda: not any(records(node) for node in before))
        cluster.network.heal(laggard.store_id)
        await destroying
        await until(lambda: has_caught_up(laggard))
        assert [records(node) for node in cluster.nodes] == [0, 0, 0]

    run(scenario)


def test_nothing_is_destroyed_beside_a_replica_that_does_not_catch_up_in_time() -> None:
    async def scenario(cluster: Stores, client: Client, laggard: StoreNode) -> None:
        engine, store = laggard.driver._engine, laggard.driver.store
        outside = storage_key(b"t1_a")
        batch = engine.batch()
        batch.put(MVCC_CFS[0], outside, b"as it was")
        engine.write(batch)
        space = Space(engine, store, CatchingUp(laggard.driver, patience_seconds=0.3))
        try:
            with pytest.raises(ReplicaLags, match=r"1 replicas .* within 0\.3 s \(region .*try again"):
                await space.destroy_range(storage_key(START), storage_key(END))
            assert engine.get(MVCC_CFS[0], outside) == b"as it was"
            cluster.network.heal(laggard.store_id)
            await until(lambda: has_caught_up(laggard))
            await space.destroy_range(storage_key(START), storage_key(END))
        finally:
            await space.close()
        assert not records(laggard)

    run(scenario)
