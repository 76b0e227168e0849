"""RutileKv.Watch: the changes of one region's part of a range, as a stream.

It ends with the region error that makes the client look for the region again, or with the reason why it cannot go on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from rutile_kv.env.rpc import RpcContext
from rutile_kv.raw.families import raw_family
from rutile_kv.server.boundary import abort_with, check_cluster, check_open
from rutile_kv.server.raw_requests import check_raw_keys
from rutile_kv.server.validation import check_range, check_timestamp
from rutile_kv.server.watch_raw import RawStreams
from rutile_kv.server.watch_versions import VersionStreams
from rutile_kv.server.watches import Watches
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import (
    InvalidRequest,
    RegionError,
    WatchBelowSafePoint,
    WatchEnded,
    WatchFellBehind,
    WatchHistoryGone,
)
from rutile_proto.keys import storage_bound
from rutile_proto.wire_errors import region_error_to_pb

Answers: TypeAlias = AsyncGenerator[rutilepb.WatchResponse, None]


@dataclass(frozen=True, slots=True)
class WatchParts:
    """What watches are served with."""

    watches: Watches
    versions: VersionStreams
    raw: RawStreams


class WatchService:
    """Mixed into the RutileKv service; needs `watching`, `cluster_id` and `closed`."""

    watching: WatchParts | None
    cluster_id: int
    closed: bool

    async def Watch(self, request: rutilepb.WatchRequest, context: RpcContext) -> Answers:
        try:
            check_open(self)
            check_cluster(request.context, self.cluster_id)
            async with aclosing(self._stream(request)) as answers:
                async for answer in answers:
                    yield answer
        except RegionError as error:
            yield rutilepb.WatchResponse(region_error=region_error_to_pb(error))
        except WatchEnded as error:
            yield rutilepb.WatchResponse(end=_end_to_pb(error))
        except Exception as error:
            await abort_with(context, "Watch", error)

    def _stream(self, request: rutilepb.WatchRequest) -> Answers:
        """Raises InvalidRequest."""
        if self.watching is None:
            raise InvalidRequest("this store serves no watches")
        if request.WhichOneof("data") is None:
            raise InvalidRequest("a watch is either transactional or raw: say which")
        if request.context.replica_read:
            raise InvalidRequest("a watch is served by the region's leader, not by followers")
        if request.HasField("raw"):
            return self._raw_stream(self.watching.raw, request)
        check_range(request.start_key, request.end_key)
        check_timestamp("from_ts", request.transactional.from_ts)
        start, end = storage_bound(request.start_key), storage_bound(request.end_key) or None
        return self.watching.versions.stream(request.context, start, end, request.transactional.from_ts)

    def _raw_stream(self, streams: RawStreams, request: rutilepb.WatchRequest) -> Answers:
        check_raw_keys((request.start_key, request.end_key))
        start, end, raw = request.start_key, request.end_key or None, request.raw
        cf = raw_family(raw.cf)
        if raw.HasField("after"):
            return streams.after(request.context.region_id, raw.after, start, end, cf)
        return streams.fresh(request.context, start, end, cf, raw.with_state)


def _end_to_pb(error: WatchEnded) -> rutilepb.WatchEnd:
    match error:
        case WatchFellBehind():
            return rutilepb.WatchEnd(fell_behind=error.resume_ts)
        case WatchBelowSafePoint():
            return rutilepb.WatchEnd(below_safe_point=error.safe_point)
        case WatchHistoryGone():
            region = metapb.Region(id=error.region_id)
            return rutilepb.WatchEnd(history_gone=rutilepb.WatchPosition(region=region, index=error.index))
        case _:
            raise TypeError(f"{error!r} has no form on the wire") from error
