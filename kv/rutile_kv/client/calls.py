"""What an RPC that failed on the way means, and how to let go of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Generic, Self, TypeAlias, TypeVar

import grpc

from rutile_kv.client.backoff import STORE_BROKE, STORE_BUSY, STORE_UNREACHABLE, BackoffKind
from rutile_proto.errors import InvalidRequest

Stub: TypeAlias = Any
"""A generated gRPC stub, or a `LocalStub` of the same service: they look alike (`env.rpc`)."""

T = TypeVar("T")

_CODE = grpc.StatusCode
_REFUSED = (
    _CODE.INVALID_ARGUMENT,
    _CODE.OUT_OF_RANGE,
    _CODE.UNIMPLEMENTED,
    _CODE.PERMISSION_DENIED,
    _CODE.UNAUTHENTICATED,
)
_BROKE = (_CODE.INTERNAL, _CODE.UNKNOWN, _CODE.DATA_LOSS)


class CallDropped(grpc.RpcError):  # type: ignore[misc]
    """The transport gave the call up (its channel was closed) although nobody here asked for that."""

    def code(self) -> grpc.StatusCode:
        return _CODE.CANCELLED

    def details(self) -> str:
        return "the channel was closed under the call"

    def __str__(self) -> str:
        return self.details()


async def answer_of(call: Awaitable[T]) -> T:
    """The call's answer. grpc.RpcError when it failed on the way, `CallDropped` when its channel went away.

    gRPC reports a channel closed by someone else as CancelledError; taken for a cancellation of the caller, that would
    end a task which nobody cancelled.
    """
    try:
        return await call
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise CallDropped from error


def kind_of(error: grpc.RpcError) -> BackoffKind:
    """How to wait out a failed RPC. InvalidRequest, from `error`, if sending it again cannot help."""
    code = error.code()
    if code in _REFUSED:
        raise InvalidRequest(f"{code.name}: {error.details()}") from error
    if code in _BROKE:
        return STORE_BROKE
    return STORE_BUSY if code is _CODE.RESOURCE_EXHAUSTED else STORE_UNREACHABLE


async def close_stream(stream: Any) -> None:
    """End a stream we no longer read: cancel a gRPC call, close a local generator."""
    if hasattr(stream, "cancel"):
        stream.cancel()
    elif hasattr(stream, "aclose"):
        await stream.aclose()


class RequestStream(Generic[T]):
    """What we send on a stream, as gRPC wants it: an iterator that waits for the next request, until `end`.

    It must be ended even if the call has failed: gRPC goes on waiting for the next request of a dead call.
    """

    def __init__(self, bound: int = 0) -> None:
        self._queue: asyncio.Queue[tuple[T] | None] = asyncio.Queue(bound)
        self._ended = False

    async def send(self, request: T) -> None:
        """Queue a request, waiting while the bound (0 = none) is reached."""
        await self._queue.put((request,))

    def put(self, request: T) -> None:
        """The same without waiting, for streams without a bound; asyncio.QueueFull where the bound is reached."""
        self._queue.put_nowait((request,))

    def end(self) -> None:
        """No more requests after those queued already."""
        self._ended = True
        if self._queue.empty():
            self._queue.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended and self._queue.empty():
            raise StopAsyncIteration
        request = await self._queue.get()
        if request is None:
            raise StopAsyncIteration
        return request[0]
