"""A store's second port: plain TCP for what is many and small (`rutile_kv.env.frames`).

Other stores send Raft's messages there, one way. Clients that know of it, which are ours, send there what TiKV's send
on a BatchCommands stream, the same messages, and get the same answers (`command_link`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from google.protobuf.message import DecodeError

from rutile_kv.env.frames import GREETING_BYTES, FrameError, Purpose, greeting, take_frames
from rutile_kv.server.batch_commands import BatchCommandsService
from rutile_kv.server.command_link import CommandLink
from rutile_kv.server.local_network import RaftReceiver
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import InvalidRequest, PortInUse

log = logging.getLogger(__name__)

Handler = Callable[[asyncio.Transport], "Taker"]


class Taker(Protocol):
    """What a connection's frames are for, once its greeting has said so."""

    def take(self, bodies: list[bytes]) -> None:
        """Frames that came, in order. Raises DecodeError or InvalidRequest: the connection ends."""

    def room(self, is_there: bool) -> None:
        """Whether more may be written."""

    def lost(self) -> None:
        """The connection is gone."""

    async def finish(self) -> None:
        """The port closes: end what is under way."""


class PeerPort:
    """A store's listening socket for frames. Belongs to one event loop."""

    def __init__(
        self, raft: RaftReceiver, cluster_id: int, store_id: int, commands: BatchCommandsService | None = None
    ) -> None:
        self._server: asyncio.Server | None = None
        self._open: dict[_Incoming, None] = {}
        hello = greeting(Purpose.COMMANDS, cluster_id, store_id)
        self._handlers: dict[bytes, Handler] = {
            greeting(Purpose.RAFT, cluster_id, store_id): lambda _: RaftMessages(raft)
        }
        if commands is not None:
            self._handlers[hello] = lambda transport: CommandLink(commands, transport, hello)

    async def listen(self, host: str, port: int = 0) -> int:
        """Begin to listen, on any free port for 0; the port. Raises PortInUse."""
        try:
            self._server = await asyncio.get_running_loop().create_server(self._incoming, host, port)
        except OSError as error:
            raise PortInUse(f"cannot listen for the messages of others on {host}:{port}: {error}") from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Listen no more, end what is under way, and hang up."""
        if self._server is not None:
            self._server.close()
            for incoming in list(self._open):
                await incoming.finish()
            await self._server.wait_closed()

    def _incoming(self) -> _Incoming:
        return _Incoming(self._handlers, self._open)


class RaftMessages:
    """Hands Raft's messages on as they come."""

    def __init__(self, receiver: RaftReceiver) -> None:
        self._receiver = receiver

    def take(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self._receiver.handle_raft_message(raft_serverpb.RaftMessage.FromString(body))

    def room(self, is_there: bool) -> None:
        """Nothing is ever written."""

    def lost(self) -> None:
        """Raft needs no word of it."""

    async def finish(self) -> None:
        """Nothing is under way."""


class _Incoming(asyncio.Protocol):
    """One connection: its greeting, then its frames."""

    def __init__(self, handlers: Mapping[bytes, Handler], among: dict[_Incoming, None]) -> None:
        self._handlers = handlers
        self._among = among
        self._rest = bytearray()
        self._taker: Taker | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._among[self] = None

    def connection_lost(self, error: Exception | None) -> None:
        self._among.pop(self, None)
        if self._taker is not None:
            self._taker.lost()

    def pause_writing(self) -> None:
        if self._taker is not None:
            self._taker.room(False)

    def resume_writing(self) -> None:
        if self._taker is not None:
            self._taker.room(True)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        taker = self._taker or self._greet()
        if taker is None:
            return
        try:
            taker.take(take_frames(self._rest))
        except (DecodeError, FrameError, InvalidRequest) as error:
            log.warning("hung up on a connection: %s", error)
            self._hang_up()

    async def finish(self) -> None:
        """End it, once what is under way has been answered."""
        if self._taker is not None:
            await self._taker.finish()
        self._hang_up()

    def _greet(self) -> Taker | None:
        """What the connection is for, once its greeting is here whole."""
        given = bytes(self._rest[:GREETING_BYTES])
        if not any(expected.startswith(given) for expected in self._handlers):
            log.warning("hung up on a connection that is not for this store")
            self._hang_up()
        elif given in self._handlers and self._transport is not None:
            del self._rest[:GREETING_BYTES]
            self._taker = self._handlers[given](self._transport)
        return self._taker

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._rest.clear()
