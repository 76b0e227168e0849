"""Packets: a payload under a header of its length (3 bytes, little endian) and its place in the exchange (1 byte).

A payload of 16 MiB - 1 or more is cut into several packets, and put together again here. Pure bytes in, payloads out:
the decoder knows no socket, so any cutting of the byte stream gives the same payloads.
"""

from __future__ import annotations

from rutile.mysql.constants import MAX_FRAGMENT_BYTES
from rutile.mysql.problems import out_of_order, packet_too_large

HEADER_BYTES = 4


class PacketDecoder:
    """Takes the bytes of one connection; gives its payloads one at a time.

    `limit_bytes` bounds a payload and so what is kept of an unfinished one. `sequence` is the number the next packet
    must bear; who answers a packet counts its own packets on here too.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.sequence = 0
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._skipping = False
        self._left_to_skip = 0
        self._last_skipped = False

    @property
    def buffered_bytes(self) -> int:
        """Bytes taken in and not given out."""
        return len(self._buffer) + self._parts_bytes

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrive."""
        self._buffer += data

    def take_rest(self) -> bytes:
        """What has arrived and is no payload yet: the first of something else."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def next_payload(self) -> bytes | None:
        """The next payload, or None until more bytes arrive.

        Raises 1153 for one over the limit, once it has passed, so that what follows it can be read; 1156 when the
        sequence number is not the expected one.
        """
        while True:
            if self._skipping and not self._skip():
                return None
            if len(self._buffer) < HEADER_BYTES:
                return None
            length = int.from_bytes(self._buffer[:3], "little")
            if self._skipping or self._parts_bytes + length > self.limit_bytes:
                self._begin_skipping(length)
                continue
            if len(self._buffer) < HEADER_BYTES + length:
                return None
            self._take_part(length)
            if length < MAX_FRAGMENT_BYTES:
                return self._whole()

    # --- one packet ---

    def _take_header(self) -> None:
        if self._buffer[3] != self.sequence:
            raise out_of_order()
        self.sequence = (self.sequence + 1) & 0xFF
        del self._buffer[:HEADER_BYTES]

    def _take_part(self, length: int) -> None:
        self._take_header()
        self._parts.append(bytes(self._buffer[:length]))
        self._parts_bytes += length
        del self._buffer[:length]

    def _whole(self) -> bytes:
        payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._parts_bytes = [], 0
        return payload

    # --- one that is too large ---

    def _begin_skipping(self, length: int) -> None:
        self._take_header()
        self._parts, self._parts_bytes = [], 0
        self._skipping, self._last_skipped = True, length < MAX_FRAGMENT_BYTES
        self._left_to_skip = length

    def _skip(self) -> bool:
        """Drop what has arrived of the packet; whether it has passed. Raises 1153 after the last of a payload."""
        dropped = min(self._left_to_skip, len(self._buffer))
        del self._buffer[:dropped]
        self._left_to_skip -= dropped
        if not self._left_to_skip and self._last_skipped:
            self._skipping = False
            raise packet_too_large(self.limit_bytes)
        return not self._left_to_skip


def frame(payload: bytes, sequence: int) -> tuple[bytes, int]:
    """(the packets that carry `payload`, the sequence number after them)."""
    if len(payload) < MAX_FRAGMENT_BYTES:
        return len(payload).to_bytes(3, "little") + bytes((sequence,)) + payload, (sequence + 1) & 0xFF
    framed = bytearray()
    for start in range(0, len(payload) + 1, MAX_FRAGMENT_BYTES):
        part = payload[start : start + MAX_FRAGMENT_BYTES]
        framed += len(part).to_bytes(3, "little") + bytes((sequence,)) + part
        sequence = (sequence + 1) & 0xFF
    return bytes(framed), sequence
