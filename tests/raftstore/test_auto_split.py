"""Regions that cut themselves: drivers on one loop, with limits of kilobytes."""

import asyncio
from contextlib import suppress

from driver_world import World

from rutile_kv.engine.api import CF_LOCK, CF_WRITE
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import EpochNotMatch
from rutile_proto.keys import int_handle, record_key, storage_key, table_prefix, versioned_key

SMALL = {
    "region_max_bytes": 40_000,
    "region_split_bytes": 20_000,
    "table_split_bytes": 15_000,
    "split_check_ticks": 3,
    "split_check_growth_bytes": 5_000,
}


def version(user_key, value=b"v" * 900):
    return [(CF_WRITE, versioned_key(storage_key(user_key), 7), value)]


async def fill(world, driver, user_keys):
    """Write each key wherever it belongs now."""
    for key in user_keys:
        while True:
            region = driver.find_region(storage_key(key))
            await world.until(lambda region=region: driver.store.led_term(region.id))
            try:
                await driver.write(world.context(region_id=region.id), version(key))
                break
            except EpochNotMatch:
                continue


def regions_of(driver):
    return [(info.region.start_key, info.region.end_key) for info in driver.region_infos()]


def held(world, info):
    return sum(
        len(key) + len(value)
        for key, value in world.engines[1].scan(CF_WRITE, info.region.start_key, info.region.end_key or None)
    )


def test_a_growing_region_cuts_itself_into_parts_that_know_their_size():
    async def run():
        async with World(1, **SMALL) as world:
            driver = await world.leading()
            await fill(world, driver, [b"k%03d" % n for n in range(50)])
            await world.until(lambda: len(driver.region_infos()) > 1)
            infos = driver.region_infos()
            assert [b"", *(info.region.end_key for info in infos)] == [*(info.region.start_key for info in infos), b""]
            for info in infos:
                assert 0.7 < info.approximate_size_bytes / held(world, info) < 1.3
            assert len(world.pd.splits) == 1, "PD hears of it once"
            await fill(world, driver, [b"k%03d" % n for n in range(50, 160)])
            await world.until(lambda: all(held(world, info) < 41_000 for info in driver.region_infos()))

    asyncio.run(run())


def test_tables_part():
    async def run():
        async with World(1, **SMALL) as world:
            driver = await world.leading()
            rows = [record_key(table, int_handle(row)) for table, count in ((1, 2), (2, 18)) for row in range(count)]
            await fill(world, driver, rows)
            await world.until(lambda: len(driver.region_infos()) == 2)
            border = storage_key(table_prefix(2))
            assert regions_of(driver) == [(b"", border), (border, b"")]

    asyncio.run(run())


def test_pd_may_leave_the_choice_of_the_key_to_the_store():
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            await fill(world, driver, [b"k%d" % n for n in range(10)])
            order = pdpb.RegionHeartbeatResponse(
                region_id=1,
                region_epoch=driver.region(1).region_epoch,
                split_region=pdpb.SplitRegion(policy=pdpb.CheckPolicy.APPROXIMATE),
            )
            driver.on_pd_heartbeat_response(order)
            await world.until(lambda: len(driver.region_infos()) == 2)
            assert regions_of(driver)[0] == (b"", storage_key(b"k5"))

    asyncio.run(run())


def test_a_region_without_a_middle_stays_whole(caplog):
    async def run():
        async with World(1) as world:
            driver = await world.leading()
            order = pdpb.RegionHeartbeatResponse(region_id=1, region_epoch=driver.region(1).region_epoch)
            order.split_region.policy = pdpb.CheckPolicy.SCAN
            driver.on_pd_heartbeat_response(order)
            await world.until(lambda: "has no border" in caplog.text)
            assert len(driver.region_infos()) == 1

    asyncio.run(run())


def test_a_hot_region_is_cut_between_its_requests():
    async def run():
        async with World(3, load_split_requests=150, load_windows=2) as world:
            driver = await world.grow()
            keys = [storage_key(b"%03d" % n) for n in range(100)]
            async with asyncio.timeout(20):
                while len(driver.region_infos()) == 1:
                    with suppress(EpochNotMatch):
                        for key in keys:
                            (await driver.read_view(world.context())).get(CF_LOCK, key)
                    await asyncio.sleep(0.01)
            border = driver.region_infos()[1].region.start_key
            assert keys[20] < border < keys[80]
            await world.until(lambda: world.pd.heartbeats and max(beat.keys_read for beat in world.pd.heartbeats) > 50)

    asyncio.run(run())


def test_a_single_replica_is_not_cut_for_its_load():
    async def run():
        async with World(1, load_split_requests=1, load_windows=1) as world:
            driver = await world.leading()
            for n in range(400):
                view = await driver.read_view(world.context())
                view.get(CF_LOCK, storage_key(b"%03d" % n))
            driver._end_load_window()
            await driver.write(world.context(), version(b"k"))
            assert len(driver.region_infos()) == 1, "nobody else could lead the other half"

    asyncio.run(run())
