"""One client's socket: payloads in and out, with a bound and a deadline on both ways.

arriving bytes ─► decoder ─► read()      reading pauses while more than READ_AHEAD_BYTES wait for a busy server
send() ─► buffer ─► flush() ─► socket    flush waits while the client does not read, until `write_timeout_s`
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from rutile.mysql.packets import HEADER_BYTES, PacketDecoder, frame
from rutile.mysql.tls import TlsLayer
from rutile.session.counters import Counters, Encryption

READ_AHEAD_BYTES = 256 << 10
FLUSH_BYTES = 64 << 10
"""When so much waits to be sent, it is time to flush."""


Answer = Callable[[bytes], bytes | None]
"""A command's payload to the packets that answer it; None: not without an await."""


class LinkLost(Exception):
    """The client is gone, or was given up."""


class Link(asyncio.Protocol):
    """The socket of one connection. `opened` is called once it is there, `lost` once it is gone."""

    def __init__(self, opened: Callable[[Link], None], limit_bytes: int, write_timeout_s: float) -> None:
        self._opened = opened
        self._write_timeout_s = write_timeout_s
        self._decoder = PacketDecoder(limit_bytes)
        self._out = bytearray()
        self._transport: asyncio.Transport | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._tls: TlsLayer | None = None
        self._answer_now: Answer | None = None
        """While the connection waits for a command."""
        self._heard_at = 0.0
        self.is_lost = False
        self.peer_host = ""
        self.counters = Counters()
        """Whose bytes these are."""

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        peer = transport.get_extra_info("peername")
        self.peer_host = str(peer[0]) if peer else "localhost"
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self.counters.bytes_received += len(data)
        if self._tls is not None:
            try:
                data = self._tls.receive(data)
            except ssl.SSLError:
                self.abort()
                return
        if self._answer_now is not None and self._answered(data, self._answer_now):
            return
        self._decoder.feed(data)
        if self._arrival is not None:
            _wake(self._arrival)
        elif self._decoder.buffered_bytes > READ_AHEAD_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        for waiting in (self._arrival, self._drained):
            if waiting is not None:
                _wake(waiting)
        self.on_lost()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._drained is not None:
            _wake(self._drained)
            self._drained = None

    # --- called by the connection ---

    def begin_exchange(self) -> None:
        """The next packet is a command: both sides count from zero again."""
        self._decoder.sequence = 0

    def allow(self, limit_bytes: int) -> None:
        """Take payloads up to this size from now on."""
        self._decoder.limit_bytes = limit_bytes

    async def read(self, timeout_s: float) -> bytes:
        """The next payload. Raises LinkLost, also for a silent client, and what the decoder raises (1153, 1156)."""
        payload = self._decoder.next_payload()
        if payload is not None:
            return payload
        try:
            async with asyncio.timeout(timeout_s):
                return await self._arriving()
        except TimeoutError:
            raise LinkLost from None

    async def read_command(self, timeout_s: float, answer_now: Answer) -> bytes:
        """The next payload that `answer_now` does not answer there and then. Raises as `read` does, LinkLost once
        nothing has come for `timeout_s`."""
        loop = asyncio.get_running_loop()
        self._heard_at = began_at = loop.time()
        self._answer_now = answer_now
        try:
            while True:
                try:
                    return await self.read(self._heard_at + timeout_s - loop.time())
                except LinkLost:
                    if self.is_lost or self._heard_at == began_at:
                        raise
                    began_at = self._heard_at
        finally:
            self._answer_now = None

    def _answered(self, data: bytes, answer_now: Answer) -> bool:
        """Whether `data`, which is one whole small packet and nothing besides, was answered."""
        if self._arrival is None or self._decoder.buffered_bytes or self._out or self._drained is not None:
            return False
        if len(data) <= HEADER_BYTES or data[3] or int.from_bytes(data[:3], "little") != len(data) - HEADER_BYTES:
            return False
        answer = answer_now(data[HEADER_BYTES:])
        if answer is None:
            return False
        self._heard_at = asyncio.get_running_loop().time()
        self._write(answer)
        return True

    async def _arriving(self) -> bytes:
        while True:
            payload = self._decoder.next_payload()
            if payload is not None:
                return payload
            await self._more()

    async def _more(self) -> None:
        """Wait until something has arrived. Raises LinkLost."""
        if self.is_lost or self._transport is None:
            raise LinkLost
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            self._transport.resume_reading()
            await self._arrival
        finally:
            self._arrival = None

    def send(self, payload: bytes) -> None:
        """Put a payload behind those that wait to be flushed."""
        framed, self._decoder.sequence = frame(payload, self._decoder.sequence)
        self._out += framed

    @property
    def wants_flush(self) -> bool:
        """Whether enough waits that more should not be added before a flush."""
        return len(self._out) >= FLUSH_BYTES

    async def flush(self) -> None:
        """Hand what was sent to the socket, and wait while the client is behind.

        Raises LinkLost when it is gone or stays behind until the deadline; it is given up then.
        """
        if self.is_lost or self._transport is None:
            raise LinkLost
        self._write(bytes(self._out))
        self._out.clear()
        if self._drained is None:
            return
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._drained
        except TimeoutError:
            self.abort()
            raise LinkLost from None

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self.counters.bytes_sent += len(data)
        (self._tls.send if self._tls is not None else self._transport.write)(data)

    @property
    def is_encrypted(self) -> bool:
        return self._tls is not None

    @property
    def encryption(self) -> Encryption:
        return self._tls.encryption if self._tls is not None else Encryption()

    async def start_tls(self, context: ssl.SSLContext, timeout_s: float) -> None:
        """Go on in TLS; what has arrived after the request belongs to it. Raises LinkLost."""
        assert self._transport is not None
        self._tls = TlsLayer(context, self._transport.write)
        self.data_received(self._decoder.take_rest())
        try:
            async with asyncio.timeout(timeout_s):
                while not self._tls.is_established:
                    await self._more()
        except TimeoutError:
            raise LinkLost from None

    def close(self) -> None:
        """Close once the client has read what it was sent, or has not by the deadline."""
        if self._transport is None:
            return
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self._write_timeout_s, self._transport.abort)

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
