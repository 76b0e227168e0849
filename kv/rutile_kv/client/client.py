"""The door: a client of one cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rutile_kv.client.backoff import Pace
from rutile_kv.client.calls import Stub
from rutile_kv.client.cluster import ClientOptions, Cluster
from rutile_kv.client.connections import GrpcStores, LocalStores, StoreStubs
from rutile_kv.client.pd import PdClient
from rutile_kv.client.region_cache import RegionCache
from rutile_kv.client.snapshot import Snapshot
from rutile_kv.client.transaction import Transaction
from rutile_proto.types import Timestamp


class Client:
    """Transactions, snapshots, pushed-down fragments and bulk loads on a cluster.

    >>> async with await Client.connect(["127.0.0.1:2379"]) as client:
    ...     async with await client.begin() as txn:
    ...         txn.put(b"k", b"v")
    ...     print(await client.snapshot(await client.timestamp()).get(b"k"))

    One client serves any number of concurrent tasks of one event loop. `SyncClient` is the same for plain threads.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @classmethod
    async def connect(
        cls, pd_addresses: Sequence[str], *, options: ClientOptions | None = None, pace: Pace | None = None
    ) -> Self:
        """A client over gRPC, once a placement driver leader is found. RetriesExhausted if there is none in time."""
        options = options or ClientOptions()
        pd = PdClient.connect(pd_addresses, pace=pace, budget_s=options.pd_budget_s)
        client = cls(Cluster(pd, GrpcStores(pd), pace, options))
        try:
            await pd.ready()
        except BaseException:
            await client.close()
            raise
        return client

    @classmethod
    def local(
        cls,
        pd_stub: Stub,
        store_stubs: Mapping[int, Stub | StoreStubs],
        *,
        options: ClientOptions | None = None,
        pace: Pace | None = None,
    ) -> Self:
        """A client of servicers in this process (`LocalStub`s): no wire, no serialisation. Nothing is called yet.

        The mapping from store id may change later. A value that is one stub answers for both `tikvpb.Tikv` and
        `rutilepb.RutileKv`; with separate ones, give `StoreStubs`.
        """
        options = options or ClientOptions()
        pd = PdClient.local(pd_stub, pace=pace, budget_s=options.pd_budget_s)
        return cls(Cluster(pd, LocalStores(store_stubs), pace, options))

    @property
    def pd(self) -> PdClient:
        """The placement driver."""
        return self.cluster.pd

    @property
    def regions(self) -> RegionCache:
        """What is known of the regions."""
        return self.cluster.regions

    async def timestamp(self) -> Timestamp:
        """A timestamp above everything committed before this call."""
        return await self.cluster.pd.timestamp()

    def snapshot(self, ts: int) -> Snapshot:
        """The cluster as of `ts`."""
        return Snapshot(self.cluster, ts)

    async def begin(self, start_ts: int | None = None) -> Transaction:
        """A transaction that reads as of now, or as of `start_ts` if the caller has just drawn one."""
        return Transaction(self.cluster, await self.timestamp() if start_ts is None else start_ts)

    async def close(self) -> None:
        """Wait a bounded time for background work, then close every connection."""
        await self.cluster.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
