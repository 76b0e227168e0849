"""Stale reads: any replica, exact snapshots, nothing asked of the leader; and reads from the closest replica."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from server_tools import until

from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.replicas import ReadFrom
from rutile_kv.env.rpc import LocalStub
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.local_network import LocalNetwork
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import TxnError

FAST = {"tick_seconds": 0.02, "store_heartbeat_seconds": 0.2}
ACCOUNTS = [b"account%02d" % number for number in range(8)]


class Counting:
    """A store's stub that counts the reads it gets, and how they are meant."""

    def __init__(self, stub: LocalStub) -> None:
        self._stub = stub
        self.reads: list[kvrpcpb.Context] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)
        if name not in ("KvGet", "KvBatchGet", "KvScan"):
            return method

        def call(request: Any, **options: Any) -> Any:
            self.reads.append(request.context)
            return method(request, **options)

        return call


class World:
    """Three stores in one process, in zones of their own."""

    def __init__(self) -> None:
        self.pd = PdNode(None, None, config=PdConfig(max_replicas=3, tick_s=0.05))
        self.network = LocalNetwork()
        self.nodes: list[StoreNode] = []
        self.stubs: dict[int, Counting] = {}

    async def add_store(self) -> None:
        labels = {"zone": f"z{len(self.nodes) + 1}"}
        config = StoreConfig(address=None, labels=labels, **FAST)  # type: ignore[arg-type]
        node = StoreNode(config, pd_stub=LocalStub(self.pd.servicer), network=self.network)
        await node.start()
        self.nodes.append(node)
        self.stubs[node.store_id] = Counting(LocalStub(node.servicer))

    def client(self, **options: Any) -> Client:
        return Client.local(LocalStub(self.pd.servicer), self.stubs, options=ClientOptions(**options))

    def replicated(self) -> bool:
        return all(
            len(node.driver.region_infos()) == len(self.nodes[0].driver.region_infos())
            and all(len(info.region.peers) == 3 and info.leader for info in node.driver.region_infos())
            for node in self.nodes
        )

    def reads(self) -> dict[int, list[kvrpcpb.Context]]:
        """Taken and forgotten."""
        taken = {store_id: stub.reads for store_id, stub in self.stubs.items()}
        for stub in self.stubs.values():
            stub.reads = []
        return taken


@asynccontextmanager
async def three_stores() -> AsyncIterator[World]:
    world = World()
    await world.pd.start()
    try:
        for _ in range(3):
            await world.add_store()
        await until(world.replicated, seconds=20)
        yield world
    finally:
        for node in world.nodes:
            await node.stop()
        await world.pd.stop()


async def write(client: Client, **values: str) -> None:
    async with await client.begin() as txn:
        for key, value in values.items():
            txn.put(key.encode(), value.encode())


async def served_stale(world: World, client: Client, ts: int, key: bytes) -> bytes | None:
    """Ask until a replica serves it as a stale read."""
    async with asyncio.timeout(20):
        while True:
            world.reads()
            value = await client.snapshot(ts, ReadFrom.STALE).get(key)
            if all(context.stale_read for contexts in world.reads().values() for context in contexts):
                return value
            await asyncio.sleep(0.05)


def test_a_replica_answers_alone_once_it_is_complete() -> None:
    async def run() -> None:
        async with three_stores() as world:
            leader = next(
                n.store_id for n in world.nodes if n.driver.store.led_term(n.driver.region_infos()[0].region.id)
            )
            zone = next(number for number, node in enumerate(world.nodes, 1) if node.store_id != leader)
            client = world.client(labels={"zone": f"z{zone}"})
            await write(client, k="old")
            then = await client.timestamp()
            await write(client, k="new")
            assert await client.snapshot(then, ReadFrom.STALE).get(b"k") == b"old", "the leader, if nobody else can"
            assert await served_stale(world, client, then, b"k") == b"old"
            await client.snapshot(then, ReadFrom.STALE).scan(b"a", b"z")
            assert await client.snapshot(then, ReadFrom.STALE).batch_get([b"k", b"l"]) == {b"k": b"old"}
            reads = world.reads()
            assert [store_id for store_id, contexts in reads.items() if contexts] == [world.nodes[zone - 1].store_id]
            await client.close()

    asyncio.run(run())


def test_a_lock_holds_the_safe_timestamp_back() -> None:
    async def run() -> None:
        async with three_stores() as world:
            client = world.client(labels={"zone": "z2"})
            await write(client, k="old")
            held = await client.begin(pessimistic=False)
            held.put(b"k", b"new")
            request = kvrpcpb.PrewriteRequest(
                mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=b"k", value=b"new")],
                primary_lock=b"k",
                start_version=held.start_ts,
                lock_ttl=60_000,
            )
            region = await client.regions.locate(b"", client.cluster.read_backoff("test"))
            leader = next(n for n in world.nodes if n.driver.store.led_term(region.id))
            info = leader.driver.store.region_info(region.id)
            assert info is not None
            request.context.CopyFrom(
                kvrpcpb.Context(region_id=region.id, region_epoch=info.region.region_epoch, peer=info.peer)
            )
            answer = await world.stubs[leader.store_id].KvPrewrite(request)
            assert not answer.errors
            assert await served_stale(world, client, held.start_ts - 1, b"k") == b"old"
            stale = next(n for n in world.nodes if n.config.labels["zone"] == "z2").servicer.stale
            assert stale is not None
            here = next(n for n in world.nodes if n.config.labels["zone"] == "z2").driver.store.region_info(region.id)
            assert here is not None
            assert stale.safe_ts(here.region, here.peer.id) == held.start_ts - 1
            await held.rollback()
            await client.close()

    asyncio.run(run())


def test_closest_reads_are_fresh_and_come_from_the_closest() -> None:
    async def run() -> None:
        async with three_stores() as world:
            for zone, node in enumerate(world.nodes, 1):
                client = world.client(labels={"zone": f"z{zone}"}, read_from=ReadFrom.CLOSEST)
                for number in range(5):
                    await write(client, k=str(number))
                    world.reads()
                    snapshot = client.snapshot(await client.timestamp())
                    assert await snapshot.get(b"k") == str(number).encode()
                    assert await snapshot.scan() == [(b"k", str(number).encode())]
                    assert [store_id for store_id, contexts in world.reads().items() if contexts] == [node.store_id]
                await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(1))
def test_stale_reads_are_exact_snapshots(seed: int) -> None:
    """Money moves, regions split, leaders move; what a stale read finds is what the leader finds there later."""

    async def run() -> None:
        chance = random.Random(seed)
        async with three_stores() as world:
            client = world.client()
            await write(client, **{account.decode(): "100" for account in ACCOUNTS})
            stop = asyncio.Event()
            tellers = [asyncio.ensure_future(move_money(client, random.Random(n), stop)) for n in range(3)]
            stale = 0
            seen: list[tuple[int, list[tuple[bytes, bytes]]]] = []
            async with asyncio.timeout(40):
                while stale < 8:
                    ts = await client.timestamp()
                    await asyncio.sleep(chance.random() * 2)
                    world.reads()
                    found = await client.snapshot(ts, ReadFrom.STALE).scan(b"account", b"accounu")
                    contexts = [each for contexts in world.reads().values() for each in contexts]
                    stale += bool(contexts) and all(each.stale_read for each in contexts)
                    assert sum(int(value) for _, value in found) == 100 * len(ACCOUNTS)
                    seen.append((ts, found))
                    if len(seen) == 8:
                        await client.split_regions([ACCOUNTS[3], ACCOUNTS[6]])
            stop.set()
            await asyncio.gather(*tellers)
            for ts, found in seen:
                assert await client.snapshot(ts).scan(b"account", b"accounu") == found
            await client.close()

    asyncio.run(run())


async def move_money(client: Client, chance: random.Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        source, target = chance.sample(ACCOUNTS, 2)
        amount = chance.randrange(10)
        try:
            async with await client.begin() as txn:
                have, other = int(await txn.get(source) or 0), int(await txn.get(target) or 0)
                txn.put(source, str(have - amount).encode())
                txn.put(target, str(other + amount).encode())
        except TxnError:
            continue
