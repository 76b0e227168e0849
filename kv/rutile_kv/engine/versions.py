"""A sorted map that remembers: per key a chain of versions `(sequence, value, older version)`, newest first."""

from bisect import bisect_left, insort
from typing import TypeAlias

_BULK_KEYS = 64
"""From so many new or vanished keys on, rebuilding the list is cheaper than moving its tail once a key."""
_SAMPLE_KEYS = 256
"""Pairs weighed to estimate the size of a range."""

Version: TypeAlias = tuple[int, bytes | None, "Version | None"]


class VersionedMap:
    """Sorted keys with a chain of versions each. Not thread-safe but for `get`: chains are replaced, never changed."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.versions: dict[bytes, Version] = {}

    def get(self, key: bytes, sequence: int) -> bytes | None:
        """The value of the newest version not newer than `sequence`; None when there is none, or it is a tombstone."""
        version = self.versions.get(key)
        while version is not None and version[0] > sequence:
            version = version[2]
        return None if version is None else version[1]

    def put_all(self, changes: dict[bytes, bytes | None], sequence: int) -> None:
        """Add a version of each key; None is a tombstone, which a key without versions does not need."""
        fresh = []
        for key, value in changes.items():
            older = self.versions.get(key)
            if older is None:
                if value is None:
                    continue
                fresh.append(key)
            self.versions[key] = (sequence, value, older)
        self._add_keys(fresh)

    def _add_keys(self, fresh: list[bytes]) -> None:
        if len(fresh) >= _BULK_KEYS:
            self.keys += fresh
            self.keys.sort()
        else:
            for key in fresh:
                insort(self.keys, key)

    def trim(self, key: bytes, horizon: int) -> bool:
        """Cut what no reader at or after `horizon` reaches; True when that leaves nothing of the key."""
        version = self.versions.get(key)
        if version is None:
            return False
        kept = []
        while version is not None and version[0] > horizon:
            kept.append(version)
            version = version[2]
        tail: Version | None = None
        if version is not None and version[1] is not None:
            tail = (version[0], version[1], None)
        for sequence, value, _ in reversed(kept):
            tail = (sequence, value, tail)
        if tail is None:
            del self.versions[key]
            return True
        self.versions[key] = tail
        return False

    def drop_keys(self, gone: list[bytes]) -> None:
        """Take keys out that `trim` left nothing of."""
        if len(gone) >= _BULK_KEYS:
            self.keys = [key for key in self.keys if key in self.versions]
            return
        for key in gone:
            del self.keys[bisect_left(self.keys, key)]

    def bounds(self, start: bytes, end: bytes | None) -> tuple[int, int]:
        """The positions in `keys` of the range [start, end)."""
        low = bisect_left(self.keys, start)
        if end is None:
            return low, len(self.keys)
        return low, max(low, bisect_left(self.keys, end))

    def chunk(self, start: bytes, end: bytes | None, limit: int, reverse: bool) -> list[bytes]:
        """The first `limit` keys of the range, from its upper end down when `reverse`."""
        low, high = self.bounds(start, end)
        if reverse:
            return self.keys[max(low, high - limit) : high][::-1]
        return self.keys[low : min(high, low + limit)]

    def approximate_size_bytes(self, start: bytes, end: bytes | None, sequence: int) -> int:
        """The number of keys in range times the mean size of a sample of them."""
        low, high = self.bounds(start, end)
        sample = self.keys[low : high : max(1, (high - low) // _SAMPLE_KEYS)]
        weighed = sum(len(key) + len(self.get(key, sequence) or b"") for key in sample)
        return weighed * (high - low) // max(1, len(sample))
