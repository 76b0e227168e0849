"""What everybody calls at a member's address, whether it leads or not.

    GetMembers, GetClusterInfo, etcd's members and safe point, PdMembers.Status    answered here, by any member
    everything else                                                                by the leader's `PdServicer`

Another member than the leader refuses with UNAVAILABLE and "not leader", and so does one that leads but has not loaded
what it must know. Without a leader GetMembers is refused as well: some clients break when an answer names none (wire.md
3.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from inspect import isasyncgenfunction
from typing import Any

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd.consensus.members import NotLeading
from rutile_pd.consensus.replication import Replication
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.services.etcd_service import EtcdService
from rutile_pd.services.members_service import MembersService
from rutile_pd.services.service import PdServicer
from rutile_proto import (
    etcdserverpb_pb2_grpc,
    keyspacepb_pb2_grpc,
    pdadminpb_pb2_grpc,
    pdpb_pb2_grpc,
    pdraftpb_pb2_grpc,
)
from rutile_proto import pdpb_pb2 as pdpb

SERVICES: tuple[tuple[type, Callable[[Any, grpc.aio.Server], None]], ...] = (
    (pdpb_pb2_grpc.PDServicer, pdpb_pb2_grpc.add_PDServicer_to_server),
    (keyspacepb_pb2_grpc.KeyspaceServicer, keyspacepb_pb2_grpc.add_KeyspaceServicer_to_server),
    (etcdserverpb_pb2_grpc.ClusterServicer, etcdserverpb_pb2_grpc.add_ClusterServicer_to_server),
    (etcdserverpb_pb2_grpc.KVServicer, etcdserverpb_pb2_grpc.add_KVServicer_to_server),
    (pdraftpb_pb2_grpc.PdMembersServicer, pdraftpb_pb2_grpc.add_PdMembersServicer_to_server),
    (pdadminpb_pb2_grpc.PdAdminServicer, pdadminpb_pb2_grpc.add_PdAdminServicer_to_server),
)
"""Each service's methods, and what adds it to a server."""


class Door(EtcdService, MembersService):
    """For a gRPC server or a LocalStub. The methods that only the leader has are put into the class below."""

    def __init__(self, replication: Replication, applied: PdStorage, own: pdpb.Member) -> None:
        self.replication = replication
        self.applied = applied
        self.own = own
        """This member, at the address where it listens now."""
        self.leading: PdServicer | None = None
        """Set while this member leads."""

    @property
    def leader(self) -> PdServicer:
        """What the leader knows, if it is here. Raises NotLeading."""
        if self.leading is None:
            failure = self.replication.failure
            raise NotLeading(f"not leader: {failure or 'another member leads, or nobody does yet'}")
        return self.leading

    def members(self) -> list[pdpb.Member]:
        """Everybody in the group, by id."""
        own = self.own
        return [own if member.member_id == own.member_id else member for member in self.applied.members()]

    def timestamps_now(self, count: int) -> int | None:
        """The largest of `count` new timestamps, if it takes no await (`rutile_kv.env.prompt`); else None."""
        return None if self.leading is None else self.leading.reserves.timestamp_now(count)

    async def known_leader(self) -> pdpb.Member | None:
        """Who leads, if this member can say so; of itself only when it is sure."""
        leader_id = self.replication.replica.node.leader_id
        if leader_id == self.own.member_id:
            try:
                await self.leader.leadership.confirm()
            except NotLeading:
                return None
        return next((member for member in self.members() if member.member_id == leader_id), None)

    def register(self, server: grpc.aio.Server) -> None:
        """Add all services to `server`."""
        for _, add in SERVICES:
            add(self, server)

    async def GetMembers(self, request: pdpb.GetMembersRequest, context: RpcContext) -> pdpb.GetMembersResponse:
        leader, cluster_id = await self.known_leader(), self.applied.cluster_id()
        if leader is None or not cluster_id:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this member knows no leader: ask again")
        header = pdpb.ResponseHeader(cluster_id=cluster_id)
        return pdpb.GetMembersResponse(header=header, members=self.members(), leader=leader, etcd_leader=leader)

    async def GetClusterInfo(
        self, request: pdpb.GetClusterInfoRequest, context: RpcContext
    ) -> pdpb.GetClusterInfoResponse:
        header = pdpb.ResponseHeader(cluster_id=self.applied.cluster_id())
        return pdpb.GetClusterInfoResponse(header=header, serviceModes=[pdpb.PD_SVC_MODE])

    async def leader_or_abort(self, context: RpcContext) -> PdServicer:
        """The leader's servicer, or the end of the call."""
        try:
            return self.leader
        except NotLeading as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))


def _relayed(name: str) -> Callable[..., Any]:
    async def serve(self: Door, request: Any, context: RpcContext) -> Any:
        return await getattr(await self.leader_or_abort(context), name)(request, context)

    return serve


def _relayed_stream(name: str) -> Callable[..., Any]:
    async def serve(self: Door, request: Any, context: RpcContext) -> AsyncIterator[Any]:
        leader = await self.leader_or_abort(context)
        async with aclosing(getattr(leader, name)(request, context)) as stream:
            async for answer in stream:
                yield answer

    return serve


def _fill() -> None:
    """Give the door every method that it does not answer itself: the leader's, or UNIMPLEMENTED."""
    for service, _ in SERVICES:
        for name, unimplemented in vars(service).items():
            if name.startswith("_") or hasattr(Door, name):
                continue
            served = getattr(PdServicer, name, unimplemented)
            relay = _relayed_stream if isasyncgenfunction(served) else _relayed
            setattr(Door, name, unimplemented if served is unimplemented else relay(name))


_fill()
