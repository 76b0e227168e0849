"""Folding behind the readers' backs: when it is due, and that readers go on with what they have."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from mirror_world import SCHEMA, MirrorWorld, rows_of

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.mirror import MirrorReader
from rutile_kv.server.mirror_keeper import MirrorKeeper

KEY = BaseKey(3, 1, SCHEMA.table_id, SCHEMA.layout_version)


def filled() -> tuple[MirrorWorld, MirrorReader]:
    world = MirrorWorld()
    world.bulk(10, {handle: (f"cat {handle}", handle) for handle in range(2000)})
    return world, MirrorReader(world.cache)


def run_keeper(world: MirrorWorld, work: Callable[[], object]) -> None:
    """Do the work, and wait until nothing is left to fold."""

    async def main() -> None:
        keeper = MirrorKeeper(world.cache, world.local_snapshot)
        keeper.start()
        work()
        async with asyncio.timeout(20):
            while world.cache.due():
                await asyncio.sleep(0.01)
        await keeper.close()

    asyncio.run(main())


def test_a_delta_is_folded_when_reads_have_paid_for_it() -> None:
    world = filled()[0]
    reader = MirrorReader(world.cache, keeps=False)
    world.read(reader, 20)
    world.write(1, 30, ("dog", 4))
    assert world.cache.due() == []
    run_keeper(world, lambda: world.read(reader, 100, ("name",)))
    assert world.read(reader, 100, ("name",)).path == "mirror+delta", "one read has not paid for all columns"
    run_keeper(world, lambda: [world.read(reader, 100, ("name",)) for _ in range(40)])
    assert world.read(reader, 100, ("name",)).path == "mirror"
    assert world.read(reader, 25, ("name",)).path == "mirror+delta", "the base before is kept"
    assert rows_of(world.read(reader, 100, ("name",)))[1] == ("dog",)


def test_a_long_delta_is_folded_whoever_reads() -> None:
    world = MirrorWorld(ArrowCache(max_log_entries=16))
    world.bulk(10, {handle: ("cat", handle) for handle in range(3)})
    world.read(MirrorReader(world.cache), 20)
    for number in range(24):
        run_keeper(world, lambda number=number: world.bulk(30 + number, dict.fromkeys(range(2), ("dog", number))))
    assert world.cache.counters.overflows == 0
    found = world.read(MirrorReader(world.cache), 100, ("legs",))
    assert (found.path, rows_of(found)) == ("mirror", [(23,), (23,), (2,)])


def test_a_base_whose_delta_is_of_a_newer_layout_goes() -> None:
    world, reader = filled()
    world.read(reader, 20)
    world.alter()
    world.write(1, 30, ("dog", 4))
    world.cache.charge(KEY, 1 << 40)
    run_keeper(world, lambda: None)
    assert len(world.cache) == 0
    assert [world.read(reader, 100).path for _ in range(2)] == ["rows", "mirror"]


def test_under_pressure_builders_wait_for_a_keeper_and_not_for_one_that_is_closed(tmp_path: Path) -> None:
    world, reader = filled()
    world.read(reader, 20)
    world.cache.budget_bytes = world.cache.size_bytes + 1
    assert world.cache.is_pressed()

    async def main() -> None:
        keeper = MirrorKeeper(world.cache, world.local_snapshot, MirrorFiles(tmp_path, 1 << 30))
        keeper.start()
        async with asyncio.timeout(20):
            await asyncio.to_thread(world.cache.await_room, lambda size_bytes: None)
        await keeper.close()
        assert not world.cache.is_pressed()

    asyncio.run(main())
    world.cache.budget_bytes = 1
    world.cache.await_room(lambda size_bytes: None)
