"""max_ts: the newest timestamp anything was read at on this store.

A transaction with async commit picks a commit_ts above it, so that no reader that finished has missed the commit. A new
leader does not know what the old one let read; until it has been given a fresh timestamp from PD for a region (newer
than any read before), it answers 0 there, and async commit falls back to two phases.
"""


class MaxTs:
    """One number a store, and the regions for which it may be trusted."""

    def __init__(self) -> None:
        self._newest = 0
        self._synced_regions: set[int] = set()

    @property
    def newest(self) -> int:
        """The newest timestamp read at here since the start."""
        return self._newest

    def raise_to(self, ts: int) -> None:
        """A read at `ts` begins. MAX_TIMESTAMP is not a moment and does not count: such a reader sees what is there."""
        if self._newest < ts < _NEWEST_POSSIBLE:
            self._newest = ts

    def sync_region(self, region_id: int, fresh_ts: int) -> None:
        """This store leads the region, and took `fresh_ts` from PD after it began to."""
        self.raise_to(fresh_ts)
        self._synced_regions.add(region_id)

    def forget_region(self, region_id: int) -> None:
        """This store does not lead the region any more."""
        self._synced_regions.discard(region_id)

    def for_region(self, region_id: int) -> int:
        """The newest timestamp the region was read at by anybody, or 0 if that is not known."""
        return self._newest if region_id in self._synced_regions else 0


_NEWEST_POSSIBLE = (1 << 64) - 1
