"""One request to one region, once; and what has to be put right when it missed."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Literal, TypeAlias

import grpc

from rutile_kv.client.backoff import LEADER_MOVED, NOT_READY, STORE_UNREACHABLE, Backoff, BackoffKind
from rutile_kv.client.calls import Stub, answer_of, kind_of
from rutile_kv.client.command_stream import is_unserved
from rutile_kv.client.connections import StoreConnections, StoreGone
from rutile_kv.client.leader_watch import LeaderWatch, LedElsewhere
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.region_errors import correct
from rutile_kv.client.reply import Reply
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
        except StoreGone as error:
            self._regions.try_next_peer(region)
            return Missed(error, False, STORE_UNREACHABLE)
        call = getattr(stub, method)(request, timeout=backoff.clip(CALL_TIMEOUT_S))
        return await self._heard(region, answer_of(call), 0.0)

    def shares(self, region: CachedRegion) -> bool:
        """Whether requests to the region's leader share a way that is known."""
        return self._stores.shared(region.leader.store_id) is not None

    def begin(self, region: CachedRegion, method: str, request: Any) -> Reply | None:
        """Have a request leave now, with all others of this turn to its store; None if it has to go by `send`.

        The reply is for `accept` if the answer is a plain one, and for `finish` otherwise.
        """
        stub = self._stores.shared(region.leader.store_id)
        return None if stub is None else stub.send(method, request)

    def accept(self, region: CachedRegion) -> None:
        """The region's leader has answered a request that `begin` sent."""
        self._regions.answered(region)

    async def finish(
        self, region: CachedRegion, method: str, request: Any, reply: Reply, backoff: Backoff, waited_s: float
    ) -> Any | Missed:
        """What `send` returns, and raises, for a request that `begin` sent `waited_s` seconds ago."""
        try:
            return await self._heard(region, _answer_of(reply, backoff.clip(CALL_TIMEOUT_S)), waited_s)
        except _NotServed:
            return await self.send(region, method, request, backoff)

    async def _heard(self, region: CachedRegion, asking: Awaitable[Any], waited_s: float) -> Any | Missed:
        try:
            async with self._watch.over(region, waited_s):
                answer = await asking
        except TimeoutError:
            return Missed(LedElsewhere(f"store {region.leader.store_id} does not answer"), True, LEADER_MOVED)
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


class _NotServed(Exception):
    """The store does not serve the way a request took."""


async def _answer_of(reply: Reply, timeout_s: float) -> Any:
    try:
        return await answer_of(reply.wait(timeout_s))
    except grpc.RpcError as error:
        if is_unserved(error):
            raise _NotServed from error
        raise
