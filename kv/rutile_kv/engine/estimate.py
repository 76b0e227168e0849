"""How many entries of some files lie in a key range, when all one knows of a file is its ends and its count.

RocksDB can answer this (GetApproximateSizes), rocksdict does not offer it. So: keys are taken as evenly spread between
the ends of a file, and a key's place between them is read off the first eight bytes in which the ends differ. That is
right for counters and hashes and rough for anything else, which is enough to decide what to split or to move.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_DIGITS = 8


@dataclass(frozen=True, slots=True)
class KeySpan:
    """`entries` entries between the keys `first` and `last`, both among them."""

    first: bytes
    last: bytes
    entries: int

    def share(self, start: bytes, end: bytes | None) -> float:
        """The part of the span in [start, end), 0.0 to 1.0."""
        if start > self.last or (end is not None and end <= self.first):
            return 0.0
        upper = 1.0 if end is None else self._place(end)
        return max(0.0, upper - self._place(start))

    def _place(self, key: bytes) -> float:
        """Where `key` lies between the ends: 0.0 at or below the first, 1.0 above the last."""
        if key <= self.first:
            return 0.0
        if key > self.last:
            return 1.0
        skipped = _shared_prefix(self.first, self.last)
        low, high, at = (_digits(k, skipped) for k in (self.first, self.last, key))
        return (at - low) / (high - low) if high > low else 0.5


def entries_in(spans: Iterable[KeySpan], start: bytes, end: bytes | None) -> float:
    """About how many entries of `spans` lie in [start, end)."""
    return sum(span.entries * span.share(start, end) for span in spans)


def _digits(key: bytes, skipped: int) -> int:
    return int.from_bytes(key[skipped : skipped + _DIGITS].ljust(_DIGITS, b"\0"), "big")


def _shared_prefix(left: bytes, right: bytes) -> int:
    """In how many leading bytes two keys agree."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))
