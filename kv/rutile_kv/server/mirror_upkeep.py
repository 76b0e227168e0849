"""Tells the mirror what is applied: its deltas live on it, a split cuts it, a merge joins it, and it forgets regions
that are replaced by a snapshot or leave the store.

Every replica is told, leader or not, so followers serve analytical reads from mirrors of their own. Before a region's
log is cut, the journals beside the files of its bases take over what it tells of them.

A split is told as the change of the region that goes on, then its children one by one; a merge as the end of the
source, then the change of the target; all in one turn of the store. Between the two this class holds on to what is to
be handed over: to the children the mirror of the whole region, to the target that of the source.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.journals import Journals
from rutile_kv.columnar.parts import RegionMirror
from rutile_kv.engine.api import Modify
from rutile_kv.raftstore.peer_storage import INITIAL_INDEX
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import MalformedEncoding

log = logging.getLogger(__name__)


class MirrorUpkeep:
    """An ApplyObserver for the cache."""

    def __init__(self, cache: ArrowCache, files: MirrorFiles | None = None, journals: Journals | None = None) -> None:
        """From now on the cache counts on it: observe the store with it before anything is read."""
        self._cache = cache
        self._files = files
        self._journals = journals or Journals()
        self._splitting: RegionMirror | None = None
        self._absorbed: tuple[RegionMirror, int] | None = None
        cache.follow()

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        self._splitting = None
        self._cache.applied(region.id, index, modifies)
        self._journals.applied(region.id, index, modifies)

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        if came_from is None or came_from.region_epoch.version == region.region_epoch.version:
            return
        self._journals.drop_region(region.id)
        try:
            self._change_range(region, came_from)
        except MalformedEncoding:  # a border among keys that are none of ours: there are no rows to mirror beside it
            log.info("the mirror of region %d is dropped: its border is no encoded key", came_from.id)
            self._cache.drop_region(region.id)

    def _change_range(self, region: metapb.Region, before: metapb.Region) -> None:
        if region.id != before.id:
            whole = self._splitting
            if whole is not None and whole.region.id == before.id:
                self._cache.adopt(whole.within(region).renumbered(INITIAL_INDEX))
            return
        whole, absorbed = self._cache.take(before), self._absorbed
        self._splitting = self._absorbed = None
        if absorbed is not None:
            taken, index = absorbed
            self._cache.adopt(whole.join(taken, region, index))
        elif whole.tables:
            self._splitting = whole
            self._cache.adopt(whole.within(region))

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        self._forget(region)

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        self._absorbed = self._cache.take(source), index
        self._journals.drop_region(source.id)

    def on_log_cut(self, region: metapb.Region, index: int) -> None:
        self._journals.write(region.id, index)

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self._forget(region)

    def _forget(self, region: metapb.Region) -> None:
        """On disk too, at once: the log would not tell that the rows are others now."""
        self._cache.drop_region(region.id)
        self._journals.drop_region(region.id)
        if self._files is not None:
            self._files.forget_region(region.id)
