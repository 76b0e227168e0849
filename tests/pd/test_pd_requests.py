"""SplitRegions, ScatterRegion, GetOperator, with a toy store that obeys; what guests find at PD's address."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import grpc
import pytest

from rutile_kv.env.clock import ManualClock
from rutile_kv.env.rpc import LocalStub, channel
from rutile_pd.config import PdConfig
from rutile_pd.node import PdNode
from rutile_pd.regions.split_request import SplitRequest
from rutile_pd.regions.tree import RegionInfo, RegionTree
from rutile_proto import etcdserverpb_pb2 as etcdserverpb
from rutile_proto import etcdserverpb_pb2_grpc, keyspacepb_pb2_grpc, pdpb_pb2_grpc
from rutile_proto import keyspacepb_pb2 as keyspacepb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_key

Code = grpc.StatusCode
CLUSTER = 77
HEADER = pdpb.RequestHeader(cluster_id=CLUSTER)
PEER = metapb.Peer(id=3, store_id=1)
REGION = metapb.Region(id=2, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1), peers=[PEER])
SAVED = b"/tidb/store/gcworker/saved_safe_point"


class Stubs:
    """All services at PD's address."""

    def __init__(self, node, link):
        if link is None:
            self.pd = self.members = self.etcd = self.keyspaces = LocalStub(node.servicer)
        else:
            self.pd = pdpb_pb2_grpc.PDStub(link)
            self.members = etcdserverpb_pb2_grpc.ClusterStub(link)
            self.etcd = etcdserverpb_pb2_grpc.KVStub(link)
            self.keyspaces = keyspacepb_pb2_grpc.KeyspaceStub(link)


@asynccontextmanager
async def running(kind):
    config = PdConfig(cluster_id=CLUSTER, max_replicas=1, tick_s=3600)
    node = PdNode(None, "127.0.0.1:0" if kind == "grpc" else None, clock=ManualClock(), config=config)
    await node.start()
    try:
        async with contextlib.AsyncExitStack() as opened:
            link = await opened.enter_async_context(channel(node.address)) if kind == "grpc" else None
            stubs = Stubs(node, link)
            store = metapb.Store(id=1, address="127.0.0.1:20160")
            await stubs.pd.Bootstrap(pdpb.BootstrapRequest(header=HEADER, store=store, region=REGION))
            yield stubs, node
    finally:
        await node.stop()


@pytest.fixture(params=["local", "grpc"])
def run(request):
    def run_scenario(scenario):
        async def main():
            async with asyncio.timeout(20), running(request.param) as (stubs, node):
                await scenario(stubs, node)

        asyncio.run(main())

    return run_scenario


class ToyStore:
    """Leads every region, and splits as it is told, by the first key of an order only."""

    def __init__(self, pd):
        self._pd = pd
        self._reports = asyncio.Queue()
        self._regions = {2: REGION}
        self.orders = []

    async def live(self):
        async for order in self._pd.RegionHeartbeat(self._outgoing()):
            self.orders.append(order)
            if order.HasField("split_region"):
                self.report(*self._split(order))

    def report(self, *regions):
        for region in regions:
            self._regions[region.id] = region
            self._reports.put_nowait(
                pdpb.RegionHeartbeatRequest(header=HEADER, region=region, leader=region.peers[0], term=6)
            )

    async def _outgoing(self):
        while True:
            yield await self._reports.get()

    def _split(self, order):
        old, key = self._regions[order.region_id], order.split_region.keys[0]
        if old.region_epoch != order.region_epoch:
            return []
        epoch = metapb.RegionEpoch(conf_ver=1, version=old.region_epoch.version + 1)
        new_id = 100 + len(self._regions)
        left = metapb.Region(id=new_id, start_key=old.start_key, end_key=key, region_epoch=epoch)
        left.peers.add(id=new_id + 1000, store_id=1)
        right = metapb.Region(id=old.id, start_key=key, end_key=old.end_key, region_epoch=epoch, peers=old.peers)
        return left, right


@asynccontextmanager
async def toy_store(stubs):
    store = ToyStore(stubs.pd)
    living = asyncio.create_task(store.live())
    store.report(REGION)
    try:
        yield store
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


# --- splits -----------------------------------------------------------------------------------------------------------


def test_split_regions_waits_until_regions_begin_at_the_keys(run):
    keys = [storage_key(key) for key in (b"f", b"m", b"t")]

    async def scenario(stubs, node):
        async with toy_store(stubs) as store:
            answer = await stubs.pd.SplitRegions(pdpb.SplitRegionsRequest(header=HEADER, split_keys=reversed(keys)))
            assert answer.finished_percentage == 100
            assert len(answer.regions_id) == 3
            found = await stubs.pd.ScanRegions(pdpb.ScanRegionsRequest(header=HEADER, limit=10))
            assert [each.region.start_key for each in found.regions] == [b"", *keys]
            assert [each.region.id for each in found.regions][1:] == list(answer.regions_id)
            asked = len(store.orders)
            again = await stubs.pd.SplitRegions(pdpb.SplitRegionsRequest(header=HEADER, split_keys=keys))
            assert (again.finished_percentage, list(again.regions_id)) == (100, [])
            assert len(store.orders) == asked, "there was nothing to do"

    run(scenario)


def test_splits_nobody_makes_are_told_by_the_deadline(run):
    async def scenario(stubs, node):
        request = pdpb.SplitRegionsRequest(header=HEADER, split_keys=[storage_key(b"k")])
        answer = await stubs.pd.SplitRegions(request, timeout=0.5)
        assert (answer.finished_percentage, list(answer.regions_id)) == (0, [])

    run(scenario)


@pytest.mark.parametrize(
    "keys", [[], [b"raw"], [b""], [storage_key(b"a") + b"x"], [storage_key(b"%d" % n) for n in range(1025)]]
)
def test_keys_that_cannot_be_borders_are_refused(run, keys):
    async def scenario(stubs, node):
        with pytest.raises(grpc.RpcError) as caught:
            await stubs.pd.SplitRegions(pdpb.SplitRegionsRequest(header=HEADER, split_keys=keys))
        assert caught.value.code() is Code.INVALID_ARGUMENT

    run(scenario)


def test_a_split_request_knows_what_was_there_before():
    tree = RegionTree()
    tree.put(RegionInfo.of(REGION, PEER))
    with pytest.raises(InvalidRequest):
        SplitRequest([], tree)
    request = SplitRequest([storage_key(b"b"), storage_key(b"a"), storage_key(b"a")], tree)
    assert request.missing() == [storage_key(b"a"), storage_key(b"b")]
    assert (request.percentage(), request.region_ids(), request.is_done()) == (0, [], False)


# --- scatter ----------------------------------------------------------------------------------------------------------


def test_scatter_says_what_it_cannot_touch_and_operators_can_be_asked_for(run):
    async def scenario(stubs, node):
        nothing = await stubs.pd.GetOperator(pdpb.GetOperatorRequest(header=HEADER, region_id=2))
        assert nothing.header.error.type == pdpb.REGION_NOT_FOUND
        for number in range(2, 4):
            other = metapb.Store(id=number, address=f"127.0.0.1:2016{number}")
            await stubs.pd.PutStore(pdpb.PutStoreRequest(header=HEADER, store=other))
            stats = pdpb.StoreStats(store_id=number, capacity=1 << 40, available=1 << 40)
            await stubs.pd.StoreHeartbeat(pdpb.StoreHeartbeatRequest(header=HEADER, stats=stats))
        async with toy_store(stubs) as store:
            await stubs.pd.SplitRegions(pdpb.SplitRegionsRequest(header=HEADER, split_keys=[storage_key(b"k")]))
            ids = [2, 99, max(store._regions)]
            request = pdpb.ScatterRegionRequest(header=HEADER, regions_id=ids, group="load")
            answer = await stubs.pd.ScatterRegion(request)
            assert (answer.finished_percentage, list(answer.failed_regions_id)) == (66, [99])
            running_ = await stubs.pd.GetOperator(pdpb.GetOperatorRequest(header=HEADER, region_id=ids[2]))
            assert (running_.desc, running_.status) == (b"scatter-region", pdpb.RUNNING)
            assert b"remove" in running_.kind
            busy = await stubs.pd.ScatterRegion(pdpb.ScatterRegionRequest(header=HEADER, region_id=ids[2]))
            assert list(busy.failed_regions_id) == [ids[2]]

    run(scenario)


# --- guests -----------------------------------------------------------------------------------------------------------


def test_etcd_members_are_pd_members(run):
    async def scenario(stubs, node):
        members = await stubs.pd.GetMembers(pdpb.GetMembersRequest())
        answer = await stubs.members.MemberList(etcdserverpb.MemberListRequest(linearizable=True))
        assert [list(member.clientURLs) for member in answer.members] == [list(members.leader.client_urls)]
        assert answer.members[0].ID == members.leader.member_id == answer.header.member_id
        assert answer.header.cluster_id == CLUSTER

    run(scenario)


def test_the_safe_point_is_read_as_etcd_keeps_it(run):
    async def scenario(stubs, node):
        one = etcdserverpb.RangeRequest(key=SAVED)
        assert not (await stubs.etcd.Range(one)).kvs
        await stubs.pd.UpdateGCSafePoint(pdpb.UpdateGCSafePointRequest(header=HEADER, safe_point=4321))
        answer = await stubs.etcd.Range(one)
        assert [(pair.key, pair.value) for pair in answer.kvs] == [(SAVED, b"4321")]
        assert (answer.count, answer.more) == (1, False)
        below = etcdserverpb.RangeRequest(key=b"/tidb/", range_end=b"/tidb0", keys_only=True)
        assert [(pair.key, pair.value) for pair in (await stubs.etcd.Range(below)).kvs] == [(SAVED, b"")]
        everything = etcdserverpb.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
        answer = await stubs.etcd.Range(everything)
        assert (answer.count, list(answer.kvs)) == (1, [])
        assert not (await stubs.etcd.Range(etcdserverpb.RangeRequest(key=b"/other"))).kvs

    run(scenario)


def test_the_one_keyspace_is_found_by_its_name(run):
    async def scenario(stubs, node):
        load = keyspacepb.LoadKeyspaceRequest(header=HEADER, name="DEFAULT")
        answer = await stubs.keyspaces.LoadKeyspace(load)
        assert (answer.keyspace.id, answer.keyspace.name) == (0, "DEFAULT")
        assert answer.keyspace.state == keyspacepb.ENABLED
        assert answer.header.cluster_id == CLUSTER
        other = await stubs.keyspaces.LoadKeyspace(keyspacepb.LoadKeyspaceRequest(header=HEADER, name="mine"))
        assert other.header.error.type == pdpb.ENTRY_NOT_FOUND
        foreign = keyspacepb.LoadKeyspaceRequest(header=pdpb.RequestHeader(cluster_id=5), name="DEFAULT")
        with pytest.raises(grpc.RpcError) as caught:
            await stubs.keyspaces.LoadKeyspace(foreign)
        assert caught.value.code() is Code.FAILED_PRECONDITION

    run(scenario)


def test_answers_have_what_the_old_wheels_panic_without(run):
    """wire.md 3.1: header, region_epoch, store, leader and no error message in the header, not even an empty one."""

    async def scenario(stubs, node):
        region = await stubs.pd.GetRegion(pdpb.GetRegionRequest(header=HEADER, region_key=storage_key(b"a")))
        store = await stubs.pd.GetStore(pdpb.GetStoreRequest(header=HEADER, store_id=1))
        members = await stubs.pd.GetMembers(pdpb.GetMembersRequest())

        async def two():
            yield pdpb.TsoRequest(header=HEADER, count=1)
            yield pdpb.TsoRequest(header=HEADER, count=64)

        stamps = [answer async for answer in stubs.pd.Tso(two())]
        for answer in (region, store, members, *stamps):
            assert answer.header.cluster_id == CLUSTER
            assert not answer.header.HasField("error")
        assert region.region.HasField("region_epoch")
        assert region.HasField("leader")
        assert store.HasField("store")
        assert members.leader.client_urls
        assert [(stamp.count, stamp.HasField("timestamp")) for stamp in stamps] == [(1, True), (64, True)]

    run(scenario)
