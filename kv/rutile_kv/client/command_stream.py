"""Small requests to one store travel on its BatchCommands stream, those of one moment in one message.

An RPC of its own costs either end two to three times what a message on an open stream does, and as much as ten small
requests within one message. So all small requests take the stream: what gathers while the loop is busy leaves in one
message, and so do the answers. A lone caller's request waits for nobody: it is a message by itself.

`CommandStub` looks like the generated stub and stands in for it. A command that the store ended with a status comes
back inside its answer's type (rutile_proto.wire_status); the stub turns it into the grpc.RpcError it would have been.
When the stream breaks, everything on it fails with the stream's status, as so many calls would; the next request opens
another. A server that has no BatchCommands is asked by RPCs of their own from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import grpc

from rutile_kv.client.calls import CallDropped, Stub, answer_of
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.wire_status import status_in

COMMANDS = {
    "KvGet": "Get",
    "KvPrewrite": "Prewrite",
    "KvCommit": "Commit",
    "KvCleanup": "Cleanup",
    "KvBatchRollback": "BatchRollback",
    "KvResolveLock": "ResolveLock",
    "KvPessimisticLock": "PessimisticLock",
    "KVPessimisticRollback": "PessimisticRollback",
    "KvCheckTxnStatus": "CheckTxnStatus",
    "KvTxnHeartBeat": "TxnHeartBeat",
    "KvCheckSecondaryLocks": "CheckSecondaryLocks",
    "RawGet": "RawGet",
    "RawPut": "RawPut",
    "RawDelete": "RawDelete",
    "RawBatchPut": "RawBatchPut",
    "RawBatchDelete": "RawBatchDelete",
}
"""Methods whose answers are small, and their names in the stream's oneof. Large answers would hold up small ones."""
MAX_COMMANDS = 128
"""Commands in one message."""
MAX_COMMAND_BYTES = 32 << 10
"""Larger requests go alone."""
_CODES = {code.name: code for code in grpc.StatusCode}


class CommandFailed(grpc.RpcError):  # type: ignore[misc]
    """A command that ended as a call with this status would have."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """The text with it."""
        return self._details


class CommandStub:
    """A `TikvStub` whose small requests share a stream."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._stream: _Stream | None = None
        self._is_served = True

    def __getattr__(self, name: str) -> Any:
        method: Any = getattr(self._stub, name)
        if name in COMMANDS:
            method = self._command(COMMANDS[name], method)
        setattr(self, name, method)
        return method

    async def close(self) -> None:
        """End the stream; what is on it fails."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    def _command(self, command: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 gRPC's
            if self._is_served and request.ByteSize() <= MAX_COMMAND_BYTES:
                try:
                    return await self._open_stream().ask(command, request, timeout)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNIMPLEMENTED or isinstance(error, CommandFailed):
                        raise
                    self._is_served = False
            return await answer_of(method(request, timeout=timeout))

        return call

    def _open_stream(self) -> _Stream:
        if self._stream is None or self._stream.is_over:
            self._stream = _Stream(self._stub)
        return self._stream


class _Stream:
    """One BatchCommands call: what waits to leave, and what waits for its answer."""

    def __init__(self, stub: Stub) -> None:
        self.is_over = False
        self._ids = count(1)
        self._leaving: list[tuple[int, str, Any]] = []
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Event()
        self._call: Any = stub.BatchCommands()
        self._tasks = [asyncio.ensure_future(work) for work in (self._write(), self._read())]

    async def ask(self, command: str, request: Any, timeout_s: float | None) -> Any:
        """The command's answer. grpc.RpcError: the stream's if it breaks, DEADLINE_EXCEEDED, or the command's own."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request_id = next(self._ids)
        self._open[request_id] = answer
        self._leaving.append((request_id, command, request))
        self._news.set()
        try:
            async with asyncio.timeout(timeout_s):
                response = getattr(await answer, command)
        except TimeoutError:
            raise CommandFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        finally:
            self._open.pop(request_id, None)
        if (status := status_in(response)) is not None:
            raise CommandFailed(_CODES[status[0]], status[1])
        return response

    async def close(self) -> None:
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._break(CallDropped())

    async def _write(self) -> None:
        """Messages of whatever has gathered since the last one left."""
        try:
            while True:
                await self._news.wait()
                while self._leaving:
                    group, self._leaving = self._leaving[:MAX_COMMANDS], self._leaving[MAX_COMMANDS:]
                    await self._call.write(_message(group))
                self._news.clear()
        except (grpc.RpcError, asyncio.InvalidStateError):
            return  # the reader hears the status

    async def _read(self) -> None:
        try:
            async for message in self._call:
                for request_id, response in zip(message.request_ids, message.responses, strict=True):
                    answer = self._open.get(request_id)
                    if answer is not None and not answer.done():
                        answer.set_result(response)
            self._break(CommandFailed(grpc.StatusCode.UNAVAILABLE, "the store ended the stream"))
        except grpc.RpcError as error:
            self._break(error)
        except asyncio.CancelledError:  # we are closed, or somebody has closed the channel
            self._break(CallDropped())
            raise

    def _break(self, error: grpc.RpcError) -> None:
        self.is_over = True
        self._tasks[0].cancel()
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(error)


def _message(group: list[tuple[int, str, Any]]) -> tikvpb.BatchCommandsRequest:
    message = tikvpb.BatchCommandsRequest(request_ids=[request_id for request_id, _, _ in group])
    for _, command, request in group:
        getattr(message.requests.add(), command).CopyFrom(request)
    return message
