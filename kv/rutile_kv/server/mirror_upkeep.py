"""Gives the mirror's memory back when a region changes its range or leaves the store.

Nothing depends on it: a base is only ever used under the region epoch and data version it was made for. But what no
read will ask for again would otherwise stay until the budget is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.engine.api import Modify
from rutile_proto import metapb_pb2 as metapb


class MirrorUpkeep:
    """An ApplyObserver for the cache."""

    def __init__(self, cache: ArrowCache) -> None:
        self._cache = cache

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """The data version has moved on: the next look-up drops the base, and may replace it."""

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        if came_from is not None and came_from.region_epoch.version != region.region_epoch.version:
            self._cache.drop_region(came_from.id)

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        self._cache.drop_region(region.id)

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self._cache.drop_region(region.id)
