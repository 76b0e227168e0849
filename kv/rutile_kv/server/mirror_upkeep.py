"""Tells the mirror what is applied: its deltas live on it, and it forgets regions that change their range (split or
merge), are replaced by a snapshot, or leave the store.

Every replica is told, leader or not, so followers serve analytical reads from mirrors of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.engine.api import Modify
from rutile_proto import metapb_pb2 as metapb


class MirrorUpkeep:
    """An ApplyObserver for the cache."""

    def __init__(self, cache: ArrowCache) -> None:
        """From now on the cache counts on it: observe the store with it before anything is read."""
        self._cache = cache
        cache.follow()

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        self._cache.applied(region.id, index, modifies)

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        if came_from is not None and came_from.region_epoch.version != region.region_epoch.version:
            self._cache.drop_region(came_from.id)

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        self._cache.drop_region(region.id)

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        self._cache.drop_region(source.id)

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self._cache.drop_region(region.id)
