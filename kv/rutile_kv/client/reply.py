"""What comes back for a request that travels with others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from rutile_kv.env.status_error import StatusError
from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.wire_status import status_in

_CODES = {code.name: code for code in grpc.StatusCode}


class CommandFailed(StatusError):
    """A command that ended as a call with this status would have."""


class Reply:
    """What comes back for one request, once: an answer or an error. Nothing of it costs a task or a timer."""

    __slots__ = ("_command", "_forget", "answer", "error", "is_here", "on_arrival")

    def __init__(self, command: str, forget: Callable[[], object]) -> None:
        """`forget` takes it off its way: what comes after that is dropped."""
        self.answer: Any = None
        self.error: grpc.RpcError | None = None
        """Why there is no answer: the way broke, the time was up, or the command ended with a status."""
        self.is_here = False
        self.on_arrival: Callable[[Reply], None] | None = None
        """Called in the turn of the loop in which it arrives."""
        self._command = command
        self._forget = forget

    def deliver(self, response: tikvpb.BatchCommandsResponse.Response) -> None:
        """The store has answered."""
        answer = getattr(response, self._command)
        status = status_in(answer)
        if status is not None:
            self.fail(CommandFailed(_CODES[status[0]], status[1]))
        elif not self.is_here:
            self.answer = answer
            self._arrived()

    def fail(self, error: grpc.RpcError) -> None:
        """There will be no answer; nothing if it is here already."""
        if not self.is_here:
            self.error = error
            self._arrived()

    def forget(self) -> None:
        """Nobody waits for it any more."""
        self._forget()

    async def wait(self, timeout_s: float | None) -> Any:
        """The answer. grpc.RpcError: the way's if it breaks, DEADLINE_EXCEEDED, or the command's own."""
        if not self.is_here:
            await self._wait(timeout_s)
        if self.error is not None:
            raise self.error
        return self.answer

    async def _wait(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[None] = loop.create_future()
        self.on_arrival = lambda _: None if arrived.done() else arrived.set_result(None)
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._expire)
        try:
            await arrived
        finally:
            self._forget()
            if timer is not None:
                timer.cancel()

    def _expire(self) -> None:
        self.fail(CommandFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _arrived(self) -> None:
        self.is_here = True
        if self.on_arrival is not None:
            self.on_arrival(self)
