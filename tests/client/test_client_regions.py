"""The region cache against a dumb twin: a list of everything it was ever told."""

import asyncio
import itertools

import pytest
from client_fakes import FakeCluster, World, run
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.client.pd import PdClient
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import PdError
from rutile_proto.keys import storage_key

KEYS = st.integers(0, 9).map(lambda n: b"%d" % n)


def cached(cache: RegionCache) -> list[CachedRegion]:
    """What the cache holds, after checking that it is sorted, disjoint and findable by id."""
    regions = cache._regions
    assert cache._starts == [region.start for region in regions] == sorted(cache._starts)
    assert all(a.end and a.end <= b.start for a, b in itertools.pairwise(regions))
    assert {region.id: region for region in regions} == cache._by_id
    return regions


@settings(max_examples=150, deadline=None)
@given(
    splits=st.lists(KEYS, max_size=8),
    told=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=30),
)
def test_newer_epochs_always_win(splits: list[bytes], told: list[tuple[int, int, bool]]) -> None:
    """Tell the cache regions of any moment of a history in any order, forgetting some: it is never taken back."""

    async def main() -> None:
        cluster = FakeCluster()
        history = [[region.meta for region in cluster.ordered()]]
        for key in splits:
            cluster.split(key)
            history.append([region.meta for region in cluster.ordered()])
        cache = RegionCache(PdClient.local(None))
        newest: dict[bytes, int] = {}
        for moment, place, forget in told:
            regions = history[moment % len(history)]
            region = regions[place % len(regions)]
            if forget and (known := cache.by_id(region.id)) is not None:
                cache.forget(known)
                newest.clear()
                continue
            cache.learn(region, None)
            cached(cache)
            for key in map(storage_key, (b"%d" % n for n in range(10))):
                hit = cache.peek(key)
                if hit is not None:
                    assert hit.holds(key)
                    assert hit.epoch[0] >= newest.get(key, 0)
                    newest[key] = hit.epoch[0]

    asyncio.run(main())


def test_locate_range_has_no_gaps(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(*[b"%03d" % n for n in range(0, 600, 2)])
        backoff = world.client.cluster.read_backoff("test")
        await world.client.regions.locate(storage_key(b"300"), backoff)
        found = await world.client.regions.locate_range(b"", b"", backoff)
        assert found[0].start == found[-1].end == b""
        assert all(a.end == b.start for a, b in itertools.pairwise(found))
        assert len(found) == 301
        assert world.cluster.count("ScanRegions") <= 3
        part = await world.client.regions.locate_range(storage_key(b"100"), storage_key(b"102"), backoff)
        assert [region.user_start for region in part] == [b"100"]
        assert part[0].user_end == b"102"

    run(transport, body)


@pytest.mark.parametrize("stale", [False, True])
def test_locate_before_finds_the_region_that_ends_there(transport: str, stale: bool) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"b", b"m")
        regions, backoff = world.client.regions, world.client.cluster.read_backoff("test")
        if stale:
            await regions.locate_range(b"", b"", backoff)
        for key, start in ((b"b", b""), (b"c", b"b"), (b"m", b"b"), (b"n", b"m")):
            region = await regions.locate_before(storage_key(key), backoff)
            assert region.user_start == start
        assert (await regions.locate_before(b"", backoff)).user_start == b"m"

    run(transport, body)


def test_callers_that_miss_together_ask_once(transport: str) -> None:
    async def body(world: World) -> None:
        backoff = world.client.cluster.read_backoff("test")
        await asyncio.gather(*[world.client.regions.locate(storage_key(b"%d" % n), backoff) for n in range(50)])
        assert world.cluster.count("GetRegion") == 1

    run(transport, body)


def test_a_region_without_peers_is_an_error() -> None:
    with pytest.raises(PdError, match="no peer"):
        CachedRegion.of(metapb.Region(id=3), None)
