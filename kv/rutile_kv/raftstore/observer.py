"""Who wants to hear what is applied: the columnar mirror, watchers.

Called while a round is put together, in apply order and in the store's own turn: the round's batch is written before
the turn ends, so an observer may note things down at once but must not read the engine for them. If that write fails
the store stops for good, so nothing has to be taken back. Observers must be quick and must not raise.
"""

from collections.abc import Sequence
from typing import Protocol

from rutile_kv.engine.api import Modify
from rutile_proto import metapb_pb2 as metapb


class ApplyObserver(Protocol):
    """Told by every replica, leader or not."""

    def on_applied(self, region: metapb.Region, index: int, modifies: Sequence[Modify]) -> None:
        """The changes of log entry `index` were made, in this order."""

    def on_region_changed(self, region: metapb.Region, came_from: metapb.Region | None) -> None:
        """The region has other members or another range now; `came_from` is what it was, or for a new region the one it
        was split from (None when this store did not have it)."""

    def on_snapshot_installed(self, region: metapb.Region, index: int) -> None:
        """All data of the region was replaced; it is that of log entry `index`."""

    def on_region_merged(self, source: metapb.Region, target: metapb.Region, index: int) -> None:
        """`source`, of which everything was applied before, is gone: its keys belong to `target`, which is what that
        region is from its log entry `index` on. `on_region_changed` of the target follows."""

    def on_log_cut(self, region: metapb.Region, index: int) -> None:
        """Entry `index`, which changes nothing, cuts the region's log: of what was applied before it, and told, some
        will not be found there any more."""

    def on_region_destroyed(self, region: metapb.Region) -> None:
        """This store no longer holds the region."""
