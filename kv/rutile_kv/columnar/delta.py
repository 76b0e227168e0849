"""`DeltaLog`: what was committed to one table in one region since somebody began to look, as raw records.

The apply path appends, in the store's own turn; worker threads read. Nothing is decoded here: a version's key and its
record are references to bytes the apply path had in hands anyway, so a write pays two list appends for being followed.
Every entry carries the log index it was applied at: a reader cuts the log at the index of its snapshot.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from rutile_proto.codec import decode_uint64_desc
from rutile_proto.keys import TS_LENGTH, record_prefix, storage_key

STEM_LENGTH = 12
"""So many bytes of a storage key tell the table, and a row from an index entry."""
ENTRY_OVERHEAD_BYTES = 150
"""What CPython adds to an entry: two bytes objects, an integer, three places in lists; counted against the budget."""


def table_stem(table_id: int) -> bytes:
    """How the storage keys of a table's rows begin."""
    return storage_key(record_prefix(table_id))[:STEM_LENGTH]


@dataclass(frozen=True, slots=True)
class Entries:
    """Records of the family write in apply order: entry i was applied at log index `indexes[i]`.

    Only ever appended to, so whoever holds one may read it up to an index that was applied when it was handed out.
    """

    indexes: list[int] = field(default_factory=list)
    versions: list[bytes] = field(default_factory=list)
    """Storage key and inverted commit timestamp."""
    records: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.indexes)

    def append(self, index: int, version: bytes, record: bytes) -> None:
        """Add what entry `index` committed, the newest so far."""
        self.indexes.append(index)
        self.versions.append(version)
        self.records.append(record)

    def between(self, after: int, upto: int) -> Entries:
        """A copy of what was applied above index `after` and not above `upto`."""
        low, high = bisect_right(self.indexes, after), bisect_right(self.indexes, upto)
        return Entries(self.indexes[low:high], self.versions[low:high], self.records[low:high])

    def above(self, index: int) -> int:
        """How many were applied above `index`."""
        return len(self.indexes) - bisect_right(self.indexes, index)

    @property
    def newest_commit_ts(self) -> int:
        """The largest commit timestamp of all records; 0 for none."""
        return max((decode_uint64_desc(version[-TS_LENGTH:])[0] for version in self.versions), default=0)

    @property
    def size_bytes(self) -> int:
        payload = sum(map(len, self.versions)) + sum(map(len, self.records))
        return payload + ENTRY_OVERHEAD_BYTES * len(self.indexes)


class DeltaLog:
    """Complete above `since`. Belongs to a cache, whose mutex guards it."""

    __slots__ = ("entries", "since", "size_bytes", "unfolded")

    def __init__(self, since: int, entries: Entries | None = None) -> None:
        self.since = since
        self.entries = Entries() if entries is None else entries
        self.size_bytes = self.entries.size_bytes
        self.unfolded = len(self.entries)
        """How many entries the newest base does not have."""

    def append(self, index: int, version: bytes, record: bytes) -> int:
        """Add the newest entry; returns its bytes."""
        entries = self.entries
        entries.versions.append(version)
        entries.records.append(record)
        entries.indexes.append(index)
        grown = len(version) + len(record) + ENTRY_OVERHEAD_BYTES
        self.size_bytes += grown
        self.unfolded += 1
        return grown

    def folded(self, upto: int) -> None:
        """A base has what was applied at or below index `upto`."""
        self.unfolded = self.entries.above(upto)

    def forget(self, upto: int) -> None:
        """Give up what was applied at or below index `upto`. Entries handed out before stay whole."""
        if upto <= self.since:
            return
        newest = self.entries.indexes[-1] if self.entries.indexes else upto
        self.entries = self.entries.between(upto, newest)
        self.size_bytes = self.entries.size_bytes
        self.since = upto
