"""The ways on which small requests travel to a store together: gRPC's BatchCommands stream, or a connection of frames.

A way numbers its requests and hands each answer to whoever waits for that number. When it breaks, everything on it
fails with one status, as so many calls would; it is over then, and the next request needs another.
"""

from __future__ import annotations

import abc
import asyncio
import logging
from functools import partial
from itertools import count
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from rutile_kv.client.calls import CallDropped, Stub
from rutile_kv.client.reply import CommandFailed, Reply
from rutile_kv.env.frames import FrameError, frame, keep_alive, take_frames
from rutile_proto import tikvpb_pb2 as tikvpb

log = logging.getLogger(__name__)

MAX_COMMANDS = 128
"""Commands in one message."""
DIAL_SECONDS = 5.0
"""How long connecting may take."""
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class FramesNotSpoken(CommandFailed):
    """Whoever listens there is no Rutile store: nothing was executed."""


class CommandWay(abc.ABC):
    """Requests that wait to leave, and requests that wait for their answers."""

    def __init__(self) -> None:
        self.is_over = False
        self._ids = count(1)
        self._leaving: list[tuple[int, str, Any]] = []
        self._open: dict[int, Reply] = {}

    def send(self, command: str, request: Any) -> Reply:
        """Have a request leave with the others of this turn; what will come back for it."""
        request_id = next(self._ids)
        reply = Reply(command, partial(self._open.pop, request_id, None))
        self._open[request_id] = reply
        self._leaving.append((request_id, command, request))
        self._wake()
        return reply

    @abc.abstractmethod
    async def close(self) -> None:
        """End it; what is on it fails with CallDropped."""

    @abc.abstractmethod
    def _wake(self) -> None:
        """Something waits to leave."""

    def _pack(self) -> tikvpb.BatchCommandsRequest:
        """The next message of what waits to leave."""
        group, self._leaving = self._leaving[:MAX_COMMANDS], self._leaving[MAX_COMMANDS:]
        message = tikvpb.BatchCommandsRequest(request_ids=[request_id for request_id, _, _ in group])
        for _, command, request in group:
            getattr(message.requests.add(), command).CopyFrom(request)
        return message

    def _deliver(self, message: tikvpb.BatchCommandsResponse) -> None:
        for request_id, response in zip(message.request_ids, message.responses, strict=True):
            reply = self._open.pop(request_id, None)
            if reply is not None:
                reply.deliver(response)

    def _break(self, error: grpc.RpcError) -> None:
        self.is_over = True
        replies, self._open = self._open, {}
        for reply in replies.values():
            reply.fail(error)


class StreamWay(CommandWay):
    """One BatchCommands call of gRPC: what any TiKV serves."""

    def __init__(self, stub: Stub) -> None:
        super().__init__()
        self._news = asyncio.Event()
        self._call: Any = stub.BatchCommands()
        self._tasks = [asyncio.ensure_future(work) for work in (self._write(), self._read())]

    async def close(self) -> None:
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._break(CallDropped())

    def _wake(self) -> None:
        self._news.set()

    async def _write(self) -> None:
        """Messages of whatever has gathered since the last one left."""
        try:
            while True:
                await self._news.wait()
                while self._leaving:
                    await self._call.write(self._pack())
                self._news.clear()
        except (grpc.RpcError, asyncio.InvalidStateError):
            return  # the reader hears the status

    async def _read(self) -> None:
        try:
            async for message in self._call:
                self._deliver(message)
            self._break(CommandFailed(_UNAVAILABLE, "the store ended the stream"))
        except grpc.RpcError as error:
            self._break(error)
        except asyncio.CancelledError:  # we are closed, or somebody has closed the channel
            self._break(CallDropped())
            raise

    def _break(self, error: grpc.RpcError) -> None:
        super()._break(error)
        self._tasks[0].cancel()


class FrameWay(CommandWay, asyncio.Protocol):
    """One connection of frames, the same messages on it (`rutile_kv.env.frames`).

    Requests of one turn of the loop go in one message, so that the store finds those of one transaction together.
    """

    def __init__(self, address: str, hello: bytes) -> None:
        """`address` is host:port; `hello` the greeting, which the store gives back before its first answer."""
        super().__init__()
        self._address = address
        self._hello = hello
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._is_greeted = self._is_gathering = False
        self._has_room = True
        self._dialing = asyncio.ensure_future(self._dial())

    async def close(self) -> None:
        self._dialing.cancel()
        await asyncio.gather(self._dialing, return_exceptions=True)
        self._fail(CallDropped())

    async def _dial(self) -> None:
        host, _, port = self._address.rpartition(":")
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await self._loop.create_connection(lambda: self, host.strip("[]"), int(port))
        except (OSError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            self._break(CommandFailed(_UNAVAILABLE, f"cannot connect to {self._address}: {reason}"))

    # --- what the loop tells ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport)
        self._transport.write(self._hello)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._break(CommandFailed(_UNAVAILABLE, f"the connection to {self._address} ended"))

    def pause_writing(self) -> None:
        self._has_room = False

    def resume_writing(self) -> None:
        self._has_room = True
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if not (self._is_greeted or self._greet()):
            return
        try:
            for body in take_frames(self._arrived):
                self._deliver(tikvpb.BatchCommandsResponse.FromString(body))
        except (FrameError, DecodeError) as error:
            log.warning("hung up on %s, which does not make sense: %s", self._address, error)
            self._fail(CommandFailed(grpc.StatusCode.INTERNAL, f"an answer cannot be read: {error}"))

    # --- sending ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._is_greeted and not self._is_gathering:
            self._is_gathering = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_gathering = False
        while self._leaving and self._has_room and self._transport is not None:
            self._transport.write(frame(self._pack().SerializeToString()))

    def _greet(self) -> bool:
        """Whether the store's greeting is here."""
        given = bytes(self._arrived[: len(self._hello)])
        if not self._hello.startswith(given):
            self._fail(FramesNotSpoken(_UNAVAILABLE, f"{self._address} is not the peer port of a Rutile store"))
        elif given == self._hello:
            del self._arrived[: len(given)]
            self._is_greeted = True
            self._flush()
        return self._is_greeted

    def _fail(self, error: grpc.RpcError) -> None:
        self._break(error)
        if self._transport is not None:
            self._transport.abort()
