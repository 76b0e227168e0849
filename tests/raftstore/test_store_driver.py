"""The driver: stores under asyncio with an in-process transport and a real tick of a few milliseconds."""

import asyncio
import threading

import pytest
from driver_world import World, put

from rutile_kv.raftstore.config import StoreConfig
from rutile_proto import eraftpb_pb2 as eraftpb
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
            driver.store.config = driver.store._registry.config = StoreConfig(log_gap_entries=4, log_limit_entries=8)
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
            driver._sync._mean_s = 1.0  # known to be slow; a quick one is synced on the spot
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
                pdpb.RegionHeartbeatResponse(region_id=1),
                pdpb.RegionHeartbeatResponse(region_id=77),
            ):
                driver.on_pd_heartbeat_response(order)
            await world.until(lambda: "cannot do" in caplog.text)
            await driver.write(world.context(), put(b"k", b"v"))

    asyncio.run(run())
