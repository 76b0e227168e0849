"""Long outages: every kind of operation waits longer and longer, gives up in time, and does not dig itself in."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from client_fakes import DROP, World, run

from rutile_kv.client.cluster import ClientOptions
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RetriesExhausted, TxnLockNotFound

KEYS = [b"k%02d" % n for n in range(30)]
HINT = errorpb.NotLeader(region_id=1, leader=metapb.Peer(id=11, store_id=1))
OUTAGES: dict[str, Any] = {
    "unreachable": DROP,
    "stale": errorpb.Error(stale_command=errorpb.StaleCommand()),
    "no leader": errorpb.Error(not_leader=errorpb.NotLeader(region_id=1)),
    "hints in a circle": errorpb.Error(not_leader=HINT),
    "epoch": errorpb.Error(epoch_not_match=errorpb.EpochNotMatch()),
}


async def read_many(world: World) -> None:
    await world.client.snapshot(await world.client.timestamp()).batch_get(KEYS)


async def scan(world: World) -> None:
    await world.client.snapshot(await world.client.timestamp()).scan()


async def commit(world: World) -> None:
    async with await world.client.begin() as txn:
        for key in KEYS:
            txn.put(key, b"v")


async def load(world: World) -> None:
    await world.client.bulk_put([(key, b"v") for key in KEYS], 1, 2)


OPERATIONS: dict[str, Callable[[World], Awaitable[None]]] = {
    "KvBatchGet": read_many,
    "KvScan": scan,
    "KvPrewrite": commit,
    "BulkWrite": load,
}


@pytest.mark.parametrize("regions", [1, 3])
@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("method", OPERATIONS)
def test_an_outage_as_long_as_the_budget(method: str, outage: str, regions: int) -> None:
    async def body(world: World) -> None:
        world.cluster.split(*KEYS[10 : 10 * regions : 10])
        world.cluster.inject(method, *[OUTAGES[outage]] * 20_000)
        started_s = world.cluster.time.clock.monotonic()
        with pytest.raises((RetriesExhausted, TxnLockNotFound)):  # the latter: a lost prewrite was found out about
            await OPERATIONS[method](world)
        assert world.cluster.time.clock.monotonic() - started_s >= 15
        assert world.cluster.count(method) <= 250 * regions  # 20 s of virtual time at 100 ms or more a try
        world.cluster.faults.clear()

    run("local", body, options=ClientOptions(read_budget_s=20.0, write_budget_s=20.0))


@pytest.mark.parametrize("method", OPERATIONS)
def test_work_goes_on_after_an_outage_with_splits_in_it(method: str) -> None:
    """Every few tries the region splits again under the batch; its pieces arrive in the end, each once."""

    async def body(world: World) -> None:
        def split(request: Any) -> None:
            world.cluster.split(KEYS[world.cluster.count(method) % len(KEYS)])

        world.cluster.inject(method, *[split, DROP, DROP] * 40)
        await OPERATIONS[method](world)
        await world.client.close()

    run("local", body, options=ClientOptions(read_budget_s=200.0, write_budget_s=200.0))
