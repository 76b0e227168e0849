"""Members of a placement driver come and go, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from rutile_kv.env.rpc import LocalStub, channel
from rutile_pd.consensus.members import Founder, NotLeading, founding_members, parse_founders
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import etcdserverpb_pb2 as etcdserverpb
from rutile_proto import etcdserverpb_pb2_grpc, pdpb_pb2_grpc, pdraftpb_pb2_grpc
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb
from rutile_proto.errors import DataDirMismatch, InvalidRequest
from rutile_proto.timestamps import compose

PATIENCE_S = 30.0
T = TypeVar("T")


def free_addresses(opened: AsyncExitStack, count: int) -> list[str]:
    """Ports that nobody else is given while the test lasts: bound here, which does not keep a server from them."""
    addresses = []
    for _ in range(count):
        reserved = opened.enter_context(socket.socket())
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        addresses.append(f"127.0.0.1:{reserved.getsockname()[1]}")
    return addresses


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def leader_of(nodes: list[PdNode]) -> PdNode | None:
    return next((node for node in nodes if node.servicer.leading is not None), None)


async def led(nodes: list[PdNode]) -> PdNode:
    await until(lambda: leader_of(nodes) is not None)
    leader = leader_of(nodes)
    assert leader is not None
    return leader


async def timestamp(stub: LocalStub) -> int:
    async def requests():
        yield pdpb.TsoRequest(count=1)

    (answer,) = [answer async for answer in stub.Tso(requests())]
    return compose(answer.timestamp.physical, answer.timestamp.logical)


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What it answers, asked again while nobody leads, or the leader changes."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.05)


async def of_the_leader(nodes: list[PdNode], ask: Callable[[LocalStub], Awaitable[T]]) -> T:
    """What whoever leads answers."""

    async def once() -> T:
        return await ask(LocalStub((await led(nodes)).servicer))

    return await patiently(once)


async def known_leader(nodes: list[PdNode]) -> tuple[int, list[set[int]]]:
    """(the leader that all members name, the members that each knows), once they agree."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            stubs = [LocalStub(node.servicer) for node in nodes]
            answers = [await patiently(lambda stub=stub: stub.GetMembers(pdpb.GetMembersRequest())) for stub in stubs]
            leaders = {answer.leader.member_id for answer in answers}
            if len(leaders) == 1:
                return leaders.pop(), [{member.member_id for member in answer.members} for answer in answers]


async def found(opened: AsyncExitStack, folder: Path | None = None) -> tuple[list[PdNode], list[Founder]]:
    """Three members that have found each other."""
    founders = [Founder(f"pd{n}", address) for n, address in enumerate(free_addresses(opened, 3), 1)]
    nodes = [
        PdNode(folder / each.name if folder else None, each.address, config=PdConfig(name=each.name), founders=founders)
        for each in founders
    ]
    for node in nodes:
        opened.push_async_callback(node.stop)
    await asyncio.gather(*(node.start() for node in nodes))
    return nodes, founders


def test_three_members_find_each_other_and_follow_a_leader_that_stops():
    async def main():
        async with AsyncExitStack() as opened:
            nodes, _ = await found(opened)
            given = await of_the_leader(nodes, timestamp)
            by_id = {node.servicer.own.member_id: node for node in nodes}
            leader_id, members = await known_leader(nodes)
            assert members == [set(by_id)] * 3
            await by_id.pop(leader_id).stop()
            assert await of_the_leader(list(by_id.values()), timestamp) > given

    asyncio.run(main())


def test_followers_answer_like_etcd_and_refuse_the_rest():
    async def main():
        async with AsyncExitStack() as opened:
            nodes, _ = await found(opened)
            leader = await led(nodes)
            follower = next(node for node in nodes if node is not leader)
            region = metapb.Region(id=2, region_epoch=metapb.RegionEpoch(conf_ver=1, version=1))
            region.peers.add(id=3, store_id=1)
            store = metapb.Store(id=1, address="a:1")
            await of_the_leader(nodes, lambda stub: stub.Bootstrap(pdpb.BootstrapRequest(store=store, region=region)))
            safe_point = pdpb.UpdateGCSafePointRequest(safe_point=41)
            await of_the_leader(nodes, lambda stub: stub.UpdateGCSafePoint(safe_point))
            async with channel(follower.address) as link:
                members = etcdserverpb_pb2_grpc.ClusterStub(link)
                assert len((await members.MemberList(etcdserverpb.MemberListRequest())).members) == 3
                keys = etcdserverpb_pb2_grpc.KVStub(link)
                saved = etcdserverpb.RangeRequest(key=b"/tidb/store/gcworker/saved_safe_point")
                found_keys = await patiently(lambda: keys.Range(saved, timeout=PATIENCE_S))
                assert found_keys.kvs[0].value == b"41"
                with pytest.raises(grpc.RpcError) as caught:
                    await pdpb_pb2_grpc.PDStub(link).GetAllStores(pdpb.GetAllStoresRequest())
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                assert "not leader" in caught.value.details()
                status = await pdraftpb_pb2_grpc.PdMembersStub(link).Status(pdraftpb.StatusRequest())
                assert status.leader_id == leader.servicer.own.member_id

    asyncio.run(main())


def test_one_grows_to_three_and_the_first_is_removed(tmp_path: Path):
    async def main():
        async with AsyncExitStack() as opened:
            first = PdNode(tmp_path / "one", "127.0.0.1:0", config=PdConfig(name="one"))
            opened.push_async_callback(first.stop)
            await first.start()
            given = await timestamp(LocalStub(first.servicer))
            cluster_id = first.servicer.leader.cluster.id
            nodes = [first]
            for name, address in zip(("two", "three"), free_addresses(opened, 2), strict=True):
                node = PdNode(tmp_path / name, address, config=PdConfig(name=name), join=[first.address])
                opened.push_async_callback(node.stop)
                await node.start()
                nodes.append(node)
                state = node.member.replication.replica.log
                await until(lambda log=state, own=node: own.servicer.own.member_id in log.last_conf_state.voters)
            removal = pdraftpb.RemoveMemberRequest(member_id=first.servicer.own.member_id)
            await of_the_leader(nodes, lambda stub: stub.RemoveMember(removal))
            assert await of_the_leader(nodes[1:], timestamp) > given
            assert {node.servicer.applied.cluster_id() for node in nodes[1:]} == {cluster_id}
            await until(lambda: {member.name for member in nodes[2].servicer.members()} == {"two", "three"})
            with pytest.raises(NotLeading):
                first.servicer.leader  # noqa: B018

            again = PdNode(tmp_path / "two", nodes[1].address, config=PdConfig(name="two"), join=["127.0.0.1:1"])
            await nodes[1].stop()
            await again.start()  # it is a member already and asks nobody
            await led([again, nodes[2]])
            await again.stop()

    asyncio.run(main())


def test_what_would_stop_the_group_is_refused():
    async def main():
        async with AsyncExitStack() as opened:
            nodes, _ = await found(opened)
            leader = await led(nodes)
            await until(lambda: all(leader.member.applied.took_part(node.servicer.own.member_id) for node in nodes))
            other, last = [node for node in nodes if node is not leader]
            requests = (
                ("RemoveMember", pdraftpb.RemoveMemberRequest(member_id=9), "no member 9"),
                ("AddMember", pdraftpb.AddMemberRequest(name="pd9", address="nonsense"), "host:port"),
                ("AddMember", pdraftpb.AddMemberRequest(name="pd1", address="127.0.0.1:1"), "is a member"),
                ("AddMember", pdraftpb.AddMemberRequest(name="pd9", address=other.address), "is a member"),
            )
            for name, request, text in requests:
                with pytest.raises(grpc.RpcError, match=text):
                    await of_the_leader(nodes, lambda stub, name=name, request=request: getattr(stub, name)(request))
            await other.stop()
            progress = leader.servicer.leader.leadership
            await until(lambda: sum(progress.is_heard(each) for each in progress.progress()) == 2)
            with pytest.raises(grpc.RpcError, match="no majority"):
                removal = pdraftpb.RemoveMemberRequest(member_id=last.servicer.own.member_id)
                await LocalStub(leader.servicer).RemoveMember(removal)

    asyncio.run(main())


def test_a_founder_that_lost_its_directory_may_not_come_back(tmp_path: Path):
    async def main():
        async with AsyncExitStack() as opened:
            nodes, founders = await found(opened, tmp_path)
            leader = await led(nodes)
            await until(lambda: all(leader.member.applied.took_part(node.servicer.own.member_id) for node in nodes))
            lost = next(node for node in nodes if node is not leader)
            name, address = lost.servicer.own.name, lost.address
            await lost.stop()
            again = PdNode(tmp_path / "empty", address, config=PdConfig(name=name), founders=founders)
            with pytest.raises(DataDirMismatch, match="has taken part"):
                await again.start()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "pd1", "pd1=", "pd1=host", "=host:1", "a=h:1,a=h:2", "a=h:1,b=h:1", "a=h:x"])
def test_nonsense_for_founders_is_refused(text: str):
    with pytest.raises(InvalidRequest):
        parse_founders(text)


def test_founders_agree_without_talking():
    text = "a=h:1,b=h:2,c=h:3"
    members = founding_members(parse_founders(text))
    assert members == founding_members(parse_founders(text))
    assert len({member.member_id for member in members}) == 3


@pytest.mark.parametrize("address", [None, "127.0.0.1:0"])
def test_a_member_needs_an_address_that_others_can_know(address: str | None):
    with pytest.raises(InvalidRequest, match="needs"):
        PdNode(None, address, founders=[Founder("a", "h:1")])
