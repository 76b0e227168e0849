"""Table files: sorted pairs in RocksDB's own format, made once where they come from and taken over whole everywhere.

A load that sends pairs has every replica walk through them, in the log, the write-ahead log, the memtable and every
compaction after it. A table file is written once, travels through the Raft log as one value, and each replica hands it
to its engine as it is: what is left per pair and replica is copying bytes.

    0x01 | first key | last key | entries | size in bytes | crc32 of the file | the file

`rocks_table_files` makes them and looks into them; this module is what cores may know of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from rutile_proto.codec import decode_compact_bytes, decode_uvarint, encode_compact_bytes, encode_uvarint
from rutile_proto.errors import InvalidRequest, MalformedEncoding

_FORMAT = b"\x01"


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table file and what it holds."""

    first_key: bytes
    last_key: bytes
    entries: int
    size_bytes: int
    """Of keys and values before compression."""
    data: bytes

    def to_bytes(self) -> bytes:
        """The file with its header, as it travels."""
        numbers = (self.entries, self.size_bytes, zlib.crc32(self.data))
        keys = (self.first_key, self.last_key)
        return b"".join((_FORMAT, *map(encode_compact_bytes, keys), *map(encode_uvarint, numbers), self.data))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> TableFile:
        """The file in what travelled. Raises InvalidRequest when it is none, or was changed on its way."""
        if encoded[:1] != _FORMAT:
            raise InvalidRequest(f"a table file does not begin with {encoded[:1].hex() or 'nothing'}")
        try:
            first, at = decode_compact_bytes(encoded, 1)
            last, at = decode_compact_bytes(encoded, at)
            entries, at = decode_uvarint(encoded, at)
            size_bytes, at = decode_uvarint(encoded, at)
            crc, at = decode_uvarint(encoded, at)
        except MalformedEncoding as error:
            raise InvalidRequest(f"the header of a table file is malformed: {error}") from error
        data = encoded[at:]
        if zlib.crc32(data) != crc:
            raise InvalidRequest(f"a table file of {len(data)} bytes is damaged: its checksum does not fit")
        return cls(first, last, entries, size_bytes, data)
