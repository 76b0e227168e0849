"""Cluster-wide unique numbers for stores, regions and peers.

As with timestamps, a number is given out only when an end above it is on disk; a restart skips what was left of the
last chunk.
"""

from rutile_proto.errors import InvalidRequest

CHUNK = 1_000
REFILL_BELOW = 500
"""A new chunk is wanted when fewer numbers than this are left."""
MAX_AT_ONCE = CHUNK


class IdAllocator:
    """Invariant: every number given out lies below `next`, which is at most the durable end."""

    def __init__(self, saved_end: int = 1) -> None:
        self._next = max(1, saved_end)
        self._end = self._next

    def take(self, count: int = 1) -> int | None:
        """The last of `count` new consecutive numbers; None if a new chunk must be made durable first.

        InvalidRequest when `count` is not in 1..1000.
        """
        if not 1 <= count <= MAX_AT_ONCE:
            raise InvalidRequest(f"{count} ids at once is outside 1..{MAX_AT_ONCE}")
        if not self.has(count):
            return None
        self._next += count
        return self._next - 1

    def has(self, count: int) -> bool:
        """Whether `take` would find as many."""
        return self._next + count <= self._end

    def end_to_save(self, count: int = 1) -> int | None:
        """The end to make durable next so that `count` can be taken, or None while enough are left."""
        left = self._end - self._next
        return self._end + CHUNK if left < max(count, REFILL_BELOW) else None

    def end_saved(self, end: int) -> None:
        """`end` is on disk now."""
        self._end = max(self._end, end)
