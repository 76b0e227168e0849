"""Where the Raft messages of other stores arrive: plain TCP, a greeting and then one frame for each message.

    greeting   "RutileRaft1", the cluster's id, the receiving store's id        11 + 8 + 8 bytes
    frame      the length, a serialised raft_serverpb.RaftMessage               4 bytes + length

Numbers are big-endian. A connection carries one direction only; nothing is answered. It is not gRPC because a message
costs a tenth of the processor time this way, and messages are most of what a small write costs
(docs/decisions/raft-links.md).

Whoever greets with another cluster's or another store's id has an old address: the connection is closed, and the sender
looks the address up again.
"""

from __future__ import annotations

import asyncio
import logging

from google.protobuf.message import DecodeError

from rutile_kv.server.local_network import RaftReceiver
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import PortInUse

log = logging.getLogger(__name__)

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1 << 28
"""More than Raft puts into one message by far; a length beyond it is not one."""
_MAGIC = b"RutileRaft1"
GREETING_BYTES = len(_MAGIC) + 16


def greeting(cluster_id: int, store_id: int) -> bytes:
    """What a connection to `store_id` begins with."""
    return _MAGIC + cluster_id.to_bytes(8, "big") + store_id.to_bytes(8, "big")


def frame(message: raft_serverpb.RaftMessage) -> bytes:
    """A message as it travels."""
    body: bytes = message.SerializeToString()
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class RaftPort:
    """A store's listening socket for Raft messages. Belongs to one event loop."""

    def __init__(self, receiver: RaftReceiver, cluster_id: int, store_id: int) -> None:
        self._receiver = receiver
        self._greeting = greeting(cluster_id, store_id)
        self._server: asyncio.Server | None = None
        self._open: dict[_Incoming, None] = {}

    async def listen(self, host: str, port: int = 0) -> int:
        """Begin to listen, on any free port for 0; the port. Raises PortInUse."""
        try:
            self._server = await asyncio.get_running_loop().create_server(self._incoming, host, port)
        except OSError as error:
            raise PortInUse(f"cannot listen for Raft messages on {host}:{port}: {error}") from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Listen no more, and hang up."""
        if self._server is not None:
            self._server.close()
            for incoming in list(self._open):
                incoming.hang_up()
            await self._server.wait_closed()

    def _incoming(self) -> _Incoming:
        return _Incoming(self._receiver, self._greeting, self._open)


class _Incoming(asyncio.Protocol):
    """One connection: its bytes cut into messages, each handed on at once."""

    def __init__(self, receiver: RaftReceiver, expected: bytes, among: dict[_Incoming, None]) -> None:
        self._receiver = receiver
        self._expected = expected
        self._among = among
        self._greeted = False
        self._rest = bytearray()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._among[self] = None

    def connection_lost(self, error: Exception | None) -> None:
        self._among.pop(self, None)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._greeted and not self._greet():
            return
        try:
            del self._rest[: self._take_frames()]
        except (DecodeError, ValueError) as error:
            log.warning("hung up on a Raft connection: %s", error)
            self.hang_up()

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._rest.clear()

    def _greet(self) -> bool:
        """Whether the greeting is here and right."""
        given = bytes(self._rest[:GREETING_BYTES])
        if not self._expected.startswith(given):
            log.warning("hung up on a connection that is not for the Raft messages of this store")
            self.hang_up()
        self._greeted = given == self._expected
        if self._greeted:
            del self._rest[:GREETING_BYTES]
        return self._greeted

    def _take_frames(self) -> int:
        """Hand on the messages that are here; how many bytes they were. Raises DecodeError, ValueError."""
        rest, place, end = self._rest, 0, len(self._rest)
        while end - place >= LENGTH_BYTES:
            body = place + LENGTH_BYTES
            length = int.from_bytes(rest[place:body], "big")
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a message of {length} bytes")
            if end - body < length:
                break
            place = body + length
            self._receiver.handle_raft_message(raft_serverpb.RaftMessage.FromString(bytes(rest[body:place])))
        return place
