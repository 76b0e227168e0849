"""One Watch stream from one region's leader, as long as it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import grpc

from rutile_kv.client.backoff import STORE_UNREACHABLE, Backoff
from rutile_kv.client.calls import answer_of, close_stream
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.connections import StoreGone
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import WatchBelowSafePoint, WatchEnded, WatchFellBehind, WatchHistoryGone

SILENCE_S = 20.0
"""A leader that says nothing for so long is taken for gone; it tells progress every second or so."""


class Broken(Exception):
    """The stream has to be taken up again, wherever the region is then; the cache is corrected already."""

    def __init__(self, missed: Missed) -> None:
        super().__init__(str(missed.cause))
        self.missed = missed


async def responses(
    cluster: Cluster, region: CachedRegion, request: rutilepb.WatchRequest, backoff: Backoff
) -> AsyncGenerator[rutilepb.WatchResponse, None]:
    """What the leader says; ends after an answer with successors. Raises Broken, WatchEnded, InvalidRequest."""
    call = None
    try:
        stub = await cluster.sender.stub(region.leader.store_id, backoff, "rutile")
        call = stub.Watch(request)
        answers = aiter(call)
        while True:
            async with asyncio.timeout(SILENCE_S):
                answer: rutilepb.WatchResponse = await answer_of(anext(answers))
            if answer.HasField("region_error"):
                raise Broken(cluster.sender.misplaced(region, answer.region_error))
            if answer.HasField("end"):
                raise _ended(answer.end, request)
            cluster.regions.answered(region)
            yield answer
            if answer.successors:
                return
    except grpc.RpcError as error:
        raise Broken(cluster.sender.lost(region, error)) from error
    except (StoreGone, TimeoutError, StopAsyncIteration) as error:
        cluster.sender.doubt(region.leader.store_id)
        cluster.regions.try_next_peer(region)
        raise Broken(Missed(error, False, STORE_UNREACHABLE)) from error
    finally:
        if call is not None:
            await close_stream(call)


def _ended(end: rutilepb.WatchEnd, request: rutilepb.WatchRequest) -> WatchEnded:
    match end.WhichOneof("reason"):
        case "below_safe_point":
            return WatchBelowSafePoint(request.transactional.from_ts, end.below_safe_point)
        case "history_gone":
            return WatchHistoryGone(end.history_gone.region.id, end.history_gone.index)
        case _:
            return WatchFellBehind(end.fell_behind)
