"""Snapshots that are taken before the leader is asked: never called new when something committed is missing."""

import asyncio

from driver_world import World, put

from rutile_kv.raftstore.driver import StoreDriver


async def read(driver: StoreDriver, world: World, store_id: int) -> tuple[bytes | None, bool]:
    """What a snapshot as applied holds, and whether it is the newest."""
    contexts = [world.context(store_id, replica_read=True)]
    found = driver.snapshots_as_applied(contexts)
    assert found is not None
    try:
        is_newest = await driver.are_newest(contexts, found)
        return found[0][0].get("default", b"k"), is_newest
    finally:
        found[0][0].close()


def test_a_snapshot_that_is_called_newest_holds_all_that_was_acknowledged():
    async def run():
        async with World(3) as world:
            leader = await world.grow()
            follower = world.wires.drivers[2]
            for number in range(60):
                await leader.write(world.context(), put(b"k", b"%03d" % number))
                value, is_newest = await read(follower, world, 2)
                assert value == b"%03d" % number or not is_newest
            assert (await read(leader, world, 1)) == (b"059", True)
            while (await read(follower, world, 2)) != (b"059", True):
                await asyncio.sleep(0)

    asyncio.run(run())


def test_readers_beside_a_writer_miss_nothing_they_could_know_of():
    async def run():
        async with World(3) as world:
            leader = await world.grow()
            acknowledged, confirmed = -1, 0

            async def write() -> None:
                nonlocal acknowledged
                for number in range(150):
                    await leader.write(world.context(), put(b"k", b"%03d" % number))
                    acknowledged = number
                    if number % 10 == 0:
                        await asyncio.sleep(0)

            async def look(store_id: int) -> None:
                nonlocal confirmed
                while not writer.done():
                    known = acknowledged
                    value, is_newest = await read(world.wires.drivers[store_id], world, store_id)
                    if is_newest:
                        confirmed += 1
                        assert known < 0 or (value is not None and int(value) >= known)

            writer = asyncio.ensure_future(write())
            await asyncio.gather(writer, look(1), look(2), look(3))
            assert confirmed

    asyncio.run(run())


def test_what_was_applied_in_the_meantime_makes_a_snapshot_old():
    async def run():
        async with World(3) as world:
            leader = await world.grow()
            follower = world.wires.drivers[2]
            await leader.write(world.context(), put(b"k", b"old"))
            contexts = [world.context(2, replica_read=True)]
            found = follower.snapshots_as_applied(contexts)
            await leader.write(world.context(), put(b"k", b"new"))
            assert not await follower.are_newest(contexts, found)
            found[0][0].close()

    asyncio.run(run())


def test_where_a_region_is_not_served_there_is_none_and_who_does_not_lead_is_not_believed():
    async def run():
        async with World(3) as world:
            await world.grow()
            follower = world.wires.drivers[2]
            stranger = world.context(2, replica_read=True)
            stranger.region_id = 99
            assert follower.snapshots_as_applied([world.context(2, replica_read=True), stranger]) is None
            contexts = [world.context(2)]
            found = follower.snapshots_as_applied(contexts)
            if found is not None:
                assert not await follower.are_newest(contexts, found)
                found[0][0].close()

    asyncio.run(run())
