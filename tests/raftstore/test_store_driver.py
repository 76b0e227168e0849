"""The driver: stores under asyncio with an in-process transport and a real tick of a few milliseconds."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable

import pytest

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
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import (
    EpochNotMatch,
    InvalidRequest,
    NotLeader,
    ServerIsBusy,
    StaleCommand,
    StorageError,
    UndeterminedResult,
)

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

    def send(self, message):
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

    def region_heartbeat(self, request):
        self.heartbeats.append(request)

    def regions_split(self, regions):
        self.splits.append(list(regions))

    async def ask_split(self, region, count):
        return [(100 + n, [1000 * (n + 1) + peer.store_id for peer in region.peers]) for n in range(count)]


class World:
    """Drivers on one loop; region 1 begins on store 1."""

    def __init__(self, stores: int) -> None:
        self.wires, self.pd = Wires(), Pd()
        self.engines = {store_id: SlowDisk() for store_id in range(1, stores + 1)}
        for store_id, engine in self.engines.items():
            bootstrap_store(engine, 7, store_id)
        bootstrap_first_region(self.engines[1], first_region(1, 11, 1))
        for store_id in self.engines:
            self.boot(store_id)

    def boot(self, store_id: int) -> StoreDriver:
        engine = self.engines[store_id]
        store = Store(store_id, engine, StoreConfig(log_gap_entries=16), random.Random(store_id))
        driver = StoreDriver(store, engine, self.wires, self.pd, SystemClock(), tick_seconds=TICK_SECONDS)
        driver._syncs_inline = False
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


def test_a_single_store_writes_and_reads():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            await driver.write(world.context(), put(b"k", b"v"))
            view = await driver.read_view(world.context())
            assert view.get("default", b"k") == b"v"
            snapshot, region, index = await driver.snapshot(world.context())
            with snapshot:
                await driver.write(world.context(), put(b"k", b"w"))
                assert snapshot.get("default", b"k") == b"v"
            assert (region.id, index) == (1, driver.region_infos()[0].applied_index - 1)

    asyncio.run(run())


def test_a_view_notes_its_term_and_a_write_from_an_older_one_is_stale():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            context = world.context()
            await driver.read_view(context)
            assert context.term == driver.region_infos()[0].term
            context.term -= 2
            with pytest.raises(StaleCommand):
                await driver.write(context, put(b"k", b"v"))

    asyncio.run(run())


def test_concurrent_writes_share_syncs():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            before = world.engines[1].syncs
            await asyncio.gather(*(driver.write(world.context(), put(b"%03d" % n, b"v")) for n in range(200)))
            assert world.engines[1].syncs - before < 20

    asyncio.run(run())


def test_three_stores_replicate_by_pds_orders_and_followers_read():
    async def run():
        async with World(3) as world:
            driver = await world.grow()
            await driver.write(world.context(), put(b"k", b"v"))
            follower = world.wires.drivers[2]
            view = await follower.read_view(world.context(2, replica_read=True))
            assert view.get("default", b"k") == b"v"
            with pytest.raises(NotLeader):
                await follower.read_view(world.context(2))
            assert any(len(beat.region.peers) == 3 for beat in world.pd.heartbeats)

    asyncio.run(run())


def test_split_asks_pd_for_ids_and_reports():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            old = world.context()
            left, right = await driver.split(world.context(), [b"m"])
            assert (left.id, right.id) == (100, 1)
            assert world.pd.splits == [[left, right]]
            with pytest.raises(EpochNotMatch) as stale:
                await driver.read_view(old)
            assert {region.id for region in stale.value.current_regions} == {1, 100}
            await world.until(lambda: driver.store.region_info(100).is_leader)
            await driver.write(world.context(region_id=100), put(b"a", b"1"))
            with pytest.raises(InvalidRequest):
                await driver.split(world.context(), [b"m"])

    asyncio.run(run())


def test_leader_moves_on_pds_order_and_writes_go_on():
    async def run():
        async with World(3) as world:
            driver = await world.grow()
            order = pdpb.RegionHeartbeatResponse(
                region_id=1,
                region_epoch=driver.region(1).region_epoch,
                transfer_leader=pdpb.TransferLeader(peer=metapb.Peer(id=12, store_id=2)),
            )
            driver.on_pd_heartbeat_response(order)
            other = await world.leading(2)
            with pytest.raises(NotLeader):
                await driver.write(world.context(1), put(b"k", b"v"))
            await other.write(world.context(2), put(b"k", b"v"))

    asyncio.run(run())


def test_a_store_that_was_away_catches_up_with_a_snapshot():
    async def run():
        async with World(3) as world:
            driver = await world.grow()
            await world.wires.drivers[3].stop()
            for n in range(60):
                await driver.write(world.context(), put(b"%03d" % n, b"v" * 100))
            behind = world.wires.drivers[3].store.applied_index(1)
            driver.store._config = driver.store._registry.config = StoreConfig(log_gap_entries=4, log_limit_entries=8)
            await world.until(lambda: driver.region_infos()[0].truncated_index > behind)
            revived = world.boot(3)
            await revived.start()
            await world.until(lambda: revived.store.applied_index(1) >= driver.store.applied_index(1))
            assert world.engines[3].get("default", b"059") == b"v" * 100

    asyncio.run(run())


def test_a_failing_disk_ends_the_store_loudly(caplog):
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            world.engines[1].broken = True
            with pytest.raises(UndeterminedResult):
                await driver.write(world.context(), put(b"k", b"v"))
            assert isinstance(driver.failure, StorageError)
            with pytest.raises(StorageError):
                await driver.write(world.context(), put(b"k", b"v"))
            with pytest.raises(StorageError):
                await driver.read_view(world.context())
            assert driver.stopped.is_set()

    asyncio.run(run())
    assert "stops serving" in caplog.text


def test_stop_answers_everybody():
    async def run():
        world = World(3)
        async with world:
            driver = await world.grow()
            await world.wires.drivers[2].stop()
            await world.wires.drivers[3].stop()
            hanging = asyncio.ensure_future(driver.write(world.context(), put(b"k", b"v")))
            await asyncio.sleep(0)
        with pytest.raises(UndeterminedResult):
            await hanging
        with pytest.raises(ServerIsBusy):
            await driver.write(world.context(), put(b"k", b"v"))

    asyncio.run(run())


def test_a_torn_snapshot_changes_nothing():
    async def run():
        async with World(1) as world:
            driver = await world.leading()

            async def chunks():
                yield b"not a snapshot at all, and much longer than a trailer"

            message = raft_serverpb.RaftMessage(region_id=1)
            with pytest.raises(InvalidRequest):
                await driver.receive_snapshot(message, chunks())
            assert driver.failure is None

    asyncio.run(run())


def test_a_snapshot_the_network_loses_is_sent_again():
    async def run():
        async with World(2) as world:
            driver = await world.leading()
            await driver.write(world.context(), put(b"k", b"v"))
            carry, failures = world.wires.send_snapshot, []

            async def lossy(message, chunks):
                if len(failures) < 2:
                    failures.append(message)
                    await anext(chunks)
                    await chunks.aclose()
                    raise RuntimeError("whatever a network raises")
                await carry(message, chunks)

            driver._snapshots._transport = type("Lossy", (), {"send_snapshot": staticmethod(lossy)})
            change = pdpb.ChangePeer(
                peer=metapb.Peer(id=12, store_id=2), change_type=eraftpb.ConfChangeType.AddLearnerNode
            )
            await driver.change_peer(world.context(), [change])
            await world.until(lambda: world.engines[2].get("default", b"k") == b"v")
            assert len(failures) == 2 and driver.failure is None
            assert driver.store._registry.quota.in_use == 0

    asyncio.run(run())


def test_a_slow_disk_holds_back_writes_but_not_reads():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            await driver.write(world.context(), put(b"k", b"v"))
            await world.until(lambda: driver.store.read_now(world.context(), driver.store.tick_count))
            gate, engine = threading.Event(), world.engines[1]
            sync = engine.sync
            engine.sync = lambda: (gate.wait(10), sync())
            pending = asyncio.ensure_future(driver.write(world.context(), put(b"k", b"w")))
            await asyncio.sleep(0.02)
            view = await driver.read_view(world.context())
            assert view.get("default", b"k") == b"v"
            assert not pending.done()
            gate.set()
            await pending
            assert (await driver.read_view(world.context())).get("default", b"k") == b"w"

    asyncio.run(run())


def test_an_order_this_version_cannot_carry_out_does_no_harm(caplog):
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            caplog.set_level("INFO")
            for order in (
                pdpb.RegionHeartbeatResponse(region_id=1, merge=pdpb.Merge(target=driver.region(1))),
                pdpb.RegionHeartbeatResponse(region_id=1, split_region=pdpb.SplitRegion()),
                pdpb.RegionHeartbeatResponse(region_id=77, merge=pdpb.Merge()),
            ):
                driver.on_pd_heartbeat_response(order)
            await world.until(lambda: "cannot do" in caplog.text and "without keys" in caplog.text)
            await driver.write(world.context(), put(b"k", b"v"))

    asyncio.run(run())
