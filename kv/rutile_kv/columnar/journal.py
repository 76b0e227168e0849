"""`Journal`: what was committed to a table since its base was written, in a file beside the base.

    3-7-42-0-1188.arrow      the base: rows as of log entry 1188
    3-7-42-0-1188.journal    frames:  (1188, 1540] 12 records │ (1540, 2051] none │ (2051, 2600] 3 records │

The Raft log brings a base forward when the store starts again, but the log is cut: of a region that is written to, no
more than some hundred entries stay. So before it is, what it has of the table goes into the journal, as one frame: the
records of the family write above `after` up to and including `upto`, with a checksum. A table nobody writes to costs an
empty frame, which says just that. After a restart the base and the journal's frames are the table as of the last
frame's end, and the log tells the rest. A base is written anew only when its journal has become long (`is_long`).

Nothing is synced. After the end of the process the frames are there: the system has them. After the end of the machine
some may be missing, or the last one torn: then the journal ends before it, and if the log does not reach back to there,
the base is made from the rows. A frame may also be ahead of what the engine kept: what was not applied will be, again,
as the same entries, so a reader drops what lies above (`read_journal`), and a frame begins where its `after` says.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from rutile_kv.columnar.delta import Entries

_FRAME = Struct("<QQII")
"""After, up to, bytes of the records, checksum of all that."""
_RECORD = Struct("<QHI")
"""Log index, bytes of the version, bytes of the record."""
LONG_SHARE = 4
"""A journal of more than one part in so many of its base is long ..."""
LONG_ENTRIES = 32_768
"""... and one of more records: a restart lays each of them over the base."""
MAX_PENDING = 1_024
"""So many records are written at once, even if the log is not cut."""


class Journal:
    """Of one base; the store's loop alone uses it. What is noted is in the file when `write` returns. The file is open
    while it is written only: there are as many as bases."""

    def __init__(self, path: Path, after: int, *, size_bytes: int = 0, entries: int = 0) -> None:
        """Goes on behind the first `size_bytes` of the file, whose frames end at log entry `after` with `entries`
        records; the rest of it goes. Raises OSError."""
        self._path = path
        self._after = after
        self._pending = Entries()
        self.size_bytes = size_bytes
        self.entries = entries
        with path.open("ab") as file:
            file.truncate(size_bytes)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that it had better be written."""
        return len(self._pending) >= MAX_PENDING

    def is_long(self, base_bytes: int) -> bool:
        """Whether its base, of so many bytes, is worth writing anew."""
        return self.entries > LONG_ENTRIES or self.size_bytes * LONG_SHARE > base_bytes

    def note(self, index: int, version: bytes, record: bytes) -> None:
        """Entry `index` committed this to the table."""
        self._pending.append(index, version, record)

    def write(self, upto: int) -> None:
        """Add the frame up to log entry `upto`, of which everything is noted. Raises OSError: FileNotFoundError
        if its base was replaced."""
        if upto <= self._after:
            return
        frame = encode_frame(self._after, upto, self._pending)
        with self._path.open("r+b", buffering=0) as file:
            file.seek(self.size_bytes)
            if file.write(frame) != len(frame):
                raise OSError("a frame was written in part: the disk is full")
        self.size_bytes += len(frame)
        self.entries += len(self._pending)
        self._after, self._pending = upto, Entries()


class JournalRead:
    """What a file tells: frames without a gap, up to `upto`, in its first `size_bytes`."""

    def __init__(self, base_index: int) -> None:
        self.base_index = base_index
        self.upto = base_index
        self.size_bytes = 0
        self.entries = Entries()

    def take(self, after: int, upto: int, records: Entries, size_bytes: int) -> None:
        """A frame more; it replaces what was noted above `after` already."""
        entries, kept = self.entries, bisect_right(self.entries.indexes, after)
        entries.indexes[kept:] = records.indexes
        entries.versions[kept:] = records.versions
        entries.records[kept:] = records.records
        self.upto = upto
        self.size_bytes += size_bytes

    def cut(self, applied: int) -> None:
        """Drop what lies above log entry `applied`: it will be applied again."""
        self.entries = self.entries.between(-1, applied)
        self.upto = min(self.upto, applied)


def read_journal(path: Path, base_index: int) -> JournalRead:
    """The frames of a file, as far as they are whole and continue the base of log entry `base_index`; none if there is
    no file. Raises OSError."""
    found = JournalRead(base_index)
    data = path.read_bytes() if path.exists() else b""
    for after, upto, records, size_bytes in _frames(data):
        if after > found.upto or after < base_index:
            break
        found.take(after, upto, records, size_bytes)
    return found


def encode_frame(after: int, upto: int, entries: Entries) -> bytes:
    """The frame of the records above log entry `after` and not above `upto`."""
    pieces: list[bytes] = []
    for index, version, record in zip(entries.indexes, entries.versions, entries.records, strict=True):
        pieces += (_RECORD.pack(index, len(version), len(record)), version, record)
    body = b"".join(pieces)
    checksum = zlib.crc32(body, zlib.crc32(_FRAME.pack(after, upto, len(body), 0)))
    return _FRAME.pack(after, upto, len(body), checksum) + body


def _frames(data: bytes) -> Iterator[tuple[int, int, Entries, int]]:
    """Up to the first that is torn or damaged."""
    start = 0
    while start + _FRAME.size <= len(data):
        after, upto, length, checksum = _FRAME.unpack_from(data, start)
        end = start + _FRAME.size + length
        body = data[start + _FRAME.size : end]
        if len(body) < length or zlib.crc32(body, zlib.crc32(_FRAME.pack(after, upto, length, 0))) != checksum:
            return
        yield after, upto, _decode(body), end - start
        start = end


def _decode(body: bytes) -> Entries:
    entries, at = Entries(), 0
    while at < len(body):
        index, version_bytes, record_bytes = _RECORD.unpack_from(body, at)
        middle = at + _RECORD.size + version_bytes
        end = middle + record_bytes
        entries.append(index, body[at + _RECORD.size : middle], body[middle:end])
        at = end
    return entries
