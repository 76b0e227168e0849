"""The door: a client of one cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Literal, Self, overload

import pyarrow as pa

from rutile_kv.client.backoff import Pace
from rutile_kv.client.bulk import BulkEntries, bulk_write, encode_puts
from rutile_kv.client.bulk_load import CommittedRows, bulk_load
from rutile_kv.client.calls import Stub
from rutile_kv.client.cluster import ClientOptions, Cluster
from rutile_kv.client.connections import GrpcStores, LocalStores, StoreStubs
from rutile_kv.client.coprocessor import run_fragment, stream_fragment
from rutile_kv.client.fragment_plan import FragmentMode, WholeNotPossible
from rutile_kv.client.fragment_result import FragmentResult, FragmentStream
from rutile_kv.client.gc import destroy_range
from rutile_kv.client.key_ranges import KeyRange
from rutile_kv.client.mirror_warming import warm_mirrors
from rutile_kv.client.pd import PdClient, RegionInfo
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_kv.client.raw import RawClient
from rutile_kv.client.region_cache import RegionCache
from rutile_kv.client.replicas import ReadFrom
from rutile_kv.client.rowwise import scan_rows
from rutile_kv.client.scan_parts import ScanPart, flight_locations, scan_parts
from rutile_kv.client.snapshot import Snapshot
from rutile_kv.client.splits import region_figures, regions_in, scatter_regions, split_regions, wait_for_regions
from rutile_kv.client.ticket_scan import HeldSnapshot, TicketScan
from rutile_kv.client.transaction import Transaction
from rutile_kv.client.watch import Change, Progress, WatchItem, watch_pages
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.types import Timestamp

__all__ = ["Client", "ClientOptions", "FragmentResult", "FragmentStream", "StoreStubs", "WholeNotPossible"]


class Client:
    """Transactions, snapshots, pushed-down fragments and bulk loads on a cluster.

    >>> async with await Client.connect(["127.0.0.1:2379"]) as client:
    ...     async with await client.begin() as txn:
    ...         txn.put(b"k", b"v")
    ...     print(await client.snapshot(await client.timestamp()).get(b"k"))

    One client serves any number of concurrent tasks of one event loop. `SyncClient` is the same for plain threads.
    """

    runs_fragments: bool = True
    """Whether the stores run pushed-down fragments."""

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

    @property
    def raw(self) -> RawClient:
        """Raw keys and values: no transactions, no versions, one request an operation."""
        return RawClient(self.cluster)

    async def timestamp(self) -> Timestamp:
        """A timestamp above everything committed before this call."""
        return await self.cluster.pd.timestamp()

    def snapshot(self, ts: int, read_from: ReadFrom | None = None) -> Snapshot:
        """The cluster as of `ts`, read from leaders or others (None: as the options say)."""
        return Snapshot(self.cluster, ts, read_from or self.cluster.options.read_from)

    @overload
    async def begin(self, start_ts: int | None = None, *, pessimistic: Literal[False] = False) -> Transaction: ...

    @overload
    async def begin(self, start_ts: int | None = None, *, pessimistic: Literal[True]) -> PessimisticTransaction: ...

    async def begin(self, start_ts: int | None = None, *, pessimistic: bool = False) -> Transaction:
        """A transaction that reads as of now, or as of `start_ts` if the caller has just drawn one.

        A `pessimistic` one can lock keys while it runs; the others meet conflicts when they commit.
        """
        kind = PessimisticTransaction if pessimistic else Transaction
        return kind(self.cluster, await self.timestamp() if start_ts is None else start_ts)

    # --- watching -------------------------------------------------------------------------------------------------

    @overload
    def watch(
        self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None, progress: Literal[False] = False
    ) -> AsyncGenerator[Change, None]: ...

    @overload
    def watch(
        self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None, progress: Literal[True]
    ) -> AsyncGenerator[WatchItem, None]: ...

    async def watch(
        self, start: bytes = b"", end: bytes = b"", *, from_ts: int | None = None, progress: bool = False
    ) -> AsyncGenerator[WatchItem, None]:
        """Every commit of [start, end) above `from_ts`, or from the first look on: once, in commit order for each key.

        >>> async with aclosing(client.watch(b"user/", b"user0", from_ts=ts)) as changes:
        ...     async for change in changes:
        ...         print(change.key, change.value, change.commit_ts)

        It goes on for ever, over splits and changes of leaders; close it when done. With `progress` it says from time
        to time up to which timestamp everything was delivered: a later watch may begin there. Raises WatchEnded when it
        is read too slowly or `from_ts` is older than what is kept, InvalidRequest, and RetriesExhausted.
        """
        async with aclosing(watch_pages(self.cluster, start, end, from_ts)) as pages:
            async for page in pages:
                for item in page:
                    if progress or not isinstance(item, Progress):
                        yield item

    # --- pushed-down execution ------------------------------------------------------------------------------------

    async def run_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: int,
        mode: FragmentMode,
        timeout_s: float,
    ) -> FragmentResult:
        """The fragment's complete result over the data as of `ts`; `ranges` are user keys for each of its scans.

        Mode "whole" runs it on one store that has a replica of everything, or raises `WholeNotPossible`; "per_store"
        runs it on each store over the regions it leads, and puts the results one after the other. Raises
        FragmentRefused, FragmentFailed, or FragmentCancelled when `timeout_s` seconds have passed.
        """
        return await run_fragment(self.cluster, fragment, ranges, ts, mode, timeout_s)

    async def stream_fragment(
        self,
        fragment: rutilepb.Fragment,
        ranges: Mapping[str, Sequence[KeyRange]],
        ts: int,
        mode: FragmentMode,
        timeout_s: float,
    ) -> FragmentStream:
        """The same while it arrives, for results that should not be in memory at once. Close it."""
        return await stream_fragment(self.cluster, fragment, ranges, ts, mode, timeout_s)

    async def warm_mirrors(
        self, fragment: rutilepb.Fragment, ranges: Mapping[str, Sequence[KeyRange]], ts: int, timeout_s: float
    ) -> None:
        """Have every store decode its replicas of `ranges` into its columnar mirror, by a small fragment that scans
        them. See `mirror_warming`."""
        await warm_mirrors(self.cluster, fragment, ranges, ts, timeout_s)

    def scan_rows(
        self, fragment: rutilepb.Fragment, ranges: Mapping[str, Sequence[KeyRange]], ts: int, page_rows: int = 8192
    ) -> AsyncIterator[pa.RecordBatch]:
        """The rows of a rowwise fragment over one scan, in key order, about `page_rows` rows read for each page."""
        return scan_rows(self.cluster, fragment, ranges, ts, page_rows)

    async def scan_parts(self, ranges: Sequence[KeyRange]) -> list[ScanPart]:
        """Where clients can fetch the parts of a large scan over user keys, one part a Flight location."""
        return await scan_parts(self.cluster, ranges)

    async def flight_locations(self) -> dict[int, str]:
        """The Flight locations of the stores that have one, by store id."""
        return await flight_locations(self.cluster)

    def ticket_scan(self, ticket: ticketpb.ScanTicket) -> TicketScan:
        """The rows of a ticket, read through this client. InvalidRequest for a ticket that makes no sense."""
        return TicketScan(self.cluster, ticket)

    def hold_snapshot(self, held: HeldSnapshot) -> None:
        """Keep what is visible at a timestamp from garbage collection, as long as `held` says and somebody has it."""
        self.cluster.gc_hold.add(held)

    async def claim_versions(self, holder: str, ts: int, ttl_s: int) -> bool:
        """Keep what is visible at `ts` from garbage collection for `ttl_s` seconds, in the name of `holder`, whoever
        it is in: a claim outlives its process, and replaces the one before. False if versions may be gone already, or
        are about to be. With 0 seconds the claim ends."""
        lowest = await self.pd.update_service_gc_safe_point(holder.encode(), ttl_s, ts - 1)
        return lowest < ts

    # --- loading --------------------------------------------------------------------------------------------------

    async def bulk_write(
        self, kinds: bytes, storage_keys: Sequence[bytes], keys: Sequence[bytes], values: Sequence[bytes]
    ) -> None:
        """Write engine entries, already encoded as committed versions, sorted by the storage key they belong to.

        The arguments are parallel; `kinds` as in `rutilepb.WriteOps`. See `bulk` for when this is safe.
        """
        await bulk_write(self.cluster, BulkEntries(kinds, storage_keys, keys, values))

    async def bulk_load(self, rows: CommittedRows) -> None:
        """Write many rows as committed versions, in table files. See `bulk` for when this is safe."""
        await bulk_load(self.cluster, rows)

    async def bulk_put(self, pairs: Iterable[tuple[bytes, bytes]], start_ts: int, commit_ts: int) -> None:
        """Write sorted user pairs as committed at `commit_ts`, without locks and conflict checks."""
        await bulk_write(self.cluster, encode_puts(pairs, start_ts, commit_ts))

    async def split_regions(self, user_keys: Iterable[bytes], timeout_s: float = 30.0) -> list[metapb.Region]:
        """Make regions begin at the keys; those regions, in key order."""
        return await split_regions(self.cluster, user_keys, timeout_s)

    async def wait_for_regions(self, user_keys: Iterable[bytes], timeout_s: float = 30.0) -> None:
        """Wait until the placement driver knows the regions that begin at the keys, and who leads them."""
        await wait_for_regions(self.cluster, user_keys, timeout_s)

    async def regions_in(self, start: bytes, end: bytes) -> list[RegionInfo]:
        """The regions that meet [start, end) of user keys, in key order, as the placement driver knows them."""
        return await regions_in(self.cluster, start, end)

    async def region_figures(self, region_ids: Sequence[int]) -> dict[int, pdadminpb.RegionFigures]:
        """Size, keys, what was written and read of late, and what is being done to regions, by id, as the placement
        driver knows it; nothing from a foreign one."""
        return await region_figures(self.cluster, region_ids)

    async def stores(self) -> list[metapb.Store]:
        """The stores of the cluster that are not gone for good, by id."""
        return await self.cluster.pd.all_stores()

    async def scatter_regions(self, user_keys: Iterable[bytes], group: str) -> float:
        """Have the regions that begin at the keys, leaders first, spread evenly over the stores, evenly within the
        group too; the share (0 to 1) of them that the placement driver has taken up. Returns before they have moved."""
        return await scatter_regions(self.cluster, user_keys, group)

    async def destroy_range(self, start: bytes, end: bytes) -> None:
        """Remove everything in [start, end) from every store at once; nobody may use the range any more. See `gc`."""
        await destroy_range(self.cluster, start, end)

    # --- the end --------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Wait a bounded time for background work, then close every connection."""
        await self.cluster.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
