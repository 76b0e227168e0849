"""The protocol's small forms: numbers, length-encoded numbers and strings, strings up to a zero byte."""

from __future__ import annotations

from rutile.mysql.problems import malformed_packet

NULL_LENGTH = b"\xfb"
"""In a text row, in place of a length: the value is NULL."""


def lenenc_int(value: int) -> bytes:
    """A number in 1, 3, 4 or 9 bytes."""
    if value < 0xFB:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def lenenc_bytes(data: bytes) -> bytes:
    """Bytes after their length."""
    size = len(data)
    return (bytes((size,)) if size < 0xFB else lenenc_int(size)) + data


def lenenc_text(text: str) -> bytes:
    """Text in UTF-8 after its length in bytes."""
    return lenenc_bytes(text.encode())


class FieldReader:
    """Reads a payload from front to back. Every method raises 1835 when the payload ends too early."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._payload) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise malformed_packet()
        self._at += size
        return self._payload[self._at - size : self._at]

    def number(self, size: int, *, signed: bool = False) -> int:
        """A little-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def lenenc_number(self) -> int:
        first = self.number(1)
        if first < 0xFB:
            return first
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
        if size is None:
            raise malformed_packet()
        return self.number(size)

    def lenenc_bytes(self) -> bytes:
        return self.take(self.lenenc_number())

    def until_zero(self) -> bytes:
        """Bytes before the next zero byte, which is read too."""
        end = self._payload.find(b"\0", self._at)
        if end < 0:
            raise malformed_packet()
        found = self.take(end - self._at)
        self._at += 1
        return found

    def rest(self) -> bytes:
        """Everything not yet read."""
        return self.take(self.left)
