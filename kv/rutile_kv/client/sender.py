"""One request to one region, once; and what has to be put right when it missed."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import grpc

from rutile_kv.client.backoff import LEADER_MOVED, NOT_READY, STORE_UNREACHABLE, Backoff, BackoffKind
from rutile_kv.client.calls import Stub, answer_of, kind_of
from rutile_kv.client.connections import StoreConnections, StoreGone
from rutile_kv.client.leader_watch import LeaderWatch, LedElsewhere
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.region_errors import correct
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto.errors import ServerIsBusy, StoreNotMatch, UndeterminedResult
from rutile_proto.values import valueclass
from rutile_proto.wire_errors import region_error_from_pb

CALL_TIMEOUT_S = 5.0
Service: TypeAlias = Literal["tikv", "rutile"]


@valueclass
class Missed:
    """The request has to be sent again, to wherever its keys are then. The cache is already corrected."""

    cause: BaseException
    answer_lost: bool
    """True: it may have been executed, only the answer did not arrive. False: certainly not executed."""
    kind: BackoffKind
    at_least_ms: float = 0

    async def wait(self, backoff: Backoff) -> None:
        """Wait before the next try. RetriesExhausted when the budget is spent."""
        await backoff.wait(self.kind, self.cause, at_least_ms=self.at_least_ms)


class RegionSender:
    """Sends to the leader a `CachedRegion` names."""

    def __init__(self, regions: RegionCache, stores: StoreConnections, watch: LeaderWatch) -> None:
        self._regions = regions
        self._stores = stores
        self._watch = watch

    async def send(
        self, region: CachedRegion, method: str, request: Any, backoff: Backoff, *, service: Service = "tikv"
    ) -> Any | Missed:
        """The answer of the region's leader (which may hold key errors), or `Missed`.

        Raises InvalidRequest when the store refuses to understand the request, and region errors that no second try
        can help.
        """
        try:
            stub = await self.stub(region.leader.store_id, backoff, service)
            async with self._watch.over(region):
                answer = await answer_of(getattr(stub, method)(request, timeout=backoff.clip(CALL_TIMEOUT_S)))
        except TimeoutError:
            return Missed(LedElsewhere(f"store {region.leader.store_id} does not answer"), True, LEADER_MOVED)
        except StoreGone as error:
            self._regions.try_next_peer(region)
            return Missed(error, False, STORE_UNREACHABLE)
        except grpc.RpcError as error:
            return self.lost(region, error)
        if answer.HasField("region_error"):
            return self.misplaced(region, answer.region_error)
        self._regions.answered(region)
        return answer

    async def stub(self, store_id: int, backoff: Backoff, service: Service = "tikv") -> Stub:
        """The stub of one of a store's services. `StoreGone` when the store was removed."""
        stubs = await self._stores.stubs(store_id, backoff)
        return stubs.tikv if service == "tikv" else stubs.rutile

    def doubt(self, store_id: int) -> None:
        """An RPC to the store failed: check its address before the next."""
        self._stores.doubt(store_id)

    def lost(self, region: CachedRegion, error: grpc.RpcError) -> Missed:
        """The RPC to the region's leader failed on the way. Raises InvalidRequest if no second try can help."""
        kind = kind_of(error)
        if kind is STORE_UNREACHABLE:
            self.doubt(region.leader.store_id)
            self._regions.try_next_peer(region)
        return Missed(error, True, kind)

    def misplaced(self, region: CachedRegion, told: errorpb.Error) -> Missed:
        """A store refused the request; the cache is corrected. Raises what no second try can help."""
        error = region_error_from_pb(told)
        if isinstance(error, UndeterminedResult):
            return Missed(error, True, NOT_READY)
        kind = correct(error, region, self._regions)
        if isinstance(error, StoreNotMatch):
            self.doubt(region.leader.store_id)
        at_least_ms = error.backoff_ms if isinstance(error, ServerIsBusy) else 0
        return Missed(error, False, kind, at_least_ms)
