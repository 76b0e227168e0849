"""Whole stores with a placement driver and a client, in one process or over loopback, whose wall clock is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from rutile_kv.client.client import Client
from rutile_kv.env.clock import SystemClock
from rutile_kv.env.rpc import LocalStub
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.local_network import LocalNetwork
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode

WIRES = ("local", "grpc")
FAST = {"tick_seconds": 0.02, "store_heartbeat_seconds": 0.2, "region_heartbeat_seconds": 0.2}


class StandingClock(SystemClock):
    """Raft's clock runs, the calendar stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000

    def wall_ms(self) -> int:
        return self.now_s * 1000 + 999


@dataclass
class World:
    """Stores, their placement driver, one client."""

    pd: PdNode
    client: Client
    clock: StandingClock
    nodes: list[StoreNode] = field(default_factory=list)

    def leaders(self) -> dict[int, StoreNode]:
        """Who leads which region."""
        return {info.region.id: node for node in self.nodes for info in node.driver.region_infos() if info.is_leader}

    async def replicated(self, count: int) -> None:
        """Wait until every region has `count` replicas that have all applied the same."""

        def level() -> bool:
            found: dict[int, list[int]] = {}
            for node in self.nodes:
                for info in node.driver.region_infos():
                    found.setdefault(info.region.id, []).append(info.applied_index)
            return all(len(each) == count and len(set(each)) == 1 for each in found.values())

        await until(level)


@asynccontextmanager
async def world(wire: str = "local", stores: int = 1, **settings: Any) -> AsyncIterator[World]:
    """A cluster of `stores` stores that all hold everything; with `settings` of theirs beside the `FAST` ones."""
    async with AsyncExitStack() as opened:
        clock, network = StandingClock(), LocalNetwork()
        pd_config = PdConfig(max_replicas=stores, tick_s=0.05)
        pd = PdNode(None, "127.0.0.1:0" if wire == "grpc" else None, config=pd_config)
        await pd.start()
        opened.push_async_callback(pd.stop)
        made: list[StoreNode] = []
        stubs: dict[int, Any] = {}
        for _ in range(stores):
            if wire == "grpc":
                config = StoreConfig(address="127.0.0.1:0", pd_addresses=[pd.address], **FAST, **settings)
                node = StoreNode(config, clock=clock)
            else:
                config = StoreConfig(address=None, **FAST, **settings)
                node = StoreNode(config, pd_stub=LocalStub(pd.servicer), network=network, clock=clock)
            await node.start()
            opened.push_async_callback(node.stop)
            made.append(node)
            stubs[node.store_id] = LocalStub(node.servicer)
        local = wire == "local"
        client = Client.local(LocalStub(pd.servicer), stubs) if local else await Client.connect([pd.address])
        opened.push_async_callback(client.close)
        yield World(pd, client, clock, made)


async def until(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 10.0) -> None:
    """Poll until `condition` holds, at most `timeout_s` seconds."""
    async with asyncio.timeout(timeout_s):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)
