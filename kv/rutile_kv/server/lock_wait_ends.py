"""Regions that leave: waits for their locks end, and locks that only this store's memory has are dropped.

Nobody here would hear of a release elsewhere, and a lock kept beyond the moment at which somebody else may let the key
be written would hide that it was (`txn.memory_locks`).
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.engine.api import Modify
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_kv.txn.memory_locks import MemoryLocks
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EpochNotMatch, NotLeader, RegionNotFound


class LockWaitEnds:
    """A raftstore.observer.ApplyObserver, told also which regions are not led from here any more."""

    def __init__(self, waiting: LockWaiting, memory_locks: MemoryLocks) -> None:
        self._waiting = waiting
        self._memory_locks = memory_locks

    def deposed(self, region_id: int) -> None:
        """Another store leads the region, or nobody does: whoever waits is sent there."""
        self._memory_locks.forget_region(region_id)
        self._waiting.end_region(region_id, NotLeader(region_id))

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """Released locks are the scheduler's to tell."""

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        """Whoever waits after a split is woken when the lock goes, and then learns of the new epoch."""
        self._memory_locks.region_changed(region)

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        """Only followers install snapshots; they have nobody who waits, and no locks."""

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        self._memory_locks.forget_region(source.id)
        self._waiting.end_region(source.id, EpochNotMatch(source.id, [target]))

    def on_log_cut(self, region: metapb.Region, index: int) -> None:
        """Of no matter: the log tells nothing of locks that are waited for."""

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self._memory_locks.forget_region(region.id)
        self._waiting.end_region(region.id, RegionNotFound(region.id))
