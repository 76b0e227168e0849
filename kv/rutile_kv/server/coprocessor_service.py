"""Coprocessor and BatchCoprocessor: rutilepb.Fragment in, rutilepb.FragmentPage out.

`Coprocessor` reads one region and answers once; with `paging_size` a rowwise fragment reads so many rows and
`Response.range` says how far that was. `BatchCoprocessor` reads many regions and streams: either all of them are
served, or the stream holds nothing but `retry_regions`. Where errors go:

    region not served   Response.region_error / BatchResponse.retry_regions
    lock in the way     Response.locked / FragmentPage.locked
    fragment failed     other_error, as "<class>: <text>"
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing

import pyarrow as pa
from google.protobuf.message import DecodeError

from rutile_coprocessor.fragment import Fragment
from rutile_kv.env.rpc import RpcContext
from rutile_kv.server.boundary import abort_with, check_cluster, check_open, deadline_seconds
from rutile_kv.server.coprocessor_endpoint import CoprocessorEndpoint
from rutile_kv.server.fragment_task import FragmentJob, check_paging
from rutile_kv.server.pages import encode_page
from rutile_kv.server.ranges import KeyRange, from_pb, merge
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.region_views import RegionRead, RegionsNotServed
from rutile_kv.server.validation import check_range, check_timestamp
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import CoprocessorError, InvalidRequest, RegionError
from rutile_proto.keys import storage_bound
from rutile_proto.wire_errors import region_error_to_pb

log = logging.getLogger(__name__)

TP_FRAGMENT = 200
"""Request.tp of a rutilepb.Fragment."""
MAX_RUN_SECONDS = 60.0
"""A fragment is stopped after this time, or earlier if the request says so."""
MAX_REGIONS = 4096
"""Regions in one BatchCoprocessor request."""


class UnsupportedKind(CoprocessorError):
    """Another tp than TP_FRAGMENT: TiDB's DAG, ANALYZE and CHECKSUM requests are not served."""


class CoprocessorService:
    """Mixed into the Tikv service; needs `kv`, `endpoint`, `cluster_id`, `store_id` and `closed`."""

    kv: RegionStore
    endpoint: CoprocessorEndpoint
    cluster_id: int
    store_id: int
    closed: bool
    tikv_only: bool

    async def Coprocessor(self, request: coprocessor.Request, context: RpcContext) -> coprocessor.Response:
        try:
            check_open(self)
            check_cluster(request.context, self.cluster_id)
            return await self._serve_region(request, context)
        except RegionsNotServed as error:
            return coprocessor.Response(region_error=region_error_to_pb(error.failures[0][1]))
        except RegionError as error:
            return coprocessor.Response(region_error=region_error_to_pb(error))
        except CoprocessorError as error:
            return coprocessor.Response(other_error=_named(error))
        except Exception as error:
            await abort_with(context, "Coprocessor", error)

    async def BatchCoprocessor(
        self, request: coprocessor.BatchRequest, context: RpcContext
    ) -> AsyncIterator[coprocessor.BatchResponse]:
        try:
            check_open(self)
            check_cluster(request.context, self.cluster_id)
            job = self._job(request, context)
            reads = self._batch_reads(request)
            async with aclosing(self.endpoint.pages(job, reads)) as pages:
                async for page, _ in pages:
                    yield coprocessor.BatchResponse(data=page.SerializeToString())
        except RegionsNotServed as error:
            yield coprocessor.BatchResponse(retry_regions=[region for region, _ in error.failures])
        except (CoprocessorError, RegionError) as error:
            yield coprocessor.BatchResponse(other_error=_named(error))
        except Exception as error:
            await abort_with(context, "BatchCoprocessor", error)

    async def _serve_region(self, request: coprocessor.Request, context: RpcContext) -> coprocessor.Response:
        """One answer of one region: a page of its rows, or all of them."""
        job = self._job(request, context, request.paging_size)
        asked = _checked_ranges(request.ranges)
        response = coprocessor.Response(range=_span(asked))
        parts: list[rutilepb.FragmentPage] = []
        async with aclosing(self.endpoint.pages(job, [RegionRead(request.context, asked)])) as pages:
            async for page, next_key in pages:
                if page.HasField("locked"):
                    return coprocessor.Response(locked=page.locked)
                parts.append(page)
                if next_key is not None:
                    response.range.end = next_key
        response.data = join_pages(parts).SerializeToString()
        return response

    def _job(
        self, request: coprocessor.Request | coprocessor.BatchRequest, context: RpcContext, paging_rows: int = 0
    ) -> FragmentJob:
        """The checked request; raises UnsupportedKind, InvalidRequest."""
        if request.tp != TP_FRAGMENT or self.tikv_only:
            raise UnsupportedKind(f"coprocessor requests of type {request.tp} are not supported, only {TP_FRAGMENT}")
        check_timestamp("start_ts", request.start_ts)
        fragment = _parse(request.data)
        if paging_rows:
            check_paging(fragment)
        limit_bytes = self.endpoint.memory_bytes
        return FragmentJob(
            fragment=fragment,
            ts=request.start_ts,
            bypass=frozenset(request.context.resolved_locks),
            memory_bytes=min(fragment.memory_limit_bytes or limit_bytes, limit_bytes),
            timeout_seconds=_time_left(request.context, context),
            paging_rows=paging_rows,
        )

    def _batch_reads(self, request: coprocessor.BatchRequest) -> list[RegionRead]:
        """The regions in key order where this store knows them, so that results come in key order too."""
        if len(request.regions) > MAX_REGIONS:
            raise InvalidRequest(f"{len(request.regions)} regions in one request; the limit is {MAX_REGIONS}")
        reads = [
            RegionRead(self._region_context(request.context, info), _checked_ranges(info.ranges))
            for info in request.regions
        ]
        return sorted(reads, key=lambda read: [storage_bound(start) for start, _ in read.ranges])

    def _region_context(self, shared: kvrpcpb.Context, info: coprocessor.RegionInfo) -> kvrpcpb.Context:
        """The request's context made out to one of its regions and to the peer this store has of it."""
        context = kvrpcpb.Context()
        context.CopyFrom(shared)
        context.region_id = info.region_id
        context.region_epoch.CopyFrom(info.region_epoch)
        context.peer.CopyFrom(self._own_peer(info.region_id))
        return context

    def _own_peer(self, region_id: int) -> metapb.Peer:
        """This store's peer of a region; without a peer id when the region is not here, which the driver will say."""
        region = self.kv.region(region_id)
        peers = [] if region is None else [peer for peer in region.peers if peer.store_id == self.store_id]
        return peers[0] if peers else metapb.Peer(store_id=self.store_id)


def join_pages(pages: list[rutilepb.FragmentPage]) -> rutilepb.FragmentPage:
    """One page of several, in one Arrow stream; the summary is the last one's."""
    if len(pages) == 1:
        return pages[0]
    readers = [pa.ipc.open_stream(page.arrow_ipc) for page in pages]
    batches = [batch for reader in readers for batch in reader]
    return rutilepb.FragmentPage(arrow_ipc=encode_page(readers[0].schema, batches), summary=pages[-1].summary)


def _parse(data: bytes) -> Fragment:
    try:
        return Fragment.from_proto(rutilepb.Fragment.FromString(data))
    except DecodeError as error:
        raise InvalidRequest(f"data is not a rutilepb.Fragment: {error}") from error


def _checked_ranges(ranges: Iterable[coprocessor.KeyRange]) -> list[KeyRange]:
    pairs = from_pb(ranges)
    for start, end in pairs:
        check_range(start, end)
    return merge(pairs)


def _span(asked: Sequence[KeyRange]) -> coprocessor.KeyRange:
    """From the first range's start to the last one's end."""
    if not asked:
        return coprocessor.KeyRange()
    return coprocessor.KeyRange(start=asked[0][0], end=asked[-1][1])


def _time_left(request_context: kvrpcpb.Context, context: RpcContext) -> float:
    """Seconds the fragment may run: the least of the request's limit, the client's deadline and MAX_RUN_SECONDS."""
    bounds = (deadline_seconds(request_context), context.time_remaining(), MAX_RUN_SECONDS)
    return min(seconds for seconds in bounds if seconds is not None)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
