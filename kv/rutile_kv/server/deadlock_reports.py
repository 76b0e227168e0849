"""Tells the cluster's deadlock detector of the waits on this store (txn.lock_waiting.DeadlockWatch).

If this store leads the first region, the detector is asked in place, in the same turn of the loop. Otherwise a stream
to the store that does is kept open while there is anything to tell. A stream that breaks, and a detector that comes
into office, begin with all waits there are; so nothing is queued while there is no stream, and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging

import grpc

from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.calls import RequestStream, close_stream
from rutile_kv.client.connections import StoreConnections
from rutile_kv.server.deadlock_service import DeadlockDetector, cycle_from_pb, wait_to_pb
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.txn.deadlock import WaitFor
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_proto import deadlock_pb2 as deadlock
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

FIND_BUDGET_S = 2.0
"""How long one attempt may look for the detector's address."""
FIRST_PAUSE_S = 0.02
MAX_PAUSE_S = 0.5
"""Between attempts: waits last a second at most, so a later report would be of no use."""


class DeadlockReports:
    """See the module. `start` it in the loop it is used from."""

    def __init__(
        self,
        waiting: LockWaiting,
        detector: DeadlockDetector,
        first_region: FirstRegion,
        connections: StoreConnections,
        pace: Pace | None = None,
    ) -> None:
        self._waiting = waiting
        self._detector = detector
        self._first_region = first_region
        self._connections = connections
        self._pace = pace or Pace()
        self._stream: RequestStream[deadlock.DeadlockRequest] | None = None
        self._needed = asyncio.Event()
        self._local_term = 0
        """The term of office in which the detector here was told of all waits."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._waiting.watch = self
        self._task = asyncio.get_running_loop().create_task(self._run(), name="deadlock reports")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- DeadlockWatch ------------------------------------------------------------------------------------------------

    def begin(self, wait: WaitFor) -> None:
        term = self._detector.in_office()
        if term:
            news = [wait] if term == self._local_term else self._waiting.told()
            self._local_term = term
            for each in news:
                self._detect_here(each)
        elif self._stream is not None:
            self._stream.put(_request(deadlock.Detect, wait))
        else:
            self._needed.set()

    def end(self, wait: WaitFor) -> None:
        if self._detector.in_office():
            self._detector.end_wait(wait)
        if self._stream is not None:
            self._stream.put(_request(deadlock.CleanUpWaitFor, wait))

    def _detect_here(self, wait: WaitFor) -> None:
        cycle = self._detector.detect(wait)
        if cycle is not None:
            self._waiting.deadlocked(cycle)

    # --- the stream ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._needed.wait()
            self._needed.clear()
            try:
                await self._report()
                pause_s = FIRST_PAUSE_S
            except (grpc.RpcError, RutileError) as error:
                log.info("deadlock reports: %s", error)
            if self._waiting.told():
                self._needed.set()
                await self._pace.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _report(self) -> None:
        """Find the detector, and stay with it until it is no more. Raises grpc.RpcError and RutileError."""
        store_id = await self._first_region.leader_store()
        if store_id is None:
            return
        if self._detector.in_office():
            for wait in self._waiting.told():
                self._detect_here(wait)
            return
        backoff = Backoff("find the deadlock detector", FIND_BUDGET_S, self._pace)
        stub = (await self._connections.stubs(store_id, backoff)).deadlock
        stream: RequestStream[deadlock.DeadlockRequest] = RequestStream()
        for wait in self._waiting.told():
            stream.put(_request(deadlock.Detect, wait))
        self._stream = stream
        call = stub.Detect(stream)
        try:
            async for response in call:
                self._waiting.deadlocked(cycle_from_pb(response))
        except grpc.RpcError:
            self._connections.doubt(store_id)
            raise
        finally:
            self._stream = None
            stream.end()
            await close_stream(call)


def _request(kind: deadlock.DeadlockRequestType, wait: WaitFor) -> deadlock.DeadlockRequest:
    return deadlock.DeadlockRequest(tp=kind, entry=wait_to_pb(wait))
