"""Regions that came out of a split not long ago: they are small, and about to be filled."""


class RecentRegions:
    """When each was seen first; forgotten after `keep_ms`. Everything counts as recent before PD has run so long."""

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms
        self._seen_ms: dict[int, int] = {}

    def note(self, region_id: int, now_ms: int) -> None:
        """The region has just been split off, or was split."""
        self._seen_ms.pop(region_id, None)
        self._seen_ms[region_id] = now_ms

    def is_recent(self, region_id: int, keep_ms: float, now_ms: int) -> bool:
        """Whether it was split in the last `keep_ms`, or may have been before PD started."""
        return now_ms - self._seen_ms.get(region_id, self._started_ms) < keep_ms

    def forget_old(self, keep_ms: float, now_ms: int) -> None:
        """Drop what is not recent any more; the oldest are first."""
        while self._seen_ms:
            region_id = next(iter(self._seen_ms))
            if now_ms - self._seen_ms[region_id] < keep_ms:
                return
            del self._seen_ms[region_id]
