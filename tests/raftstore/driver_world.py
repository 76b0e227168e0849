"""Stores under asyncio with an in-process transport and a real tick of a few milliseconds."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.env.clock import SystemClock
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, bootstrap_store, first_region
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.store import Store
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import StorageError

TICK_SECONDS = 0.02


class SlowDisk(MemoryEngine):
    """A MemoryEngine that is synced in a thread, and can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.syncs = 0
        self.broken = False

    def sync(self) -> None:
        super().sync()
        self.syncs += 1
        if self.broken:
            raise StorageError("the disk is gone")


class Wires:
    """A Transport for all drivers of a test; messages arrive in a later turn."""

    def __init__(self) -> None:
        self.drivers: dict[int, StoreDriver] = {}

    def send(self, messages):
        for message in messages:
            asyncio.get_running_loop().call_soon(self._deliver, message)

    def _deliver(self, message):
        driver = self.drivers.get(message.to_peer.store_id)
        if driver is not None:
            driver.handle_raft_message(message)

    async def send_snapshot(self, message, chunks: AsyncIterator[bytes]) -> None:
        await self.drivers[message.to_peer.store_id].receive_snapshot(message, chunks)


class Pd:
    """Remembers what it is told; hands out ids."""

    def __init__(self) -> None:
        self.heartbeats: list[pdpb.RegionHeartbeatRequest] = []
        self.splits: list[list[metapb.Region]] = []
        self.regions: dict[int, metapb.Region] = {}
        """What it tells of regions when asked."""
        self.given = 0
        self.asked = 0

    def region_heartbeat(self, request):
        self.heartbeats.append(request)

    def regions_split(self, regions):
        self.splits.append(list(regions))

    async def region_by_id(self, region_id):
        self.asked += 1
        return self.regions.get(region_id)

    async def ask_split(self, region, count):
        first = self.given
        self.given += count
        return [
            (100 + n, [1000 * (n + 1) + peer.store_id for peer in region.peers]) for n in range(first, first + count)
        ]


class World:
    """Drivers on one loop; region 1 begins on store 1."""

    def __init__(self, stores: int, **config: int) -> None:
        self.config = StoreConfig(**{"log_gap_entries": 16, **config})
        self.wires, self.pd = Wires(), Pd()
        self.engines = {store_id: SlowDisk() for store_id in range(1, stores + 1)}
        for store_id, engine in self.engines.items():
            bootstrap_store(engine, 7, store_id)
        bootstrap_first_region(self.engines[1], first_region(1, 11, 1))
        for store_id in self.engines:
            self.boot(store_id)

    def boot(self, store_id: int) -> StoreDriver:
        engine = self.engines[store_id]
        store = Store(store_id, engine, self.config, random.Random(store_id))
        driver = StoreDriver(store, engine, self.wires, self.pd, SystemClock(), tick_seconds=TICK_SECONDS)
        driver._sync._in_memory = False
        self.wires.drivers[store_id] = driver
        return driver

    async def __aenter__(self) -> "World":
        for driver in self.wires.drivers.values():
            await driver.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for driver in self.wires.drivers.values():
            await driver.stop()

    def context(self, store_id: int = 1, region_id: int = 1, **fields: object) -> kvrpcpb.Context:
        info = self.wires.drivers[store_id].store.region_info(region_id)
        assert info is not None
        return kvrpcpb.Context(region_id=region_id, region_epoch=info.region.region_epoch, peer=info.peer, **fields)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def leading(self, store_id: int = 1) -> StoreDriver:
        driver = self.wires.drivers[store_id]
        await self.until(lambda: driver.region_infos() and driver.region_infos()[0].is_leader)
        return driver

    async def grow(self) -> StoreDriver:
        """Region 1 with voters on all stores; PD orders it."""
        driver = await self.leading()
        for store_id in list(self.engines)[1:]:
            peer = metapb.Peer(id=10 + store_id, store_id=store_id)
            for kind in (eraftpb.ConfChangeType.AddLearnerNode, eraftpb.ConfChangeType.AddNode):
                region = driver.region(1)
                order = pdpb.RegionHeartbeatResponse(
                    region_id=1,
                    region_epoch=region.region_epoch,
                    change_peer=pdpb.ChangePeer(peer=peer, change_type=kind),
                )
                driver.on_pd_heartbeat_response(order)
                await self.until(lambda before=region: driver.region(1) != before)
            await self.until(lambda store_id=store_id: self.wires.drivers[store_id].region(1))
        return driver


def put(key: bytes, value: bytes):
    return [("default", key, value)]
