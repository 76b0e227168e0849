"""Arithmetic of half-open key ranges. Keys are user keys; as an end, empty is +infinity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

KeyRange: TypeAlias = tuple[bytes, bytes]


def lesser_end(a: bytes, b: bytes) -> bytes:
    """The smaller of two range ends."""
    return min(a, b) if a and b else a or b


def is_empty(start: bytes, end: bytes) -> bool:
    """Whether no key lies in [start, end)."""
    return bool(end) and start >= end


def union(ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """The same keys as sorted ranges that neither overlap nor touch."""
    merged: list[KeyRange] = []
    for start, end in sorted(each for each in ranges if not is_empty(*each)):
        if merged and (not merged[-1][1] or start <= merged[-1][1]):
            last_start, last_end = merged[-1]
            merged[-1] = (last_start, max(last_end, end) if last_end and end else b"")
        else:
            merged.append((start, end))
    return merged


def clip(ranges: Sequence[KeyRange], start: bytes, end: bytes) -> list[KeyRange]:
    """The parts of `ranges` that lie in [start, end)."""
    clipped = [(max(each[0], start), lesser_end(each[1], end)) for each in ranges]
    return [each for each in clipped if not is_empty(*each)]
