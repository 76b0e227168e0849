"""Length-prefixed frames on plain TCP: what travels between processes of a cluster where gRPC would cost most.

    greeting   what for, the cluster's id, the receiving store's id      11 + 8 + 8 bytes
    frame      the length, a serialised protobuf message                 4 bytes + length

Numbers are big-endian. A connection begins with the greeting of whoever dials; whoever greets with another cluster's or
another store's id has an old address, is hung up on, and looks the address up again. A message costs a tenth of the
processor time it costs on a gRPC stream (docs/decisions/raft-links.md).
"""

from __future__ import annotations

import asyncio
import enum
import socket

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1 << 28
"""More than anybody puts into one message by far; a length beyond it is not one."""
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 1), ("TCP_USER_TIMEOUT", 13_000))
"""A peer that answers nothing, not even probes, for 13 seconds is gone; where the system knows these settings."""


class Purpose(enum.Enum):
    """What a connection is for."""

    RAFT = b"RutileRaft1"
    """Raft's messages, one way; nothing is answered."""
    COMMANDS = b"RutileCmds1"
    """BatchCommands, both ways: the store greets back, then its answers."""


GREETING_BYTES = len(Purpose.RAFT.value) + 16


class FrameError(Exception):
    """What came is no frame. The connection is of no use any more."""


def greeting(purpose: Purpose, cluster_id: int, store_id: int) -> bytes:
    """What a connection to `store_id` begins with."""
    return purpose.value + cluster_id.to_bytes(8, "big") + store_id.to_bytes(8, "big")


def frame(body: bytes) -> bytes:
    """A serialised message as it travels."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def take_frames(buffer: bytearray) -> list[bytes]:
    """The bodies of the whole frames at the beginning of `buffer`, which are cut off. Raises FrameError."""
    bodies, place, end = [], 0, len(buffer)
    while end - place >= LENGTH_BYTES:
        start = place + LENGTH_BYTES
        length = int.from_bytes(buffer[place:start], "big")
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a message of {length} bytes")
        if end - start < length:
            break
        place = start + length
        bodies.append(bytes(buffer[start:place]))
    del buffer[:place]
    return bodies


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the system find out when the other side is gone without a word."""
    link: socket.socket = transport.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
