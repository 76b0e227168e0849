"""What happened before a watch began: versions above a timestamp, or the present state of raw data."""

from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

from rutile_kv.engine.api import CF_WRITE, Cf, Reader
from rutile_kv.watch.changes import RawRow, Version, version_of
from rutile_kv.watch.watcher import PAGE_BYTES
from rutile_proto.codec import encode_uint64_desc
from rutile_proto.keys import TS_LENGTH

T = TypeVar("T", Version, RawRow)


class Backlog(Generic[T]):
    """Rows of a scan, taken in steps so that others can run in between."""

    def __init__(self, rows: Iterator[T | None]) -> None:
        """`rows` has None for a row that is not wanted."""
        self._rows: Iterator[T | None] = rows
        self.done = False

    def step(self, rows: int) -> list[T]:
        """What is wanted among the next `rows` rows, or fewer if those are large."""
        found: list[T] = []
        size_bytes = seen = 0
        for row in islice(self._rows, rows):
            seen += 1
            if row is not None:
                found.append(row)
                size_bytes += row.size_bytes
                if size_bytes >= PAGE_BYTES:
                    return found
        self.done = seen < rows
        return found


def versions_above(reader: Reader, start: bytes, end: bytes | None, from_ts: int) -> Backlog[Version]:
    """The versions in [start, end), storage keys, that were committed above `from_ts`; each key's oldest first, which
    is why the keys come backwards."""
    bound = encode_uint64_desc(from_ts)
    pairs = reader.scan(CF_WRITE, start, end, reverse=True)
    return Backlog(version_of(key, record) if key[-TS_LENGTH:] < bound else None for key, record in pairs)


def raw_state(reader: Reader, cf: Cf, start: bytes, end: bytes | None) -> Backlog[RawRow]:
    """What stands in [start, end) of a raw family, in key order."""
    return Backlog(RawRow(key, stored) for key, stored in reader.scan(cf, start, end))
