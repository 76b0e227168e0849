"""BatchCommands on a plain connection: frames in, frames out, both the messages of the gRPC stream.

A lone point get is read and answered within the turn of the loop in which it arrives. A client that sends more than
MAX_OPEN commands, or does not read its answers, is not read from until that has changed.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import grpc

from rutile_kv.client.parallel import cancel_all
from rutile_kv.env.frames import frame, keep_alive
from rutile_kv.server.batch_commands import MAX_OPEN, BatchCommandsService, CommandContext, CommandStream
from rutile_kv.server.command_answers import CommandFailed
from rutile_proto import tikvpb_pb2 as tikvpb

FINISH_SECONDS = 0.5
"""How long commands under way may take once the port closes."""


class LinkContext:
    """The connection, as a servicer's context."""

    def __init__(self, peer: str) -> None:
        self.is_lost = False
        self._peer = peer

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """There is no call to end but the command."""
        raise CommandFailed(code, details)

    def cancelled(self) -> bool:
        """Whether the client has gone."""
        return self.is_lost

    def time_remaining(self) -> float | None:
        """Clients keep their deadlines themselves."""
        return None

    def peer(self) -> str:
        """Who calls, for logs."""
        return self._peer


class CommandLink:
    """One client's connection."""

    def __init__(self, service: BatchCommandsService, transport: asyncio.Transport, hello: bytes) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._context = LinkContext(str(transport.get_extra_info("peername")))
        self._stream = CommandStream(service, CommandContext(self._context), self._answer_soon)
        self._is_flushing = False
        self._has_room = True
        keep_alive(transport)
        transport.write(hello)

    def take(self, bodies: list[bytes]) -> None:
        """Commands; those that can be are answered at once. Raises DecodeError, InvalidRequest."""
        self._is_flushing = True
        for body in bodies:
            self._stream.take(tikvpb.BatchCommandsRequest.FromString(body))
        self._flush()

    def room(self, is_there: bool) -> None:
        """The transport's buffer is full, or has room again."""
        self._has_room = is_there
        self._flush()

    def lost(self) -> None:
        """Whoever asked is gone: nobody needs the answers."""
        self._context.is_lost = True
        for task in list(self._stream.tasks):
            task.cancel()

    async def finish(self) -> None:
        """Answer what is under way, if that takes no longer than FINISH_SECONDS."""
        if self._stream.tasks:
            await asyncio.wait(list(self._stream.tasks), timeout=FINISH_SECONDS)
        self._flush()
        await cancel_all(list(self._stream.tasks))

    def _answer_soon(self) -> None:
        """Answers of one turn leave in one message."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._context.is_lost:
            return
        if self._has_room and self._stream.has_answers:
            self._transport.write(frame(self._stream.pack().SerializeToString()))
        if self._stream.open_count >= MAX_OPEN:
            self._transport.pause_reading()
        elif not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()
