"""Which of this store's regions holds a key: initialised regions by start key. They never overlap."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from rutile_proto import metapb_pb2 as metapb


class RegionMap:
    """A sorted list of start keys beside a dict. An empty end key is infinity."""

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._regions: dict[bytes, metapb.Region] = {}

    def __iter__(self) -> Iterator[metapb.Region]:
        """Regions in key order."""
        return (self._regions[start] for start in self._starts)

    def put(self, region: metapb.Region) -> None:
        """Add a region, or replace the one with the same start key."""
        if region.start_key not in self._regions:
            insort(self._starts, region.start_key)
        self._regions[region.start_key] = region

    def remove(self, region: metapb.Region) -> None:
        """Forget a region if its entry is still this region's."""
        held = self._regions.get(region.start_key)
        if held is not None and held.id == region.id:
            del self._regions[region.start_key]
            del self._starts[bisect_left(self._starts, region.start_key)]

    def find(self, key: bytes) -> metapb.Region | None:
        """The region whose range holds `key`."""
        position = bisect_right(self._starts, key)
        if position == 0:
            return None
        region = self._regions[self._starts[position - 1]]
        return region if not region.end_key or key < region.end_key else None

    def overlapping(self, start: bytes, end: bytes) -> list[metapb.Region]:
        """Regions that share a key with [start, end), in key order; an empty end is infinity."""
        position = max(0, bisect_right(self._starts, start) - 1)
        found = []
        for candidate in self._starts[position:]:
            if end and candidate >= end:
                break
            region = self._regions[candidate]
            if not region.end_key or region.end_key > start:
                found.append(region)
        return found

    def left_neighbours(self, region: metapb.Region, limit: int) -> list[metapb.Region]:
        """Regions that join on to the left without a gap, nearest first: what a split cut off."""
        position = bisect_left(self._starts, region.start_key)
        found: list[metapb.Region] = []
        border = region.start_key
        while position > 0 and len(found) < limit:
            position -= 1
            left = self._regions[self._starts[position]]
            if left.end_key != border:
                break
            found.append(left)
            border = left.start_key
        return found
