"""What a region holds and where it could be cut: one pass over its families that remembers marks on the way.

A *mark* is a border at which a region may begin (`border_of`), with how many bytes and keys lie left of it. Marks are
thinned out as they become many, so a profile is small whatever the region holds, and evenly spread by bytes. Where a
table begins there is always a mark.

Families are read one after the other, which is much cheaper than merging them: what lies left of a border is the sum
over the families, each taken at its last mark before it. The error is one step of the marks, half a percent or so.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from rutile_kv.engine.api import CF_LOCK, CF_WRITE, DATA_CFS, RAW_CFS, Cf, Reader
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.boundaries import boundary_before
from rutile_proto.codec import decode_int64
from rutile_proto.errors import InvalidRequest, MalformedEncoding
from rutile_proto.keys import (
    TABLE_PREFIX,
    TABLE_PREFIX_LENGTH,
    TS_LENGTH,
    prefix_next,
    storage_key,
    table_prefix,
    user_key,
)

COUNTED_CFS = frozenset((CF_WRITE, *RAW_CFS))
"""Families with an entry for each version, or for each raw key: what counts as the keys of a region."""
MAX_MARKS = 512
"""Per family; with one more every second one is dropped."""
MAX_TABLES = 1024
"""Borders of tables noticed in one region; what lies behind them waits for the next check."""

MAX_TABLE_ID = 1 << 48
"""Beyond it, and below 0, it is no id that anybody gave out, but a key-value user's key that begins with a `t`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place where a region may begin, and what lies left of it."""

    border: bytes
    size_bytes: int
    keys: int


@dataclass(frozen=True, slots=True)
class RegionProfile:
    """What a region held at one moment."""

    size_bytes: int
    keys: int
    marks: Sequence[Mark]
    """Rising, all strictly inside the region."""
    tables: Sequence[Mark]
    """Where a table begins and something lies on both sides: some of the marks."""


def border_of(cf: Cf, key: bytes) -> bytes | None:
    """The storage key at which a region may begin so that the entry `key` and all versions of its user key lie in it;
    None if there is none."""
    if cf in RAW_CFS:
        try:
            return boundary_before(key)
        except InvalidRequest:
            return None
    return key if cf == CF_LOCK else key[:-TS_LENGTH]


class ProfileScan:
    """Makes a RegionProfile in slices: `advance` until it says False, then `profile`."""

    def __init__(self, reader: Reader, region: metapb.Region) -> None:
        self._region = region
        self._tables = list(islice(table_borders(reader, region), MAX_TABLES))
        self._meters = {cf: _Meter(cf) for cf in DATA_CFS}
        self._parts = self._scans(reader)
        self._current = next(self._parts)

    def advance(self, limit: int) -> bool:
        """Read up to `limit` more entries; False once all are read."""
        meter, pairs = self._current
        if meter.take(islice(pairs, limit)) < limit:
            following = next(self._parts, None)
            if following is None:
                return False
            self._current = following
        return True

    def profile(self) -> RegionProfile:
        """What was found."""
        meters = [meter for meter in self._meters.values() if meter.marks]
        start, end = self._region.start_key, self._region.end_key
        borders = sorted({mark.border for meter in meters for mark in meter.marks} | set(self._tables))
        size_bytes = sum(meter.size_bytes for meter in meters)
        keys = sum(meter.keys for meter in meters)
        inside = [border for border in borders if border > start and (not end or border < end)]
        marks = [mark for mark in _sums(meters, inside) if 0 < mark.size_bytes < size_bytes]
        at_tables = frozenset(self._tables)
        return RegionProfile(size_bytes, keys, marks, [mark for mark in marks if mark.border in at_tables])

    def _scans(self, reader: Reader) -> Iterator[tuple["_Meter", Iterator[tuple[bytes, bytes]]]]:
        """The families, each from table to table, so that a mark is set where a table begins."""
        starts = [self._region.start_key, *self._tables]
        ends: list[bytes | None] = [*self._tables, self._region.end_key or None]
        for cf, meter in self._meters.items():
            for start, end in zip(starts, ends, strict=True):
                meter.mark(start)
                yield meter, reader.scan(cf, start, end)


class _Meter:
    """Counts what passes in one family and sets marks."""

    def __init__(self, cf: Cf) -> None:
        self.size_bytes = self.keys = 0
        self.marks: list[Mark] = []
        self._cf = cf
        self._counts = cf in COUNTED_CFS
        self._previous = b""
        self._step = 1
        self._due = 1

    def take(self, pairs: Iterable[tuple[bytes, bytes]]) -> int:
        """Count `pairs` and return how many they were."""
        size_bytes, taken, due, previous = self.size_bytes, 0, self._due, self._previous
        for key, value in pairs:
            if size_bytes >= due:
                self._mark_at(key, previous, size_bytes, taken)
                due = self._due
            size_bytes += len(key) + len(value)
            taken += 1
            previous = key
        self.size_bytes, self._previous = size_bytes, previous
        self.keys += taken if self._counts else 0
        return taken

    def mark(self, border: bytes) -> None:
        """Everything counted so far lies left of `border`."""
        self.marks.append(Mark(border, self.size_bytes, self.keys))

    def _mark_at(self, key: bytes, previous: bytes, size_bytes: int, taken: int) -> None:
        """Set a mark between two entries, unless no border parts them: then before the next that one does."""
        border = border_of(self._cf, key)
        if border is None or (previous and border == border_of(self._cf, previous)):
            return
        if border > self.marks[-1].border:
            self.marks.append(Mark(border, size_bytes, self.keys + (taken if self._counts else 0)))
        if len(self.marks) > MAX_MARKS:
            self.marks = self.marks[::2]
            self._step = max(2 * self._step, 2 * size_bytes // MAX_MARKS)
        self._due = size_bytes + self._step


def _sums(meters: Sequence[_Meter], borders: Iterable[bytes]) -> Iterator[Mark]:
    """For each border what lies left of it in all families."""
    starts = [[mark.border for mark in meter.marks] for meter in meters]
    for border in borders:
        at = [meter.marks[max(0, bisect_right(keys, border) - 1)] for meter, keys in zip(meters, starts, strict=True)]
        yield Mark(border, sum(mark.size_bytes for mark in at), sum(mark.keys for mark in at))


# --- tables -----------------------------------------------------------------------------------------------------------


def table_borders(reader: Reader, region: metapb.Region) -> Iterator[bytes]:
    """Storage keys strictly inside the region at which a table begins that has rows, and where what follows the last
    table begins. One seek a table."""
    key = _first(reader, region, region.start_key)
    previous = None if key is None else _table_of(key)
    while key is not None:
        behind = _behind(key)
        key = None if behind is None else _first(reader, region, behind)
        if key is None:
            return
        table = _table_of(key)
        if table is not None:
            yield storage_key(table_prefix(table))
        elif previous is not None:
            yield storage_key(prefix_next(table_prefix(previous)))
        previous = table


def spans_tables(reader: Reader, region: metapb.Region) -> bool:
    """True if the region holds rows of more than one table, or of a table and something else. Two or three seeks."""
    return next(table_borders(reader, region), None) is not None


def _first(reader: Reader, region: metapb.Region, start: bytes) -> bytes | None:
    """The first storage key with a committed version at or after `start`."""
    pair = next(iter(reader.scan(CF_WRITE, start, region.end_key or None)), None)
    return None if pair is None else pair[0][:-TS_LENGTH]


def _table_of(storage: bytes) -> int | None:
    """Which table a key belongs to; None for keys that are no table's."""
    try:
        key = user_key(storage)
    except MalformedEncoding:
        return None
    if not key.startswith(TABLE_PREFIX) or len(key) < TABLE_PREFIX_LENGTH:
        return None
    table = decode_int64(key, len(TABLE_PREFIX))[0]
    return table if 0 <= table < MAX_TABLE_ID else None


def _behind(storage: bytes) -> bytes | None:
    """Where to look for the next table: behind this key's table, or at the first table."""
    table = _table_of(storage)
    if table is not None:
        return storage_key(prefix_next(table_prefix(table)))
    first = storage_key(TABLE_PREFIX)
    return first if storage < first else None
