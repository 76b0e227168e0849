"""The deadlock detector, and the service by which other stores use it (deadlock.Deadlock, TiKV's).

Every store has one; the one at the leader of the region that holds the empty key is in office. A detector that is not
refuses, and whoever asked looks for the leader again. The waits of a store are forgotten when its stream ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_kv.txn.deadlock import Cycle, WaitFor, WaitForGraph
from rutile_proto import deadlock_pb2 as deadlock
from rutile_proto import deadlock_pb2_grpc


class DeadlockDetector:
    """The cluster's graph of waits, while this store is in office."""

    def __init__(self, office: Callable[[], int]) -> None:
        """`office` tells the term in which this store leads the first region, 0 if it does not."""
        self._office = office
        self._term = 0
        self._graph = WaitForGraph()

    def in_office(self) -> int:
        """The term of office, 0 outside of it. A new one begins with an empty graph."""
        term = self._office()
        if term != self._term:
            self._graph.clear()
            self._term = term
        return term

    def detect(self, wait: WaitFor) -> Cycle | None:
        """The circle that `wait` closes, or None: it is kept then. Only in office."""
        return self._graph.detect(wait, round(asyncio.get_running_loop().time() * 1000))

    def end_wait(self, wait: WaitFor) -> None:
        self._graph.end_wait(wait)

    def end_waiter(self, waiter: int) -> None:
        self._graph.end_waiter(waiter)

    def waits(self) -> list[WaitFor]:
        """Everything known now."""
        return list(self._graph) if self.in_office() else []


class DeadlockService:
    """Mixed into the store's service; needs `detector`."""

    detector: DeadlockDetector

    async def GetWaitForEntries(
        self, request: deadlock.WaitForEntriesRequest, context: RpcContext
    ) -> deadlock.WaitForEntriesResponse:
        """The waits this detector knows now."""
        return deadlock.WaitForEntriesResponse(entries=[wait_to_pb(wait) for wait in self.detector.waits()])

    async def Detect(
        self, request_iterator: AsyncIterator[deadlock.DeadlockRequest], context: RpcContext
    ) -> AsyncIterator[deadlock.DeadlockResponse]:
        """Answers only the requests that close a circle. FAILED_PRECONDITION as soon as this store is not in office."""
        told: dict[WaitFor, None] = {}
        try:
            async for request in request_iterator:
                if not self.detector.in_office():
                    text = "this store does not lead the region of the empty key, which finds deadlocks"
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
                cycle = self._take(request, told)
                if cycle is not None:
                    yield cycle_to_pb(cycle)
        finally:
            for wait in told:
                self.detector.end_wait(wait)

    def _take(self, request: deadlock.DeadlockRequest, told: dict[WaitFor, None]) -> Cycle | None:
        """Carry one request out; `told` are the waits that live with this stream."""
        wait = wait_from_pb(request.entry)
        if request.tp == deadlock.Detect:
            cycle = self.detector.detect(wait)
            if cycle is None:
                told[wait] = None
            return cycle
        if request.tp == deadlock.CleanUpWaitFor:
            self.detector.end_wait(wait)
            told.pop(wait, None)
        elif request.tp == deadlock.CleanUp:
            self.detector.end_waiter(wait.waiter)
            for other in [each for each in told if each.waiter == wait.waiter]:
                del told[other]
        return None


def register(service: DeadlockService, server: grpc.aio.Server) -> None:
    deadlock_pb2_grpc.add_DeadlockServicer_to_server(service, server)  # type: ignore[no-untyped-call]


def wait_to_pb(wait: WaitFor) -> deadlock.WaitForEntry:
    return deadlock.WaitForEntry(txn=wait.waiter, wait_for_txn=wait.holder, key_hash=wait.key_hash, key=wait.key)


def wait_from_pb(entry: deadlock.WaitForEntry) -> WaitFor:
    return WaitFor(entry.txn, entry.wait_for_txn, entry.key)


def cycle_to_pb(cycle: Cycle) -> deadlock.DeadlockResponse:
    return deadlock.DeadlockResponse(
        entry=wait_to_pb(cycle.closing),
        deadlock_key_hash=cycle.deadlock_key_hash,
        wait_chain=[wait_to_pb(wait) for wait in cycle.chain],
    )


def cycle_from_pb(response: deadlock.DeadlockResponse) -> Cycle:
    return Cycle(wait_from_pb(response.entry), tuple(wait_from_pb(wait) for wait in response.wait_chain))
