"""Timestamps: all who want one at the same moment share one request.

One worker owns one `Tso` stream with one request in flight. Whoever asks meanwhile is gathered into the next request,
so the load on the placement driver does not grow with the number of concurrent transactions. A stream that breaks is
opened again at whoever leads now; only timestamps that nobody has seen are lost, which is harmless.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import grpc

from rutile_kv.client.backoff import PD_FAILED, Backoff, Pace
from rutile_kv.client.calls import RequestStream, Stub, close_stream
from rutile_kv.client.pd_leader import PdLeader
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError, RetriesExhausted
from rutile_proto.timestamps import compose
from rutile_proto.types import Timestamp

MAX_COUNT = 1 << 16
"""Timestamps in one request; a millisecond holds four times as many."""
ANSWER_TIMEOUT_S = 2.0
"""A leader that stands still is taken for gone after so long."""


@dataclass(slots=True, eq=False)
class _Want:
    count: int
    first: asyncio.Future[Timestamp] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class TimestampOracle:
    """Hands out timestamps of the placement driver, strictly increasing in the order of the answers."""

    def __init__(self, leader: PdLeader, pace: Pace, budget_s: float) -> None:
        self._leader = leader
        self._pace = pace
        self._budget_s = budget_s
        self._wanted: deque[_Want] = deque()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._last_failure: BaseException | None = None
        self.last = Timestamp(0)
        """The newest timestamp seen; 0 before the first."""

    async def take(self, count: int) -> Timestamp:
        """The first of `count` consecutive timestamps. RetriesExhausted when the budget ends without an answer."""
        if not 1 <= count <= MAX_COUNT:
            raise PdError(f"{count} timestamps at once is outside 1..{MAX_COUNT}")
        if (now := self._take_now(count)) is not None:
            return now
        want = _Want(count)
        self._wanted.append(want)
        self._wake.set()
        self._start()
        try:
            async with asyncio.timeout(self._budget_s):
                return await want.first
        except TimeoutError as error:
            spent_ms = round(self._budget_s * 1000)
            raise RetriesExhausted("timestamp", spent_ms, self._last_failure or error) from error

    def _take_now(self, count: int) -> Timestamp | None:
        """From a placement driver in this process that need not wait for anything, unless others wait already."""
        prompt = None if self._wanted else self._leader.prompt()
        largest = None if prompt is None else prompt.timestamps_now(count)
        if largest is None:
            return None
        self.last = Timestamp(largest)
        return Timestamp(largest - count + 1)

    async def close(self) -> None:
        """End the worker and its stream; whoever still waits gets PdError."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
        for want in self._wanted:
            _fail(want, PdError("the client was closed"))
        self._wanted.clear()

    def _start(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._run(), name="timestamps")

    async def _run(self) -> None:
        stream: _TsoStream | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while batch := self._next_batch():
                    stream = await self._serve(batch, stream)
        finally:
            if stream is not None:
                await stream.close()

    def _next_batch(self) -> list[_Want]:
        batch: list[_Want] = []
        total = 0
        while self._wanted and total + self._wanted[0].count <= MAX_COUNT:
            want = self._wanted.popleft()
            if not want.first.done():
                batch.append(want)
                total += want.count
        return batch

    async def _serve(self, batch: list[_Want], stream: _TsoStream | None) -> _TsoStream | None:
        """Answer the batch, opening the stream again as often as somebody in it still waits."""
        backoff = Backoff("timestamp", math.inf, self._pace)
        try:
            while not all(want.first.done() for want in batch):
                try:
                    stream = stream or _TsoStream(await self._leader.stub())
                    self._hand_out(batch, await stream.ask(self._request(batch)))
                except (grpc.RpcError, PdError, TimeoutError) as error:
                    await self._recover(stream, error)
                    stream = None
                    await backoff.wait(PD_FAILED, error)
        except asyncio.CancelledError:
            for want in batch:
                _fail(want, PdError("the client was closed"))
            if stream is not None:
                await stream.close()
            raise
        return stream

    def _request(self, batch: list[_Want]) -> pdpb.TsoRequest:
        header = pdpb.RequestHeader(cluster_id=self._leader.cluster_id)
        return pdpb.TsoRequest(header=header, count=sum(want.count for want in batch))

    def _hand_out(self, batch: list[_Want], answer: pdpb.TsoResponse) -> None:
        total = sum(want.count for want in batch)
        if answer.count != total or not answer.HasField("timestamp"):
            raise PdError(f"asked for {total} timestamps, got {answer.count}: {answer.header.error.message}")
        first = Timestamp(compose(answer.timestamp.physical, answer.timestamp.logical) - total + 1)
        if first <= self.last:
            raise PdError(f"the timestamp went back from {self.last} to {first}")
        self.last = Timestamp(first + total - 1)
        for want in batch:
            if not want.first.done():
                want.first.set_result(Timestamp(first))
            first = Timestamp(first + want.count)

    async def _recover(self, stream: _TsoStream | None, error: BaseException) -> None:
        self._last_failure = error
        if stream is not None:
            self._leader.forget(stream.stub)
            await stream.close()


class _TsoStream:
    """One open stream to one leader. Answers come in the order of the requests."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self._requests: RequestStream[pdpb.TsoRequest] = RequestStream()
        self._call: Any = stub.Tso(self._requests)
        self._answers = aiter(self._call)

    async def ask(self, request: pdpb.TsoRequest) -> pdpb.TsoResponse:
        await self._requests.send(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer: pdpb.TsoResponse = await anext(self._answers)
        except StopAsyncIteration as end:
            raise PdError("the placement driver ended the timestamp stream") from end
        return answer

    async def close(self) -> None:
        self._requests.end()
        await close_stream(self._call)


def _fail(want: _Want, error: PdError) -> None:
    if not want.first.done():
        want.first.set_exception(error)
