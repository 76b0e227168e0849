"""The PD service, called directly and over gRPC: what stores and clients rely on."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from rutile_kv.env.clock import ManualClock
from rutile_kv.env.rpc import LocalStub, channel
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc
from rutile_proto.timestamps import LOGICAL_LIMIT

Code = grpc.StatusCode
STORE = metapb.Store(id=1, address="127.0.0.1:20160", version="7.5.0")
PEER = metapb.Peer(id=3, store_id=1)
REGION = metapb.Region(id=2, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1), peers=[PEER])
CONFIG = PdConfig(cluster_id=77, leader_wait_s=0.2, max_replicas=1)


@asynccontextmanager
async def running(kind, clock=None, config=CONFIG):
    """(stub, node) of a placement driver in memory."""
    node = PdNode(None, "127.0.0.1:0" if kind == "grpc" else None, clock=clock, config=config)
    await node.start()
    try:
        if kind == "local":
            yield LocalStub(node.servicer), node
        else:
            async with channel(node.address) as connection:
                yield pdpb_pb2_grpc.PDStub(connection), node
    finally:
        await node.stop()


@pytest.fixture(params=["local", "grpc"])
def run(request):
    def run_scenario(scenario, clock=None):
        async def main():
            async with asyncio.timeout(20), running(request.param, clock) as (stub, node):
                await scenario(stub, node)

        asyncio.run(main())

    return run_scenario


@pytest.fixture
def run_local():
    def run_scenario(scenario, clock=None):
        async def main():
            async with asyncio.timeout(20), running("local", clock) as (stub, node):
                await scenario(stub, node)

        asyncio.run(main())

    return run_scenario


async def bootstrap(stub, region=REGION):
    answer = await stub.Bootstrap(pdpb.BootstrapRequest(header=header(), store=STORE, region=region))
    assert not answer.header.HasField("error")


def header(cluster_id=77):
    return pdpb.RequestHeader(cluster_id=cluster_id)


async def code_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def stream_of(requests):
    for request in requests:
        yield request


def test_members_name_a_leader_with_an_id_and_a_url(run):
    async def scenario(stub, node):
        answer = await stub.GetMembers(pdpb.GetMembersRequest())
        assert answer.header.cluster_id == 77
        assert answer.leader.member_id != 0
        assert answer.leader.client_urls[0].startswith("http://")
        assert list(answer.members) == [answer.leader] == [answer.etcd_leader]
        info = await stub.GetClusterInfo(pdpb.GetClusterInfoRequest())
        assert list(info.serviceModes) == [pdpb.PD_SVC_MODE]

    run(scenario)


def test_timestamps_rise_over_streams_and_batches(run):
    async def scenario(stub, node):
        last = -1
        for counts in ((1, 5, 1), (64,), (LOGICAL_LIMIT, 1)):
            requests = [pdpb.TsoRequest(header=header(), count=count) for count in counts]
            answers = [answer async for answer in stub.Tso(stream_of(requests))]
            assert [answer.count for answer in answers] == list(counts)
            for answer in answers:
                largest = (answer.timestamp.physical << 18) + answer.timestamp.logical
                assert largest - answer.count + 1 > last
                last = largest

    run(scenario)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pdpb.TsoRequest(header=header(), count=0), Code.INVALID_ARGUMENT),
        (pdpb.TsoRequest(header=header(), count=LOGICAL_LIMIT + 1), Code.INVALID_ARGUMENT),
        (pdpb.TsoRequest(header=header(5), count=1), Code.FAILED_PRECONDITION),
    ],
)
def test_trouble_with_timestamps_ends_the_stream_with_a_status(run, request_, code):
    async def scenario(stub, node):
        assert (await code_of(anext(aiter(stub.Tso(stream_of([request_]))))))[0] is code

    run(scenario)


def test_a_failing_disk_ends_the_timestamp_stream(run_local):
    clock = ManualClock()

    async def scenario(stub, node):
        await asyncio.to_thread(node.member.engine.close)
        clock.advance(3600)
        request = pdpb.TsoRequest(header=header(), count=1)
        assert (await code_of(anext(aiter(stub.Tso(stream_of([request]))))))[0] is Code.UNAVAILABLE

    run_local(scenario, clock)


def test_the_wrong_cluster_is_refused_naming_both(run):
    async def scenario(stub, node):
        code, details = await code_of(stub.IsBootstrapped(pdpb.IsBootstrappedRequest(header=header(5))))
        assert code is Code.FAILED_PRECONDITION
        assert "cluster 5" in details
        assert "cluster 77" in details

    run(scenario)


def test_bootstrap_happens_once(run):
    async def scenario(stub, node):
        assert not (await stub.IsBootstrapped(pdpb.IsBootstrappedRequest())).bootstrapped
        refused = await stub.GetRegion(pdpb.GetRegionRequest(header=header(), region_key=b"k"))
        assert refused.header.error.type == pdpb.NOT_BOOTSTRAPPED
        await bootstrap(stub)
        assert (await stub.IsBootstrapped(pdpb.IsBootstrappedRequest())).bootstrapped
        again = await stub.Bootstrap(pdpb.BootstrapRequest(header=header(), store=STORE, region=REGION))
        assert again.header.error.type == pdpb.ALREADY_BOOTSTRAPPED
        found = await stub.GetRegion(pdpb.GetRegionRequest(header=header(), region_key=b"k"))
        assert (found.region, found.leader) == (REGION, PEER)

    run(scenario)


@pytest.mark.parametrize(
    "region",
    [
        metapb.Region(peers=[PEER]),
        metapb.Region(id=2, start_key=b"a", peers=[PEER]),
        metapb.Region(id=2),
        metapb.Region(id=2, peers=[metapb.Peer(id=3, store_id=9)]),
    ],
)
def test_a_malformed_first_region_is_refused(run_local, region):
    async def scenario(stub, node):
        request = pdpb.BootstrapRequest(header=header(), store=STORE, region=region)
        assert (await code_of(stub.Bootstrap(request)))[0] is Code.INVALID_ARGUMENT

    run_local(scenario)


def test_stores_register_live_and_are_listed(run):
    clock = ManualClock()

    async def scenario(stub, node):
        await bootstrap(stub)
        other = metapb.Store(id=9, address="127.0.0.1:20161", labels=[metapb.StoreLabel(key="zone", value="z1")])
        await stub.PutStore(pdpb.PutStoreRequest(header=header(), store=other))
        stats = pdpb.StoreStats(store_id=9, capacity=100, available=50)
        beat = await stub.StoreHeartbeat(pdpb.StoreHeartbeatRequest(header=header(), stats=stats))
        assert beat.state == metapb.Serving
        answer = await stub.GetStore(pdpb.GetStoreRequest(header=header(), store_id=9))
        assert (answer.store.address, answer.stats.available) == (other.address, 50)
        assert answer.store.last_heartbeat == clock.wall_ms() * 1_000_000
        everyone = await stub.GetAllStores(pdpb.GetAllStoresRequest(header=header()))
        assert [store.id for store in everyone.stores] == [1, 9]

    run(scenario, clock)


def test_unknown_and_colliding_stores_are_refused(run_local):
    async def scenario(stub, node):
        await bootstrap(stub)
        unknown = await stub.GetStore(pdpb.GetStoreRequest(store_id=5))
        assert "store 5" in unknown.header.error.message
        silent = await stub.StoreHeartbeat(pdpb.StoreHeartbeatRequest(stats=pdpb.StoreStats(store_id=5)))
        assert silent.header.HasField("error")
        taken = metapb.Store(id=5, address=STORE.address)
        assert (await code_of(stub.PutStore(pdpb.PutStoreRequest(store=taken))))[0] is Code.INVALID_ARGUMENT

    run_local(scenario)


def test_ids_do_not_repeat(run):
    async def scenario(stub, node):
        seen = []
        for count in (0, 3, 900, 900):
            answer = await stub.AllocID(pdpb.AllocIDRequest(header=header(), count=count))
            assert answer.count == (count or 1)
            seen.extend(range(answer.id - answer.count + 1, answer.id + 1))
        assert len(set(seen)) == len(seen)
        assert min(seen) > 0

    run(scenario)


def beat(region=REGION, leader=PEER, **more):
    return pdpb.RegionHeartbeatRequest(header=header(), region=region, leader=leader, term=6, **more)


def test_splits_are_routed_before_heartbeats_tell(run):
    async def scenario(stub, node):
        await bootstrap(stub)
        ask = pdpb.AskBatchSplitRequest(header=header(), region=REGION, split_count=2)
        ids = (await stub.AskBatchSplit(ask)).ids
        assert [len(each.new_peer_ids) for each in ids] == [1, 1]
        epoch = metapb.RegionEpoch(conf_ver=1, version=3)
        bounds = [b"", b"f", b"m", b""]
        names = [(ids[0].new_region_id, ids[0].new_peer_ids[0]), (ids[1].new_region_id, ids[1].new_peer_ids[0]), (2, 3)]
        regions = [
            metapb.Region(
                id=id_, start_key=start, end_key=end, region_epoch=epoch, peers=[metapb.Peer(id=peer, store_id=1)]
            )
            for (id_, peer), start, end in zip(names, bounds, bounds[1:], strict=False)
        ]
        await stub.ReportBatchSplit(pdpb.ReportBatchSplitRequest(header=header(), regions=regions))
        found = await stub.GetRegion(pdpb.GetRegionRequest(header=header(), region_key=b"g"))
        assert (found.region, found.leader.store_id) == (regions[1], 1)
        before = await stub.GetPrevRegion(pdpb.GetRegionRequest(header=header(), region_key=b"g"))
        assert before.region == regions[0]
        by_id = await stub.GetRegionByID(pdpb.GetRegionByIDRequest(header=header(), region_id=2))
        assert by_id.region == regions[2]
        scanned = await stub.ScanRegions(pdpb.ScanRegionsRequest(header=header(), start_key=b"f", limit=5))
        assert [each.region for each in scanned.regions] == regions[1:] == list(scanned.region_metas)
        assert [peer.store_id for peer in scanned.leaders] == [1, 1]

    run(scenario)


def test_batch_scans_cover_or_say_so(run_local):
    async def scenario(stub, node):
        await bootstrap(stub, REGION)
        ranges = [pdpb.KeyRange(start_key=b"a", end_key=b"b"), pdpb.KeyRange(start_key=b"c")]
        request = pdpb.BatchScanRegionsRequest(ranges=ranges, contain_all_key_range=True)
        assert [each.region.id for each in (await stub.BatchScanRegions(request)).regions] == [2]
        part = metapb.Region()
        part.CopyFrom(REGION)
        part.start_key = b"b"
        part.region_epoch.version = 2
        node.servicer.leader.cluster.region_heartbeat(beat(part), 0)
        answer = await stub.BatchScanRegions(request)
        assert answer.header.error.type == pdpb.REGIONS_NOT_CONTAIN_ALL_KEY_RANGE

    run_local(scenario)


def test_get_region_waits_for_a_leader_and_then_says_unavailable(run_local):
    async def scenario(stub, node):
        await bootstrap(stub)
        lost = metapb.Region(id=8, end_key=b"m", region_epoch=metapb.RegionEpoch(version=2), peers=[PEER])
        await stub.ReportBatchSplit(pdpb.ReportBatchSplitRequest(regions=[lost]))
        ask = pdpb.GetRegionRequest(region_key=b"a")
        assert (await code_of(stub.GetRegion(ask)))[0] is Code.UNAVAILABLE
        waiting = asyncio.ensure_future(stub.GetRegion(ask))
        stream = stub.RegionHeartbeat(stream_of([beat(lost)]))
        assert [order async for order in stream] == []
        assert (await waiting).leader == PEER

    run_local(scenario)


def test_an_unknown_region_is_absent(run_local):
    async def scenario(stub, node):
        await bootstrap(stub)
        assert not (await stub.GetRegionByID(pdpb.GetRegionByIDRequest(region_id=99))).HasField("region")
        assert not (await stub.GetPrevRegion(pdpb.GetRegionRequest(region_key=b""))).HasField("region")

    run_local(scenario)


@pytest.mark.parametrize("kind", ["local", "grpc"])
def test_heartbeats_bring_orders_and_so_does_the_patrol(kind):
    async def main():
        clock = ManualClock()
        config = PdConfig(cluster_id=77, tick_s=3600)
        async with asyncio.timeout(20), running(kind, clock, config) as (stub, node):
            await bootstrap(stub)
            reports = asyncio.Queue()

            async def requests():
                while (report := await reports.get()) is not None:
                    yield report

            call = stub.RegionHeartbeat(requests())
            orders = aiter(call)
            reports.put_nowait(beat())
            waiting = asyncio.ensure_future(anext(orders))
            while not node.servicer.leader._streams:
                await asyncio.wait([waiting], timeout=0.01)
            await stub.PutStore(pdpb.PutStoreRequest(header=header(), store=metapb.Store(id=4, address="b:1")))
            await node.servicer.leader.tick()  # the patrol
            order = await waiting
            assert (order.change_peer.peer.store_id, order.region_id, order.target_peer) == (4, 2, PEER)
            assert order.header.cluster_id == 77
            reports.put_nowait(beat())
            assert (await anext(orders)).change_peer == order.change_peer  # asked again until it is seen to be done
            running_ = await stub.GetOperator(pdpb.GetOperatorRequest(header=header(), region_id=2))
            assert running_.status == pdpb.RUNNING
            reports.put_nowait(None)
            assert [each async for each in orders] == []

    asyncio.run(main())


def test_a_stale_heartbeat_is_ignored_and_a_foreign_one_ends_the_stream(run):
    async def scenario(stub, node):
        await bootstrap(stub)
        newer = metapb.Region()
        newer.CopyFrom(REGION)
        newer.region_epoch.version = 5
        assert [order async for order in stub.RegionHeartbeat(stream_of([beat(newer), beat()]))] == []
        found = await stub.GetRegion(pdpb.GetRegionRequest(header=header()))
        assert found.region.region_epoch.version == 5
        foreign = pdpb.RegionHeartbeatRequest(header=header(5), region=REGION, leader=PEER)
        assert (await code_of(anext(aiter(stub.RegionHeartbeat(stream_of([foreign]))))))[0] is Code.FAILED_PRECONDITION

    run(scenario)


def test_safe_points(run):
    async def scenario(stub, node):
        await bootstrap(stub)
        hold = pdpb.UpdateServiceGCSafePointRequest(header=header(), service_id=b"backup", TTL=60, safe_point=100)
        assert (await stub.UpdateServiceGCSafePoint(hold)).min_safe_point == 100
        await stub.UpdateGCSafePoint(pdpb.UpdateGCSafePointRequest(header=header(), safe_point=90))
        lower = await stub.UpdateGCSafePoint(pdpb.UpdateGCSafePointRequest(header=header(), safe_point=80))
        assert lower.new_safe_point == 90
        assert (await stub.GetGCSafePoint(pdpb.GetGCSafePointRequest(header=header()))).safe_point == 90
        assert (await stub.GetGCState(pdpb.GetGCStateRequest(header=header()))).gc_state.gc_safe_point == 90
        let_go = pdpb.UpdateServiceGCSafePointRequest(header=header(), service_id=b"backup", TTL=0)
        answer = await stub.UpdateServiceGCSafePoint(let_go)
        assert (answer.service_id, answer.min_safe_point) == (b"", 90)

    run(scenario)


def test_the_minimum_timestamp_and_the_cluster_config(run):
    async def scenario(stub, node):
        assert (await stub.GetMinTS(pdpb.GetMinTSRequest(header=header()))).timestamp.physical > 0
        await bootstrap(stub)
        config = await stub.GetClusterConfig(pdpb.GetClusterConfigRequest(header=header()))
        assert (config.cluster.id, config.cluster.max_peer_count) == (77, 1)

    run(scenario)


def test_what_is_not_built_says_so(run):
    async def scenario(stub, node):
        request = pdpb.PutClusterConfigRequest(header=header())
        assert (await code_of(stub.PutClusterConfig(request)))[0] is Code.UNIMPLEMENTED

    run(scenario)
