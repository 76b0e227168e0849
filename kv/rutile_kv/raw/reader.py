"""Reading raw data: as of one view of the engine, and one second."""

from collections.abc import Iterator
from itertools import islice

from rutile_kv.engine.api import Cf, Reader
from rutile_kv.raw.values import decode_value, has_expired, live_value


class RawReader:
    """One family of raw data as of `now_s`."""

    def __init__(self, reader: Reader, cf: Cf, now_s: int) -> None:
        self._reader = reader
        self._cf = cf
        self._now_s = now_s

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`; None when there is none. An empty value is a value."""
        return live_value(self._reader.get(self._cf, key), self._now_s)

    def ttl(self, key: bytes) -> int | None:
        """Seconds that `key` has still to live, 0 for no end, None when there is no such key."""
        stored = self._reader.get(self._cf, key)
        if stored is None:
            return None
        _, expires_at_s = decode_value(stored)
        if has_expired(expires_at_s, self._now_s):
            return None
        return expires_at_s - self._now_s if expires_at_s else 0

    def scan(
        self, start: bytes, end: bytes, limit: int | None, *, reverse: bool = False, key_only: bool = False
    ) -> "RawScan":
        """Up to `limit` pairs of [start, end), from its upper end down when `reverse`. An empty end is infinite."""
        pairs = self._reader.scan(self._cf, start, end or None, reverse=reverse) if _holds(start, end) else iter(())
        return RawScan(pairs, self._now_s, limit, key_only)


class RawScan:
    """A scan taken in steps, so that whoever serves a long one can let others run in between.

    It shows one moment, however long it takes: that of the call that made it (rule 4 of `engine`).
    """

    def __init__(
        self, pairs: Iterator[tuple[bytes, bytes]], now_s: int, limit: int | None, key_only: bool = False
    ) -> None:
        self._pairs = pairs
        self._now_s = now_s
        self._left = limit
        self._key_only = key_only
        self.done = limit == 0
        """True once nothing more will come."""

    def step(self, rows: int) -> list[tuple[bytes, bytes]]:
        """The pairs among the next `rows` that are there, expired ones included in the count."""
        found: list[tuple[bytes, bytes]] = []
        seen = 0
        for key, stored in islice(self._pairs, 0 if self.done else rows):
            seen += 1
            value = live_value(stored, self._now_s)
            if value is None:
                continue
            found.append((key, b"" if self._key_only else value))
            if self._left is not None and len(found) == self._left:
                break
        else:
            self.done = self.done or seen < rows
        if self._left is not None:
            self._left -= len(found)
            self.done = self.done or self._left == 0
        return found

    def rest(self) -> list[tuple[bytes, bytes]]:
        """All that is left, at once."""
        found: list[tuple[bytes, bytes]] = []
        while not self.done:
            found += self.step(4096)
        return found


def _holds(start: bytes, end: bytes) -> bool:
    return not end or start < end
