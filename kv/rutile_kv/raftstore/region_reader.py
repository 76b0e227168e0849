"""A reader that sees one region and nothing beside it, like the engine but with walls.

A store keeps many regions in one engine, and a neighbour's data may be older than what its leader has elsewhere. So a
request reads only through this: a scan ends at the region's border, a get beyond it is KeyNotInRegion.
"""

from collections.abc import Iterator
from typing import Self

from rutile_kv.engine.api import Cf, Reader, Snapshot
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import KeyNotInRegion


class RegionReader:
    """The Reader protocol confined to `region`."""

    __slots__ = ("_end", "_reader", "_start", "region")

    def __init__(self, reader: Reader, region: metapb.Region) -> None:
        self._reader = reader
        self._start = region.start_key
        self._end = region.end_key or None
        self.region = region

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        if key < self._start or (self._end is not None and key >= self._end):
            raise KeyNotInRegion(key, self.region.id, self._start, self._end or b"")
        return self._reader.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """The part of [start, end) that lies in the region."""
        low = max(start, self._start)
        high = self._end if end is None else end if self._end is None else min(end, self._end)
        if high is not None and low >= high:
            return iter(())
        return self._reader.scan(cf, low, high, reverse=reverse)


class RegionSnapshot(RegionReader):
    """The Snapshot protocol confined to a region; closing it closes the engine's."""

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Snapshot, region: metapb.Region) -> None:
        super().__init__(snapshot, region)
        self._snapshot = snapshot

    def close(self) -> None:
        self._snapshot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
