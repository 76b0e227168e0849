"""The placement driver's client: timestamps shared and recovered, the leader found and followed, every call bounded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from client_fakes import CLUSTER_ID, DROP, FakeCluster, FakePd, FakeTime, World, run

from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.pd import PdClient
from rutile_kv.client.pd_leader import PdConnection, PdLeader, PdRefused
from rutile_kv.env.rpc import LocalStub
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError, RetriesExhausted
from rutile_proto.keys import storage_key


def test_concurrent_callers_share_requests_and_get_distinct_timestamps(transport: str) -> None:
    async def body(world: World) -> None:
        first = await world.client.timestamp()
        batches = await asyncio.gather(*[world.client.timestamp() for _ in range(500)])
        assert len(set(batches)) == 500
        assert min(batches) > first
        assert sorted(batches) == batches  # whoever asked first got the smaller one
        assert world.cluster.count("Tso") <= 4
        run_of_three = await world.client.pd.timestamps(3)
        assert run_of_three == [run_of_three[0], run_of_three[0] + 1, run_of_three[0] + 2]
        assert world.client.pd.last_timestamp == run_of_three[-1]
        assert world.pd.tso_streams == 1

    run(transport, body)


def test_the_stream_is_opened_again_after_an_abort(transport: str) -> None:
    async def body(world: World) -> None:
        before = await world.client.timestamp()
        world.cluster.inject("Tso", grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION, DROP)
        after = await asyncio.gather(*[world.client.timestamp() for _ in range(20)])
        assert min(after) > before
        assert len(set(after)) == 20
        assert world.pd.tso_streams == 4

    run(transport, body)


def test_nonsense_instead_of_timestamps_is_not_handed_out(transport: str) -> None:
    async def body(world: World) -> None:
        ts = await world.client.timestamp()
        old = pdpb.Timestamp(physical=1, logical=1)
        world.cluster.inject(
            "Tso",
            lambda request: pdpb.TsoResponse(count=1),
            lambda request: pdpb.TsoResponse(count=5, timestamp=old),
            lambda request: pdpb.TsoResponse(count=1, timestamp=old),
        )
        assert await world.client.timestamp() > ts

    run(transport, body)


def test_waiting_for_a_timestamp_ends(transport: str) -> None:
    async def body(world: World) -> None:
        await world.client.timestamp()
        world.cluster.inject("Tso", *[grpc.StatusCode.UNAVAILABLE] * 100_000)
        with pytest.raises(RetriesExhausted, match="timestamp"):
            await world.client.timestamp()
        world.cluster.faults.clear()
        await world.client.timestamp()

    run(transport, body, options=ClientOptions(pd_budget_s=0.2))


def test_a_caller_that_leaves_costs_the_others_nothing(transport: str) -> None:
    async def body(world: World) -> None:
        calls = [asyncio.ensure_future(world.client.timestamp()) for _ in range(10)]
        await asyncio.sleep(0)
        calls[3].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in done].count(True) == 1
        with pytest.raises(PdError, match="outside"):
            await world.client.pd.timestamps(1 << 20)

    run(transport, body)


def test_closing_wakes_whoever_waits() -> None:
    async def body(world: World) -> None:
        async def hang(request: Any) -> None:
            await asyncio.get_running_loop().create_future()

        world.cluster.inject("Tso", hang)
        first = asyncio.ensure_future(world.client.timestamp())
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(world.client.timestamp())
        await asyncio.sleep(0)
        await world.client.close()
        for each in (first, second):
            with pytest.raises(PdError, match="closed"):
                await each

    run("local", body)


def test_routing_calls(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"b", b"m")
        pd = world.client.pd
        middle = await pd.get_region(storage_key(b"c"))
        assert middle is not None
        assert middle.region.start_key == storage_key(b"b")
        assert middle.leader is not None
        assert middle.leader.store_id == 1
        before = await pd.get_prev_region(storage_key(b"c"))
        assert before is not None
        assert before.region.end_key == storage_key(b"b")
        assert await pd.get_prev_region(b"") is None
        assert await pd.get_region_by_id(middle.region.id) == middle
        assert await pd.get_region_by_id(9999) is None
        found = await pd.scan_regions(storage_key(b"c"), b"")
        assert [each.region.id for each in found] == [middle.region.id, 1]
        assert [store.id for store in await pd.all_stores()] == [1, 2, 3]
        assert await pd.alloc_id() != await pd.alloc_id()
        assert await pd.ready() == CLUSTER_ID

    run(transport, body)


def test_refusals_carry_their_type(transport: str) -> None:
    async def body(world: World) -> None:
        with pytest.raises(PdRefused) as caught:
            await world.client.pd.bootstrap(metapb.Store(id=1), metapb.Region(id=1))
        assert caught.value.type == pdpb.ALREADY_BOOTSTRAPPED
        with pytest.raises(InvalidRequest, match="UNIMPLEMENTED"):
            await world.client.pd.gc_safe_point()

    run(transport, body)


def test_calls_are_repeated_within_their_budget(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.inject("AllocID", DROP, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        assert await world.client.pd.alloc_id()
        world.cluster.inject("AllocID", *[DROP] * 1000)
        with pytest.raises(RetriesExhausted, match="AllocID"):
            await world.client.pd.alloc_id()

    run(transport, body)


def test_region_heartbeats_go_out_and_orders_come_in(transport: str) -> None:
    async def body(world: World) -> None:
        await world.client.pd.ready()

        async def reports() -> AsyncIterator[pdpb.RegionHeartbeatRequest]:
            for region_id in (1, 2, 3):
                yield pdpb.RegionHeartbeatRequest(region=metapb.Region(id=region_id))

        orders = []
        with pytest.raises(PdError, match="ended"):
            async for order in world.client.pd.region_heartbeats(reports()):
                orders.append(order.region_id)
        assert orders == [1, 2, 3]

    run(transport, body)


# --- finding the leader -----------------------------------------------------------------------------------------------


class ThreePds:
    """Members of which one leads; each answers at its own address."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.leader = "pd1:1"
        self.down: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def dial(self, address: str) -> PdConnection:
        return PdConnection(LocalStub(Member(self, address)), self.nothing)

    async def nothing(self) -> None:
        pass

    def client(self, *addresses: str, budget_s: float = 1.0) -> PdClient:
        return PdClient(PdLeader(addresses, self.dial), FakeTime().pace, budget_s)


class Member(FakePd):
    def __init__(self, all_three: ThreePds, address: str) -> None:
        super().__init__(all_three.cluster)
        self.all_three, self.address = all_three, address

    async def _serve(self, method: str, request: Any, context: Any, serve: Any) -> Any:
        self.all_three.asked.append((method, self.address))
        if self.address in self.all_three.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        if method != "GetMembers" and self.address != self.all_three.leader:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not leader")
        if method != "GetMembers":
            return await super()._serve(method, request, context, serve)
        members = [pdpb.Member(name=f"pd{n}", client_urls=[f"http://pd{n}:1"]) for n in (1, 2, 3)]
        leader = next((m for m in members if m.client_urls[0].endswith(self.all_three.leader)), None)
        return pdpb.GetMembersResponse(header=self.header, members=members, leader=leader)


def test_the_leader_is_found_from_any_member_and_followed() -> None:
    async def main() -> None:
        pds = ThreePds()
        pds.down.add("pd9:1")
        pd = pds.client("http://pd9:1", "pd3:1")
        await pd.timestamp()
        assert await pd.alloc_id()
        assert pds.asked[-1] == ("AllocID", "pd1:1")
        pds.leader = "pd2:1"
        pds.down |= {"pd1:1", "pd3:1"}  # only pd2, learnt from the answers, is left
        assert await pd.alloc_id()
        assert await pd.timestamp()
        assert pds.asked[-1] == ("Tso", "pd2:1")
        await pd.close()

    asyncio.run(main())


def test_no_leader_is_waited_for_but_not_for_ever() -> None:
    async def main() -> None:
        pds = ThreePds()
        pds.leader = "nobody"
        pd = pds.client("pd1:1", "pd2:1")
        for call in (pd.ready, pd.alloc_id):
            with pytest.raises(RetriesExhausted, match="knows no leader"):
                await call()
        await pd.close()
        with pytest.raises(PdError, match="no placement driver address"):
            pds.client()

    asyncio.run(main())


def test_a_member_of_another_cluster_is_refused() -> None:
    async def main() -> None:
        pds = ThreePds()
        pd = pds.client("pd1:1")
        await pd.ready()
        stranger = pdpb.ResponseHeader(cluster_id=CLUSTER_ID + 1)
        leader = PdLeader(["pd1:1"], pds.dial)
        leader.cluster_id = stranger.cluster_id
        with pytest.raises(PdError, match=f"cluster {CLUSTER_ID}"):
            await leader.stub()
        await pd.close()

    asyncio.run(main())
