"""Raw data in a cluster: replicated, split and moved like all data, and out of reach of transactions."""

import asyncio
import io

from raw_world import World, until, world

from rutile_kv.engine.api import DATA_CFS, RAW_CFS
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore.commands import decode_modifies, encode_write
from rutile_kv.raftstore.data_ranges import clear_region
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raftstore.snapshot import SpooledSnapshot, encode_snapshot
from rutile_kv.server.fenced_kv import FencedKv
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.server.node import StoreNode
from rutile_kv.server.raw_sweeper import WALK_SECONDS, RawSweeper
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.keys import storage_key

KEYS = [b"%03d" % number for number in range(300)]


async def replica_values(place: World, node: int, keys: list[bytes]) -> list[bytes]:
    """The raw values that one store reads of `keys`, leader or not."""
    store = place.nodes[node]
    found = []
    for key in keys:
        info = next(info for info in store.driver.region_infos() if _holds(info.region, key))
        where = kvrpcpb.Context(
            region_id=info.region.id, region_epoch=info.region.region_epoch, peer=info.peer, replica_read=True
        )
        stub = await place.client.cluster.sender.stub(store.store_id, place.client.cluster.read_backoff("test"))
        async with asyncio.timeout(10):
            answer = await stub.RawGet(kvrpcpb.RawGetRequest(context=where, key=key, cf="write"))
            while answer.HasField("region_error"):  # a follower that has not heard of its leader yet
                await asyncio.sleep(0.01)
                answer = await stub.RawGet(kvrpcpb.RawGetRequest(context=where, key=key, cf="write"))
        found.append(answer.value)
    return found


def _holds(region: metapb.Region, key: bytes) -> bool:
    return region.start_key <= key and (not region.end_key or key < region.end_key)


def test_every_replica_has_raw_data_whatever_region_it_is_in() -> None:
    async def main() -> None:
        async with world(stores=3) as place:
            raw = place.client.raw.with_cf("write")
            await raw.batch_put({key: b"v" + key for key in KEYS})
            await place.replicated(3)
            await place.client.split_regions([b"100", b"200"])
            await raw.batch_put({key: b"w" + key for key in KEYS[::2]})
            expected = [(b"v" if at % 2 else b"w") + key for at, key in enumerate(KEYS)]
            await place.replicated(3)
            for node in range(3):
                assert await replica_values(place, node, KEYS[::30]) == expected[::30]
            assert [value for _, value in await raw.scan()] == expected
            assert [value for _, value in await raw.scan(reverse=True)] == expected[::-1]

    asyncio.run(main())


def test_raw_and_transactional_data_do_not_touch() -> None:
    """The same keys, and keys that look like the other's in the engine; each side sees, locks and deletes its own."""

    async def main() -> None:
        async with world() as place:
            client = place.client
            keys = [b"k", storage_key(b"k"), storage_key(b"k") + bytes(8)]
            for cf in ("default", "lock", "write"):
                await client.raw.with_cf(cf).batch_put(dict.fromkeys(keys, b"raw"))
            async with await client.begin() as txn:
                assert await txn.scan() == []
                for key in keys:
                    txn.put(key, b"transactional" * 100)
                await txn.commit()
            assert (await client.raw.compare_and_swap(b"k", b"raw", b"raw 2"))[0]
            for cf in ("default", "lock", "write"):
                assert [key for key, _ in await client.raw.with_cf(cf).scan()] == keys
                await client.raw.with_cf(cf).delete_range(b"", b"")
            snapshot = client.snapshot(await client.timestamp())
            assert [key for key, _ in await snapshot.scan()] == keys
            assert await client.raw.scan() == []

    asyncio.run(main())


def test_the_sweep_gives_space_back_and_takes_nothing_alive() -> None:
    async def main() -> None:
        async with world(stores=3) as place:
            await place.client.split_regions([b"100", b"200"])
            raw = place.client.raw
            await raw.batch_put(dict.fromkeys(KEYS, b"v"))
            for part, ttl_s in ((KEYS[::3], 5), (KEYS[1::3], 50)):
                await raw.batch_put(dict.fromkeys(part, b"v"), ttl_s=ttl_s)
            place.clock.now_s += 5
            assert len(await raw.scan()) == 200
            await place.replicated(3)
            before = await engine_rows(place)
            removed = [await sweep(place, node) for node in range(3)]
            assert (before, sum(removed)) == (300, 100)
            assert await engine_rows(place) == len(await raw.scan()) == 200

    asyncio.run(main())


def test_sweeps_wake_no_region_but_where_there_is_something_to_remove() -> None:
    async def main() -> None:
        async with world(stores=3, hibernate_after_seconds=0.2) as place:
            await place.client.split_regions([b"100", b"200"])
            await place.client.raw.batch_put(dict.fromkeys(KEYS, b"v"))
            await place.client.raw.put(b"150", b"v", ttl_s=5)
            place.clock.now_s += 5
            await place.replicated(3)
            await until(lambda: awake(place) == [])
            collected = [await garbage_collector(node).walk(1 << 60) for node in place.nodes]
            assert (sum(collected), awake(place)) == (0, [])
            removed = [await sweep(place, node) for node in range(3)]
            changed = next(each for each in place.leaders() if _holds(region_of(place, each), storage_key(b"150")))
            assert (sum(removed), set(awake(place))) == (1, {changed})

    asyncio.run(main())


def awake(place: World) -> list[int]:
    """The regions that tick, on any store."""
    return [region_id for node in place.nodes for region_id in node.driver.store._registry.awake]


def region_of(place: World, region_id: int) -> metapb.Region:
    region = place.nodes[0].driver.region(region_id)
    assert region is not None
    return region


def garbage_collector(store: StoreNode) -> GarbageCollector:
    async def compact(start: bytes, end: bytes | None) -> None:
        raise AssertionError("there was nothing to remove")

    kv = FencedKv(store.driver)
    return GarbageCollector(kv, store.servicer.scheduler, store.driver.region_infos, compact, _no_rest)


async def sweep(place: World, node: int) -> int:
    store = place.nodes[node]
    kv = FencedKv(store.driver)
    return await RawSweeper(kv, store.servicer.raw, store.driver.region_infos, place.clock, _no_rest).walk()


async def _no_rest(seconds: float) -> None:
    await asyncio.sleep(0)


async def engine_rows(place: World) -> int:
    """What the leaders hold in the family, expired or not."""
    rows = 0
    await until(lambda: len(place.leaders()) == 3)
    for region_id, store in place.leaders().items():
        info = store.driver.store.region_info(region_id)
        assert info is not None
        where = kvrpcpb.Context(region_id=region_id, region_epoch=info.region.region_epoch, peer=info.peer)
        view = await store.driver.read_view(where)
        rows += sum(1 for _ in view.scan("raw", b"", None))
    return rows


def test_many_tasks_count_on_one_key() -> None:
    """Compare-and-swap through the whole stack, with plain puts of a neighbour key in between."""

    async def main() -> None:
        async with world() as place:
            raw = place.client.raw

            async def count() -> None:
                seen = await raw.get(b"n")
                while True:
                    swapped, seen = await raw.compare_and_swap(b"n", seen, b"%d" % (int(seen or b"0") + 1))
                    if swapped:
                        return

            await asyncio.gather(*(count() for _ in range(30)), *(raw.put(b"m", b"%d" % n) for n in range(30)))
            assert await raw.get(b"n") == b"30"

    asyncio.run(main())


# --- the paths of bytes -----------------------------------------------------------------------------------------------


def filled() -> MemoryEngine:
    """A key of its own in every family, within and without [b, d)."""
    engine = MemoryEngine()
    batch = engine.batch()
    for cf in DATA_CFS:
        for key in (b"a", b"b", b"c", b"d"):
            batch.put(cf, key, key + cf.encode())
    engine.write(batch)
    return engine


REGION = metapb.Region(id=7, start_key=b"b", end_key=b"d")


def test_a_snapshot_carries_the_raw_families() -> None:
    spooled = SpooledSnapshot(io.BytesIO())
    for chunk in encode_snapshot(filled(), REGION, chunk_bytes=16):
        spooled.write(chunk)
    spooled.verify(REGION)
    assert list(spooled.records()) == [(cf, key, key + cf.encode()) for cf in DATA_CFS for key in (b"b", b"c")]
    spooled.close()


def test_the_log_carries_the_raw_families() -> None:
    modifies = [(cf, b"k", value) for cf in RAW_CFS for value in (b"v", b"", None)]
    command = rutilepb.RaftCommand.FromString(encode_write(metapb.RegionEpoch(), 1, modifies))
    assert decode_modifies(command.write) == modifies
    assert [kind >> 1 for kind in command.write.kinds[::3]] == [3, 4, 5]


def test_clearing_a_region_clears_the_raw_families() -> None:
    engine = filled()
    size = engine.approximate_size_bytes(b"b", b"d")
    batch = engine.batch()
    clear_region(batch, engine, REGION)
    engine.write(batch)
    assert [[key for key, _ in engine.scan(cf, b"", None)] for cf in DATA_CFS] == [[b"a", b"d"]] * 6
    assert size == sum(2 * (2 + len(cf)) for cf in DATA_CFS)


def test_the_sweeper_rests_between_walks_and_survives_a_region_that_moves() -> None:
    """A region whose epoch has changed since the walk began is left to the next walk."""

    async def main() -> None:
        async with world() as place:
            store = place.nodes[0]
            await place.client.raw.put(b"k", b"v", ttl_s=1)
            place.clock.now_s += 1
            stale = store.driver.region_infos()
            await place.client.split_regions([b"m"])
            rests: list[float] = []

            async def rest(seconds: float) -> None:
                rests.append(seconds)
                if len(rests) == 3:
                    raise asyncio.CancelledError
                await asyncio.sleep(0)

            def look() -> list[RegionInfo]:
                return stale if len(rests) == 1 else store.driver.region_infos()

            sweeper = RawSweeper(FencedKv(store.driver), store.servicer.raw, look, place.clock, rest)
            walk = asyncio.ensure_future(sweeper.run())
            await asyncio.wait([walk])
            assert walk.cancelled()
            assert rests == [WALK_SECONDS] * 3
            view = await store.driver.read_view(await context_of_first(place))
            assert list(view.scan("raw", b"", None)) == []

    asyncio.run(main())


async def context_of_first(place: World) -> kvrpcpb.Context:
    info = await place.client.pd.get_region(b"")
    assert info is not None
    return kvrpcpb.Context(region_id=info.region.id, region_epoch=info.region.region_epoch, peer=info.leader)
