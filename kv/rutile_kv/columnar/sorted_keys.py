"""User keys in ascending order, as a base holds them for each chunk, and ranges of them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from rutile_proto.codec import ByteMatrix

KeyRange = tuple[bytes, bytes]
"""[start, end) of user keys; an empty end is the end of the key space."""

SortedKeys = ByteMatrix | list[bytes]
"""User keys in ascending order: uint8[n, length] where all have one length, else one by one."""
KEY_OVERHEAD_BYTES = 57
"""What CPython adds to a bytes object in a list; counted against the budget."""


def overlaps(one: KeyRange, other: KeyRange) -> bool:
    """Whether two ranges have a key in common."""
    return (not other[1] or one[0] < other[1]) and (not one[1] or other[0] < one[1])


def lower_bound(keys: SortedKeys, bound: bytes) -> int:
    """The position of the first key that is not below `bound`."""
    if isinstance(keys, list):
        return bisect.bisect_left(keys, bound)
    return bisect.bisect_left(range(len(keys)), bound, key=lambda position: keys[position].tobytes())


def key_at(keys: SortedKeys, position: int) -> bytes:
    key = keys[position]
    return key if isinstance(key, bytes) else key.tobytes()


def positions_in(keys: SortedKeys, ranges: Sequence[KeyRange]) -> list[tuple[int, int]]:
    """[low, high) positions of `keys` inside each range, empty ones left out."""
    spans = []
    for start, end in ranges:
        low = lower_bound(keys, start)
        high = lower_bound(keys, end) if end else len(keys)
        if low < high:
            spans.append((low, high))
    return spans


def keys_size_bytes(keys: SortedKeys) -> int:
    """What they take in memory."""
    if isinstance(keys, list):
        return sum(map(len, keys)) + KEY_OVERHEAD_BYTES * len(keys)
    return keys.nbytes
