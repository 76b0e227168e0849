"""The stores' real transaction commands under the fake cluster's regions, with faults drawn from a seed.

Everything from `KvPrewrite` down to the encodings is what a store runs; only Raft is missing: all stores share one
memory engine and one scheduler, and a write is applied at once.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from client_fakes import FakeCluster, FakePd, World, until
from client_shared_way import InnerStub

from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.connections import StoreStubs
from rutile_kv.engine.api import Modify, Reader
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.env.rpc import LocalStub
from rutile_kv.raw.writer import RawWriter
from rutile_kv.server.kv_service import RawParts, ServiceParts, StoreService
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EpochNotMatch, NotLeader, RegionNotFound, StoreNotMatch

CLUSTER_ID = 7


class SharedKv:
    """What the services need of a store, over one engine for all of them."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.engine = MemoryEngine()
        self.scheduler = TxnScheduler(self)

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        return None

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        self._check(context)
        return self.engine

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        self._check(context)
        batch = self.engine.batch()
        for family, key, value in modifies:
            if value is None:
                batch.delete(family, key)
            else:
                batch.put(family, key, value)
        self.engine.write(batch)

    def region(self, region_id: int) -> metapb.Region | None:
        known = self.cluster.regions.get(region_id)
        return known.meta if known is not None else None

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        return self.cluster.region_at(storage_key).meta

    def data_version(self, region_id: int) -> int:
        return 0

    def _check(self, context: kvrpcpb.Context) -> None:
        region = self.cluster.regions.get(context.region_id)
        if region is None:
            raise RegionNotFound(context.region_id)
        if region.leader_store != context.peer.store_id:
            raise NotLeader(context.region_id, region.leader)
        if region.meta.region_epoch.version != context.region_epoch.version:
            raise EpochNotMatch(region.meta.id, [each.meta for each in self.cluster.ordered()])
        self.scheduler.max_ts.sync_region(region.meta.id, 0)


class Unreliable:
    """A store whose requests and answers get lost, whose regions split and whose leaders move, now and then."""

    def __init__(self, store_id: int, service: StoreService, cluster: FakeCluster, dice: random.Random) -> None:
        self._store_id, self._service, self._cluster, self._dice = store_id, service, cluster, dice

    def __getattr__(self, name: str) -> Callable[[Any, Any], Any]:
        method = getattr(self._service, name)

        async def call(request: Any, context: Any) -> Any:
            self._cluster.calls.append((name, type(request)))
            for _ in range(self._dice.randrange(4)):
                await asyncio.sleep(0)
            fault = self._dice.random()
            if fault < 0.04:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the request was lost")
            self._disturb()
            if request.context.peer.store_id != self._store_id:
                raise StoreNotMatch(request.context.peer.store_id, self._store_id)
            answer = await method(request, context)
            if fault > 0.94:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
            return answer

        return call

    def _disturb(self) -> None:
        what, key = self._dice.random(), b"acct%02d" % self._dice.randrange(20)
        if what < 0.01:
            self._cluster.split(key)
        elif what < 0.03:
            self._cluster.move_leader(key, self._dice.choice(self._cluster.store_ids))


def service_of(kv: SharedKv, store_id: int) -> StoreService:
    """What a store of these answers with."""
    raw = RawParts(RawWriter(kv), kv.cluster.time.clock, None)
    parts = ServiceParts(CLUSTER_ID, store_id, kv, kv.scheduler, None, None, 8 << 20, raw)  # type: ignore[arg-type]
    return StoreService(parts)


@asynccontextmanager
async def real_world(seed: int, clients: int, *, shared: bool = False) -> AsyncIterator[list[World]]:
    """Several clients of one such cluster, over LocalStubs; `shared`: on which small requests travel together."""
    cluster, dice = FakeCluster(), random.Random(seed)
    kv = SharedKv(cluster)
    pd = FakePd(cluster)
    stubs = {}
    for store_id in cluster.store_ids:
        stubs[store_id] = LocalStub(Unreliable(store_id, service_of(kv, store_id), cluster, dice))
    options = ClientOptions(write_budget_s=3.0, read_budget_s=30.0, find_out_budget_s=2.0)
    made = [
        World(cluster, pd, Client.local(LocalStub(pd), _ways(stubs, shared), options=options, pace=cluster.time.pace))
        for _ in range(clients)
    ]
    try:
        yield made
    finally:
        for each in made:
            await each.client.close()
        await kv.scheduler.close()
        kv.engine.close()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


def _ways(stubs: dict[int, LocalStub], shared: bool) -> dict[int, StoreStubs]:
    return {store: StoreStubs(InnerStub(stub) if shared else stub, stub) for store, stub in stubs.items()}
