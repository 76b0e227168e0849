"""The data of a region as a stream of bytes, for a peer that the log can no longer help.

    stream    = record* trailer
    record    = family (1 byte) | key length (4) | value length (4) | key | value
    trailer   = 0xFF | number of records (8) | CRC-32 of everything before it (4)

Families follow each other, keys rise inside each. The sender reads from an engine snapshot that was taken when Raft
asked, so building costs nothing until the stream is read, chunk by chunk, outside of the store's turn. The receiver
spools the whole stream and looks at the trailer before Raft hears of the snapshot at all: a torn one changes nothing.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from rutile_kv.engine.api import DATA_CFS, Cf, Reader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest

CHUNK_BYTES = 1 << 20
MAX_RECORD_BYTES = 256 << 20

_RECORD = struct.Struct(">BII")
_TRAILER = struct.Struct(">BQI")
_END = 0xFF


class SnapshotPayload(Protocol):
    """A received snapshot, spooled and verified."""

    def records(self) -> Iterator[tuple[Cf, bytes, bytes]]:
        """(family, key, value) in the order of the stream."""

    def close(self) -> None:
        """Throw the spooled bytes away."""


def encode_snapshot(reader: Reader, region: metapb.Region, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The stream of a region, in chunks of about `chunk_bytes`."""
    buffer, checksum, count = bytearray(), 0, 0
    for number, cf in enumerate(DATA_CFS):
        for key, value in reader.scan(cf, region.start_key, region.end_key or None):
            buffer += _RECORD.pack(number, len(key), len(value)) + key + value
            count += 1
            if len(buffer) >= chunk_bytes:
                checksum = zlib.crc32(buffer, checksum)
                yield bytes(buffer)
                buffer.clear()
    checksum = zlib.crc32(buffer, checksum)
    yield bytes(buffer) + _TRAILER.pack(_END, count, checksum)


class SpooledSnapshot:
    """A SnapshotPayload over a seekable file, in memory or on disk. `write` everything, then `verify`, then read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = 0
        self.count = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size_bytes += len(data)

    def verify(self, region: metapb.Region) -> None:
        """Raises InvalidRequest unless the stream is whole, unharmed, and holds keys of `region` only."""
        body = self.size_bytes - _TRAILER.size
        if body < 0:
            raise InvalidRequest(f"a snapshot of {self.size_bytes} bytes is cut short")
        self._file.seek(0)
        checksum = 0
        for offset in range(0, body, CHUNK_BYTES):
            checksum = zlib.crc32(self._file.read(min(CHUNK_BYTES, body - offset)), checksum)
        mark, self.count, expected = _TRAILER.unpack(self._file.read(_TRAILER.size))
        if mark != _END or checksum != expected:
            raise InvalidRequest("a snapshot does not match its checksum: it was cut short or damaged on its way")
        end = region.end_key
        for _, key, _ in self.records():
            if key < region.start_key or (end and key >= end):
                raise InvalidRequest(f"a snapshot of region {region.id} holds key {key.hex()}, which is not its own")

    def records(self) -> Iterator[tuple[Cf, bytes, bytes]]:
        self._file.seek(0)
        for _ in range(self.count):
            number, key_length, value_length = _RECORD.unpack(self._file.read(_RECORD.size))
            if number >= len(DATA_CFS) or key_length + value_length > MAX_RECORD_BYTES:
                raise InvalidRequest(f"a snapshot record of family {number} and {key_length + value_length} bytes")
            yield DATA_CFS[number], self._file.read(key_length), self._file.read(value_length)

    def close(self) -> None:
        self._file.close()
