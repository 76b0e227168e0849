"""A store's services over a DirectKv, reached by call or by gRPC, and transactions written through them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from direct_kv import STORE_ID, DirectKv, context_for

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.command_stream import CommandStub
from rutile_kv.env.clock import SystemClock
from rutile_kv.env.frames import Purpose, greeting
from rutile_kv.env.rpc import LocalStub, channel, start_server
from rutile_kv.raw.writer import RawWriter
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.coprocessor_endpoint import CoprocessorEndpoint
from rutile_kv.server.kv_service import RawParts, ServiceParts, StoreService
from rutile_kv.server.mirror_upkeep import MirrorUpkeep
from rutile_kv.server.peer_port import PeerPort
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2_grpc, tikvpb_pb2_grpc

CLUSTER_ID = 77
MAX_ENTRY_BYTES = 64 * 1024
WIRES = ("local", "grpc", "frames")


class Inbox:
    """A RaftReceiver that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[raft_serverpb.RaftMessage] = []
        self.snapshots: list[tuple[raft_serverpb.RaftMessage, bytes]] = []
        self.refusal: Exception | None = None

    def handle_raft_message(self, message: raft_serverpb.RaftMessage) -> None:
        self.messages.append(message)

    async def receive_snapshot(self, message: raft_serverpb.RaftMessage, chunks: AsyncIterator[bytes]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.snapshots.append((message, b"".join([chunk async for chunk in chunks])))


@dataclass
class Served:
    """A running service: its stubs, and what stands behind them."""

    tikv: Any
    rutile: Any
    kv: DirectKv
    service: StoreService
    inbox: Inbox
    channel: Any = None

    def context(self, region_id: int = 1) -> kvrpcpb.Context:
        return context_for(self.kv.regions[region_id])

    async def put(self, start_ts: int, commit_ts: int, values: dict[bytes, bytes], region_id: int = 1) -> None:
        """A whole transaction."""
        await self.lock(start_ts, values, region_id)
        request = kvrpcpb.CommitRequest(
            context=self.context(region_id), start_version=start_ts, commit_version=commit_ts, keys=sorted(values)
        )
        assert (await self.tikv.KvCommit(request)) == kvrpcpb.CommitResponse(commit_version=commit_ts)

    async def lock(self, start_ts: int, values: dict[bytes, bytes], region_id: int = 1) -> None:
        """Its first half."""
        mutations = [kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=values[key]) for key in sorted(values)]
        request = kvrpcpb.PrewriteRequest(
            context=self.context(region_id),
            mutations=mutations,
            primary_lock=min(values),
            start_version=start_ts,
            lock_ttl=3000,
        )
        assert (await self.tikv.KvPrewrite(request)) == kvrpcpb.PrewriteResponse()

    async def get(self, key: bytes, version: int) -> kvrpcpb.GetResponse:
        return await self.tikv.KvGet(kvrpcpb.GetRequest(context=self.context(), key=key, version=version))


@asynccontextmanager
async def serving(
    wire: str, *regions: metapb.Region, config: StoreConfig | None = None, others: Cluster | None = None
) -> AsyncIterator[Served]:
    kv, inbox = DirectKv(*regions), Inbox()
    scheduler = TxnScheduler(kv)
    endpoint = CoprocessorEndpoint(STORE_ID, kv, scheduler, config or StoreConfig(), SystemClock())
    if endpoint.cache is not None:
        kv.observers.append(MirrorUpkeep(endpoint.cache))
    raw = RawParts(RawWriter(kv), SystemClock(), None)
    parts = ServiceParts(CLUSTER_ID, STORE_ID, kv, scheduler, endpoint, inbox, MAX_ENTRY_BYTES, raw, others=others)
    service = StoreService(parts)
    try:
        if wire == "local":
            stub = LocalStub(service)
            yield Served(stub, stub, kv, service, inbox)
        else:
            async with _over_grpc(service, kv, inbox) as served:
                if wire == "grpc":
                    yield served
                else:
                    async with _with_frames(served) as both:
                        yield both
    finally:
        await service.fates.close()
        await scheduler.close()
        await endpoint.close()


@asynccontextmanager
async def _over_grpc(service: StoreService, kv: DirectKv, inbox: Inbox) -> AsyncIterator[Served]:
    server, address = await start_server("127.0.0.1:0", [service.register])
    try:
        async with channel(address) as link:
            tikv, rutile = tikvpb_pb2_grpc.TikvStub(link), rutilepb_pb2_grpc.RutileKvStub(link)
            yield Served(tikv, rutile, kv, service, inbox, link)
    finally:
        await server.stop(None)


@asynccontextmanager
async def _with_frames(served: Served) -> AsyncIterator[Served]:
    """Small requests by frames, the others by gRPC: as our clients send them."""
    port = PeerPort(served.inbox, CLUSTER_ID, STORE_ID, served.service)
    address = f"127.0.0.1:{await port.listen('127.0.0.1')}"
    stub = CommandStub(served.tikv, greeting(Purpose.COMMANDS, CLUSTER_ID, STORE_ID), address)
    try:
        yield replace(served, tikv=stub)
    finally:
        await stub.close()
        await port.close()


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Poll, with a deadline."""
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met is True or (met is not False and await met):
                return
            await asyncio.sleep(0.01)
