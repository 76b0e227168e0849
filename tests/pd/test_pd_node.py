"""A placement driver's life: restarts remember, directories and ports are not shared."""

import asyncio
import gc
from pathlib import Path

import pytest

from rutile_kv.client.pd import PdClient
from rutile_kv.engine.api import CF_DEFAULT
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import ManualClock
from rutile_kv.env.rpc import LocalStub, channel
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import DataDirMismatch, PortInUse

STORE = metapb.Store(id=1, address="127.0.0.1:20160")
PEER = metapb.Peer(id=3, store_id=1)
REGION = metapb.Region(id=2, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1), peers=[PEER])


async def take_timestamp(stub):
    async def requests():
        yield pdpb.TsoRequest(count=1)

    (answer,) = [answer async for answer in stub.Tso(requests())]
    return answer.timestamp


def test_a_restart_remembers_and_never_goes_back(tmp_path: Path):
    async def main():
        clock = ManualClock()
        node = PdNode(tmp_path, None, clock)
        await node.start()
        stub = LocalStub(node.servicer)
        await stub.Bootstrap(pdpb.BootstrapRequest(store=STORE, region=REGION))
        await stub.UpdateGCSafePoint(pdpb.UpdateGCSafePointRequest(safe_point=9))
        claim = pdpb.UpdateServiceGCSafePointRequest(service_id=b"s", TTL=1 << 40, safe_point=12)
        await stub.UpdateServiceGCSafePoint(claim)
        first_id = (await stub.AllocID(pdpb.AllocIDRequest())).id
        first = await take_timestamp(stub)
        identity = (await stub.GetMembers(pdpb.GetMembersRequest())).leader.member_id, node.servicer.leader.cluster.id
        await node.stop()

        clock.set_wall_ms(1_000)  # somebody set the clock back by decades
        node = PdNode(tmp_path, None, clock)
        await node.start()
        stub = LocalStub(node.servicer)
        again = await take_timestamp(stub)
        assert (again.physical, again.logical) > (first.physical, first.logical)
        assert (await stub.AllocID(pdpb.AllocIDRequest())).id > first_id
        members = await stub.GetMembers(pdpb.GetMembersRequest())
        assert (members.leader.member_id, members.header.cluster_id) == identity
        found = await stub.GetRegion(pdpb.GetRegionRequest(region_key=b"k"))
        assert (found.region, found.leader) == (REGION, PEER)
        assert (await stub.GetStore(pdpb.GetStoreRequest(store_id=1))).store.address == STORE.address
        assert (await stub.GetGCSafePoint(pdpb.GetGCSafePointRequest())).safe_point == 9
        held = await stub.UpdateServiceGCSafePoint(pdpb.UpdateServiceGCSafePointRequest(service_id=b"x"))
        assert (held.service_id, held.min_safe_point) == (b"s", 12)
        await node.stop()

    asyncio.run(main())


def test_cluster_ids_are_random_and_not_zero():
    async def main():
        seen = []
        for _ in range(2):
            node = PdNode(None, None)
            await node.start()
            seen.append(node.servicer.leader.cluster.id)
            await node.stop()
        assert seen[0] != seen[1]
        assert 0 not in seen

    asyncio.run(main())


def test_a_directory_of_another_cluster_is_refused_and_left_alone(tmp_path: Path):
    async def main():
        node = PdNode(tmp_path, None, config=PdConfig(cluster_id=5))
        await node.start()
        await node.stop()
        with pytest.raises(DataDirMismatch, match=r"cluster 5.*cluster 6"):
            await PdNode(tmp_path, None, config=PdConfig(cluster_id=6)).start()
        node = PdNode(tmp_path, None)
        await node.start()
        assert node.servicer.leader.cluster.id == 5
        await node.stop()

    asyncio.run(main())


def test_a_directory_with_other_data_is_refused(tmp_path: Path):
    engine = RocksEngine.open(tmp_path)
    batch = engine.batch()
    batch.put(CF_DEFAULT, b"row", b"value")
    engine.write(batch)
    engine.close()
    with pytest.raises(DataDirMismatch, match="not a placement driver's"):
        asyncio.run(PdNode(tmp_path, None).start())


def test_a_directory_in_use_is_refused(tmp_path: Path):
    async def main():
        node = PdNode(tmp_path, None)
        await node.start()
        with pytest.raises(DataDirMismatch):
            await PdNode(tmp_path, None).start()
        await node.stop()

    asyncio.run(main())


def test_a_port_in_use_is_refused_and_frees_the_directory(tmp_path: Path):
    async def main():
        first = PdNode(None, "127.0.0.1:0")
        await first.start()
        second = PdNode(tmp_path, first.address)
        with pytest.raises(PortInUse, match=first.address):
            await second.start()
        await first.stop()
        await second.start()
        await second.stop()

    asyncio.run(main())


def test_health_is_served_and_members_name_the_address():
    async def main():
        node = PdNode(None, "127.0.0.1:0")
        await node.start()
        async with channel(node.address) as connection:
            check = connection.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=rutilepb.HealthCheckRequest.SerializeToString,
                response_deserializer=rutilepb.HealthCheckResponse.FromString,
            )
            assert (await check(rutilepb.HealthCheckRequest())).status == rutilepb.HealthCheckResponse.SERVING
        members = await LocalStub(node.servicer).GetMembers(pdpb.GetMembersRequest())
        assert list(members.leader.client_urls) == [f"http://{node.address}"]
        await node.stop()
        await node.stop()  # harmless

    asyncio.run(main())


def test_nothing_is_served_before_the_start():
    with pytest.raises(RuntimeError, match="not running"):
        PdNode(None, None).servicer  # noqa: B018


def test_a_client_in_the_same_process_gets_timestamps_in_the_turn_it_asks():
    async def main():
        clock = ManualClock()
        node = PdNode(None, None, clock)
        await node.start()
        client = PdClient.local(LocalStub(node.servicer))
        given = [await client.timestamp()]  # finds the leader, and waits
        for count in (1, 1 << 15, 1):
            asking = client.timestamps(count)
            with pytest.raises(StopIteration) as ended:
                asking.send(None)
            given += ended.value.value
        given += await asyncio.gather(*(client.timestamp() for _ in range(20)))
        clock.advance(3600.0)  # beyond the limit that is committed: somebody has to wait
        given += await asyncio.gather(*(client.timestamp() for _ in range(3)))
        assert sorted(set(given)) == given
        assert client.last_timestamp == given[-1]
        await client.close()
        await node.stop()

    asyncio.run(main())


def test_a_member_that_stops_before_its_first_turn_leaves_nothing_behind():
    async def main():
        member = PdNode(None, None)._make_member(MemoryEngine())
        member.replication.start(None)
        await member.replication.stop()
        gc.collect()  # a coroutine that nobody ever awaited would complain now

    asyncio.run(main())


def test_who_stops_it_can_be_cancelled():
    """While a leadership takes its time to end: the caller hears of its cancellation, it is not swallowed."""

    async def main():
        node = PdNode(None, None)
        await node.start()
        ending, ended = asyncio.Event(), asyncio.Event()

        async def lead():
            try:
                await ended.wait()
            finally:
                ending.set()
                await ended.wait()

        member = node.member
        leading, member._leading = member._leading, asyncio.create_task(lead())
        await asyncio.sleep(0)
        stopping = asyncio.create_task(member._end_leading())
        await ending.wait()
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        ended.set()
        await asyncio.wait([member._leading])
        member._leading = leading
        await node.stop()

    asyncio.run(main())
