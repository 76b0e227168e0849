"""Whole stores in this process: three of them, three replicas of every region, led from different stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from lock_modes import IN_MEMORY

from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.env.rpc import LocalStub
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.local_network import LocalNetwork
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest, RegionError
from rutile_proto.keys import storage_key

FAST = {"tick_seconds": 0.02, "store_heartbeat_seconds": 0.2, "region_heartbeat_seconds": 0.2}


@dataclass
class Stores:
    """`stubs` is what clients look into."""

    pd: PdNode
    nodes: list[StoreNode] = field(default_factory=list)
    stubs: dict[int, Any] = field(default_factory=dict)
    network: LocalNetwork = field(default_factory=LocalNetwork)

    @property
    def pd_stub(self) -> LocalStub:
        return LocalStub(self.pd.servicer)

    async def add(self, **config: Any) -> StoreNode:
        settings = {"pessimistic_locks_in_memory": IN_MEMORY.get(), **FAST, **config}
        node = StoreNode(StoreConfig(address=None, **settings), pd_stub=self.pd_stub, network=self.network)
        await node.start()
        self.nodes.append(node)
        self.stubs[node.store_id] = LocalStub(node.servicer)
        return node

    def client(self, **options: Any) -> Client:
        return Client.local(self.pd_stub, self.stubs, options=ClientOptions(**options))

    def leader(self, key: bytes) -> StoreNode | None:
        """The store that leads the region of the user key."""
        place = storage_key(key) if key else b""
        for node in self.nodes:
            region = node.driver.store.find_region(place)
            if region is not None and node.driver.store.led_term(region.id):
                return node
        return None

    async def lead(self, key: bytes, node: StoreNode) -> None:
        """Have the region of `key` led from `node`."""

        async def moved() -> bool:
            leader = self.leader(key)
            if leader is node:
                return True
            if leader is not None:
                region = leader.driver.store.find_region(storage_key(key) if key else b"")
                info = leader.driver.store.region_info(region.id)
                target = next(peer for peer in region.peers if peer.store_id == node.store_id)
                with suppress(RegionError):  # a peer that has just come into being may be silent yet
                    await leader.driver.transfer_leader(context_of(info, region.region_epoch), target.id)
            return False

        await until(moved)

    async def merge(self, key: bytes) -> None:
        """Make the region of `key` a part of its right neighbour, everywhere."""
        place = storage_key(key) if key else b""
        await until(lambda: self.leader(key) is not None)
        source = self.leader(key).driver.store.find_region(place).id

        async def gone() -> bool:
            leader = self.leader(key)
            region = None if leader is None else leader.driver.store.find_region(place)
            if region is not None and region.id == source and not leader.driver.store.is_merging(source):
                target = leader.driver.store.find_region(region.end_key)
                with suppress(RegionError, InvalidRequest):
                    await leader.driver.merge(context_of(leader.driver.store.region_info(source)), target)
            return all(node.driver.store.region(source) is None for node in self.nodes)

        await until(gone)


@asynccontextmanager
async def stores(
    count: int, replicas: int, pd_config: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[Stores]:
    """`count` stores, and `replicas` peers of the first region in place."""
    cluster = Stores(PdNode(None, None, config=PdConfig(max_replicas=replicas, tick_s=0.05, **(pd_config or {}))))
    await cluster.pd.start()
    try:
        for _ in range(count):
            await cluster.add(**config)

        def placed() -> bool:
            region = cluster.nodes[0].driver.store.find_region(b"")
            voters = [] if region is None else [peer for peer in region.peers if peer.role == metapb.Voter]
            return len(voters) == replicas and len(region.peers) == replicas and cluster.leader(b"") is not None

        await until(placed)
        yield cluster
    finally:
        for node in cluster.nodes:
            await node.stop()
        await cluster.pd.stop()


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Poll, with a deadline."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met is True or (met is not False and await met):
                return
            await asyncio.sleep(0.01)
