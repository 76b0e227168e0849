"""User keys in ascending order, as a base holds them for each chunk, and ranges of them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rutile_proto.codec import ByteMatrix

KeyRange = tuple[bytes, bytes]
"""[start, end) of user keys; an empty end is the end of the key space."""

SortedKeys = ByteMatrix | list[bytes]
"""User keys in ascending order: uint8[n, length] where all have one length, else one by one."""
Positions = npt.NDArray[np.intp]
"""Of keys in a chunk."""
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


# --- many keys at once ------------------------------------------------------------------------------------------------


def cuts(chunks: Sequence[SortedKeys], keys: SortedKeys) -> list[int]:
    """Where `keys` are cut so that piece i belongs to chunk i: a chunk's reach ends where the next one's keys begin.
    No chunk is empty unless it is the only one."""
    return [0, *(lower_bound(keys, key_at(chunk, 0)) for chunk in chunks[1:]), len(keys)]


def lower_bounds(keys: SortedKeys, wanted: SortedKeys) -> Positions:
    """For each key wanted, ascending, the position of the first of `keys` that is not below it."""
    if comparable(keys, wanted):
        return np.searchsorted(_strings(keys), _strings(wanted))
    bounds = [lower_bound(keys, key_at(wanted, position)) for position in range(len(wanted))]
    return np.array(bounds, dtype=np.intp)


def same(keys: SortedKeys, at: Positions, wanted: SortedKeys, positions: Positions) -> npt.NDArray[np.bool_]:
    """Whether keys[at[i]] is wanted[positions[i]]."""
    if comparable(keys, wanted):
        found: npt.NDArray[np.bool_] = _strings(keys)[at] == _strings(wanted)[positions]
        return found
    pairs = zip(at.tolist(), positions.tolist(), strict=True)
    return np.array([key_at(keys, here) == key_at(wanted, there) for here, there in pairs], dtype=np.bool_)


def comparable(one: SortedKeys, other: SortedKeys) -> bool:
    """Whether both are matrices of keys of one length."""
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape[1] == other.shape[1]


def _strings(keys: SortedKeys) -> npt.NDArray[np.bytes_]:
    """A matrix as numpy's byte strings, which compare as keys do; that they end at a zero is of no matter where all
    have one length."""
    matrix = np.ascontiguousarray(keys)
    return matrix.view(f"S{matrix.shape[1]}").reshape(-1)
