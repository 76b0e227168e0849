"""Ends waits for locks where the locks have gone elsewhere: nobody here would hear of their release."""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.engine.api import Modify
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EpochNotMatch, RegionNotFound


class LockWaitEnds:
    """A raftstore.observer.ApplyObserver: who waits in a region that merges or leaves the store is sent on."""

    def __init__(self, waiting: LockWaiting) -> None:
        self._waiting = waiting

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """Released locks are the scheduler's to tell."""

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        """After a split the locks are still here: whoever waits is woken, and then learns of the new epoch."""

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        """Only followers install snapshots; they have nobody who waits."""

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        self._waiting.end_region(source.id, EpochNotMatch(source.id, [target]))

    def on_region_destroyed(self, region: metapb.Region) -> None:
        self._waiting.end_region(region.id, RegionNotFound(region.id))
