"""Sets of key ranges: [start, end) of user keys, where an empty end is the end of the key space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rutile_proto import coprocessor_pb2 as coprocessor

KeyRange = tuple[bytes, bytes]


def from_pb(ranges: Iterable[coprocessor.KeyRange]) -> list[KeyRange]:
    return [(bounds.start, bounds.end) for bounds in ranges]


def intersect(left: Sequence[KeyRange], right: Sequence[KeyRange]) -> list[KeyRange]:
    """What lies in both sets: disjoint, ascending. The sets themselves may overlap and come in any order."""
    if len(left) == len(right) == 1:  # what most tables and regions are; a query asks for every pair of them
        both = _overlap(left[0], right[0])
        return [] if both is None else [both]
    mine, others = merge(left), merge(right)
    found, at, beside = list[KeyRange](), 0, 0
    while at < len(mine) and beside < len(others):
        both = _overlap(mine[at], others[beside])
        if both is not None:
            found.append(both)
        if _earlier(mine[at][1], others[beside][1]) == mine[at][1]:
            at += 1
        else:
            beside += 1
    return found


def merge(ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """The same set as disjoint, ascending ranges that do not touch."""
    merged: list[KeyRange] = []
    for start, end in sorted(ranges):
        if merged and (not merged[-1][1] or start <= merged[-1][1]):
            merged[-1] = (merged[-1][0], _later(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _overlap(one: KeyRange, other: KeyRange) -> KeyRange | None:
    start, end = max(one[0], other[0]), _earlier(one[1], other[1])
    return (start, end) if not end or start < end else None


def _earlier(one: bytes, other: bytes) -> bytes:
    return min(one, other) if one and other else one or other


def _later(one: bytes, other: bytes) -> bytes:
    return max(one, other) if one and other else b""
