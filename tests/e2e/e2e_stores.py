"""A cluster over loopback in this process, in a thread of its own: for clients that block or bring their own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from rutile_kv.client.client import Client
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import metapb_pb2 as metapb

T = TypeVar("T")
FAST = {"tick_seconds": 0.02, "store_heartbeat_seconds": 0.2, "region_heartbeat_seconds": 0.2}
PATIENCE_SECONDS = 60.0


class Stores:
    """A placement driver and stores that all hold everything; `client` is ours."""

    pd: PdNode
    client: Client

    def __init__(self, count: int) -> None:
        self.nodes: list[StoreNode] = []
        self._count = count
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="stores")

    @property
    def pd_address(self) -> str:
        return self.pd.address

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(PATIENCE_SECONDS)
        if self._failure is not None:
            raise self._failure

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done in the cluster's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_SECONDS)

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as opened:
            try:
                await self._open(opened)
            except BaseException as error:
                self._failure = error
                return
            finally:
                self._ready.set()
            await self._end.wait()

    async def _open(self, opened: AsyncExitStack) -> None:
        self.pd = PdNode(None, "127.0.0.1:0", config=PdConfig(max_replicas=self._count, tick_s=0.05))
        await self.pd.start()
        opened.push_async_callback(self.pd.stop)
        for _ in range(self._count):
            node = StoreNode(StoreConfig(address="127.0.0.1:0", pd_addresses=[self.pd.address], **FAST))
            await node.start()
            opened.push_async_callback(node.stop)
            self.nodes.append(node)
        self.client = await Client.connect([self.pd.address])
        opened.push_async_callback(self.client.close)
        async with asyncio.timeout(20):
            await self._replicated()

    async def _replicated(self) -> None:
        """Wait until every store has a vote in the first region, and knows it."""
        while True:
            regions = [info.region for node in self.nodes for info in node.driver.region_infos()]
            voters = [sum(peer.role == metapb.Voter for peer in region.peers) for region in regions]
            if voters == [self._count] * self._count:
                return
            await asyncio.sleep(0.02)


@contextmanager
def stores(count: int) -> Iterator[Stores]:
    """`count` stores, all of which hold everything."""
    cluster = Stores(count)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
