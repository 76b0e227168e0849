"""The small parts of the server, each alone: range sets, pages, region views, max_ts after elections, PD's worker."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pyarrow as pa
import pytest
from direct_kv import DirectKv, context_for, make_region
from hypothesis import given
from hypothesis import strategies as st
from server_tools import until

from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.server import ranges
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.max_ts_sync import MaxTsSync
from rutile_kv.server.mirror_upkeep import MirrorUpkeep
from rutile_kv.server.pages import PAGE_BYTES, encode_page, paginate
from rutile_kv.server.pd_worker import PdWorker
from rutile_kv.server.region_store import clip
from rutile_kv.server.region_views import RegionRead, RegionsNotServed, open_views
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError, RegionNotFound
from rutile_proto.keys import storage_key

# --- ranges, against sets of small numbers ----------------------------------------------------------------------------

POINTS = range(12)
BOUND = st.integers(0, 11)


@st.composite
def range_sets(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    pairs = draw(st.lists(st.tuples(BOUND, BOUND | st.none()), max_size=4))
    return [(bytes([low]), b"" if high is None else bytes([high])) for low, high in pairs if high is None or low < high]


def members(found: list[tuple[bytes, bytes]]) -> set[int]:
    return {n for n in POINTS if any(low <= bytes([n]) and (not high or bytes([n]) < high) for low, high in found)}


@given(range_sets(), range_sets())
def test_intersection_and_merge_equal_sets(left: list[tuple[bytes, bytes]], right: list[tuple[bytes, bytes]]) -> None:
    both, merged = ranges.intersect(left, right), ranges.merge(left)
    assert members(both) == members(left) & members(right)
    assert members(merged) == members(left)
    for found in (both, merged):
        assert found == sorted(found)
        assert all(end and end < start for (_, end), (start, _) in itertools.pairwise(found))


def test_clip_keeps_to_the_region() -> None:
    region = make_region(1, storage_key(b"d"), storage_key(b"m"))
    assert clip(b"", b"", region) == (b"d", b"m")
    assert clip(b"e", b"f", region) == (b"e", b"f")
    assert clip(b"m", b"", region) is None
    assert clip(b"", b"d", region) is None


# --- pages ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), max_size=6), st.integers(0, 15))
def test_pages_hold_all_rows_in_order_and_keep_their_bounds(sizes: list[int], page_rows: int) -> None:
    total = iter(range(sum(sizes)))
    batches = [
        pa.record_batch({"n": [next(total) for _ in range(size)]}, pa.schema({"n": pa.int64()})) for size in sizes
    ]
    pages = list(paginate(iter(batches), page_rows))
    assert [row for page in pages for batch in page for row in batch.column(0).to_pylist()] == list(range(sum(sizes)))
    assert all(0 < sum(batch.num_rows for batch in page) <= (page_rows or 1 << 30) for page in pages)


def test_wide_rows_make_small_pages() -> None:
    wide = pa.record_batch({"text": ["x" * 300_000] * 10})
    sizes = [sum(batch.nbytes for batch in page) for page in paginate([wide])]
    assert len(sizes) > 3
    assert max(sizes) <= PAGE_BYTES


def test_a_page_is_a_whole_arrow_stream() -> None:
    batch = pa.record_batch({"n": [1, 2, 3]})
    read = pa.ipc.open_stream(encode_page(batch.schema, [batch.slice(1, 1), batch.slice(2, 1)])).read_all()
    assert read.column("n").to_pylist() == [2, 3]


# --- region views -----------------------------------------------------------------------------------------------------


def test_views_are_all_or_none_and_pins_are_of_their_snapshots_index() -> None:
    async def main() -> None:
        kv = DirectKv(make_region(1, b"", storage_key(b"m")), make_region(2, storage_key(b"m"), b""))
        scheduler = TxnScheduler(kv)
        reads = [RegionRead(context_for(region), [(b"", b"")]) for region in kv.regions.values()]
        cache = ArrowCache()
        cache.follow()
        await kv.write(reads[0].context, [])
        views = await open_views(kv, scheduler, reads, lambda region_id, index: cache.pin(region_id, [7], index))
        assert [view.pin.index for view in views if view.pin is not None] == [1, 1]
        for view in views:
            view.snapshot.close()
        lost = reads[1].context
        lost.region_id = 9
        with pytest.raises(RegionsNotServed) as caught:
            await open_views(kv, scheduler, reads)
        ((region, error),) = caught.value.failures
        assert (region.id, type(error)) == (9, RegionNotFound)
        assert kv.snapshots_open == 0

    asyncio.run(main())


TABLE = TableSchema(7, "t", (Column(1, "a", ColumnType(Kind.INT)),))


def test_the_mirror_cuts_a_region_that_splits_and_forgets_one_that_leaves() -> None:
    cache = ArrowCache()
    upkeep = MirrorUpkeep(cache)
    before, after = make_region(1), make_region(1, b"", storage_key(b"m"), version=2)

    def keep(region_id: int) -> None:
        pin = cache.pin(region_id, [7], 1)
        assert pin is not None
        cache.put(BaseKey(region_id, 1, 7, 0), TableBase(1, 1, ([b"k"],), {1: (pa.array([1]),)}, TABLE), pin)

    for region_id in (1, 2, 3):
        keep(region_id)
    upkeep.on_applied(before, 6, [])
    upkeep.on_region_changed(before, before)
    assert len(cache) == 3
    upkeep.on_region_changed(after, before)
    assert len(cache) == 3
    upkeep.on_region_changed(make_region(4, storage_key(b"m"), b"", version=2), before)
    assert len(cache) == 4
    upkeep.on_region_destroyed(after)
    upkeep.on_region_destroyed(make_region(4))
    upkeep.on_snapshot_installed(make_region(2), 9)
    upkeep.on_region_destroyed(make_region(3))
    assert len(cache) == 0


# --- PD ---------------------------------------------------------------------------------------------------------------


class ToyPd:
    """The part of PdClient that the worker uses."""

    def __init__(self) -> None:
        self.clock = 100
        self.down = False
        self.streams: list[list[pdpb.RegionHeartbeatRequest]] = []
        self.orders: asyncio.Queue[pdpb.RegionHeartbeatResponse | None] = asyncio.Queue()
        self.beats = 0
        self.splits: list[list[metapb.Region]] = []

    async def timestamp(self) -> int:
        if self.down:
            raise PdError("down")
        self.clock += 1
        return self.clock

    async def store_heartbeat(self, stats: pdpb.StoreStats) -> None:
        self.beats += 1

    async def report_batch_split(self, regions: list[metapb.Region]) -> None:
        self.splits.append(regions)

    async def region_heartbeats(
        self, reports: AsyncIterator[pdpb.RegionHeartbeatRequest]
    ) -> AsyncIterator[pdpb.RegionHeartbeatResponse]:
        """Ends with PdError when the test puts None."""
        seen: list[pdpb.RegionHeartbeatRequest] = []
        self.streams.append(seen)

        async def listen() -> None:
            async for report in reports:
                seen.append(report)

        listening = asyncio.ensure_future(listen())
        try:
            while (order := await self.orders.get()) is not None:
                yield order
            raise PdError("the stream broke")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


class ToyDriver:
    """The part of StoreDriver that the worker uses."""

    def __init__(self, *leads: int) -> None:
        self.leads = list(leads)
        self.orders: list[pdpb.RegionHeartbeatResponse] = []

    def region_infos(self) -> list[RegionInfo]:
        peer = metapb.Peer()
        return [RegionInfo(make_region(each), peer, peer, True, 1, 1, 1, 1, 0, 0) for each in self.leads]

    def on_pd_heartbeat_response(self, order: pdpb.RegionHeartbeatResponse) -> None:
        self.orders.append(order)


def report(region_id: int, term: int = 5) -> pdpb.RegionHeartbeatRequest:
    return pdpb.RegionHeartbeatRequest(region=make_region(region_id), term=term)


def test_max_ts_is_unknown_from_an_election_to_the_next_timestamp() -> None:
    async def main() -> None:
        pd, max_ts = ToyPd(), MaxTs()
        sync = MaxTsSync(max_ts, pd)
        sync.leads(make_region(1), term=5)
        assert max_ts.for_region(1) == 0
        await until(lambda: max_ts.for_region(1) == 101)
        sync.leads(make_region(1), term=5)
        assert max_ts.for_region(1) == 101
        pd.down = True
        sync.leads(make_region(1), term=7)
        assert max_ts.for_region(1) == 0
        await until(lambda: not sync._tasks)
        pd.down = False
        sync.leads(make_region(1), term=7)
        await until(lambda: max_ts.for_region(1) == 102)
        await sync.close()

    asyncio.run(main())


def test_max_ts_is_unknown_after_a_merge_too() -> None:
    async def main() -> None:
        pd, max_ts = ToyPd(), MaxTs()
        sync = MaxTsSync(max_ts, pd)
        right = make_region(1, start=b"m")
        sync.leads(right, term=5)
        await until(lambda: max_ts.for_region(1) == 101)
        sync.leads(make_region(1, start=b"t"), term=5)
        assert max_ts.for_region(1) == 101, "a split takes nothing in"
        sync.leads(right, term=5)
        sync.leads(make_region(1), term=5)
        assert max_ts.for_region(1) == 0
        await until(lambda: max_ts.for_region(1) > 0)
        assert max_ts.for_region(1) == 103, "the answer to the first question came before the second merge"
        await sync.close()

    asyncio.run(main())


def test_a_broken_stream_begins_again_with_all_regions_led_here() -> None:
    async def main() -> None:
        pd, driver = ToyPd(), ToyDriver(1, 2)
        worker = PdWorker(pd, MaxTsSync(MaxTs(), pd))
        worker.start(driver, pdpb.StoreStats, 60.0)
        worker.region_heartbeat(report(1))
        worker.region_heartbeat(report(2))
        worker.region_heartbeat(report(3))
        await until(lambda: len(pd.streams) == 1 and len(pd.streams[0]) == 3)
        pd.orders.put_nowait(pdpb.RegionHeartbeatResponse(region_id=1))
        await until(lambda: len(driver.orders) == 1)
        pd.orders.put_nowait(None)
        await until(lambda: len(pd.streams) == 2 and len(pd.streams[1]) == 2)
        assert [each.region.id for each in pd.streams[1]] == [1, 2]
        worker.regions_split([make_region(4)])
        await until(lambda: len(pd.splits) == 1)
        assert pd.beats == 1
        await worker.close()

    asyncio.run(main())


def test_a_newer_report_takes_the_place_of_one_that_waits() -> None:
    async def main() -> None:
        pd = ToyPd()
        worker = PdWorker(pd, MaxTsSync(MaxTs(), pd))
        worker.region_heartbeat(report(1, term=5))
        worker.region_heartbeat(report(1, term=6))
        worker.start(ToyDriver(1), pdpb.StoreStats, 60.0)
        await until(lambda: len(pd.streams) == 1 and len(pd.streams[0]) == 1)
        assert pd.streams[0][0].term == 6
        await worker.close()

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [{"coprocessor_concurrency": 0}, {"tick_seconds": 0.0}])
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|positive"):
        StoreConfig(**wrong)
