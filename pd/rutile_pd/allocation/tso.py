"""The timestamp oracle: never the same timestamp twice, never one below an earlier one.

The core gives out timestamps only below a limit that is on disk. Its shell keeps the limit ahead of time:

    wanted = oracle.limit_to_save(now_ms)      # None while enough is left
    ... write `wanted` durably ...
    oracle.limit_saved(wanted)

After a restart everything starts at the saved limit, above whatever the last life can have given out. The machine's
clock only ever pushes the oracle forward: when it jumps back, the counter goes on from the highest time seen.
Facts: wire.md 7.1 (18 bits of counter, a window of 3 s, an answer is the largest of its batch).
"""

from rutile_proto.errors import InvalidRequest
from rutile_proto.timestamps import LOGICAL_LIMIT, compose
from rutile_proto.types import Timestamp

WINDOW_MS = 3_000
"""How far ahead of the clock the durable limit is set."""
REFRESH_MS = 1_500
"""A new limit is wanted when less than this is left."""


class TimestampOracle:
    """Invariant: every timestamp given out lies below (physical, counter), and physical below the durable limit."""

    def __init__(self, saved_limit_ms: int = 0) -> None:
        self._limit_ms = saved_limit_ms
        self._physical_ms = saved_limit_ms
        self._counter = 0

    @property
    def limit_ms(self) -> int:
        """The durable limit: the physical part of every timestamp given out is below it."""
        return self._limit_ms

    def take(self, count: int, now_ms: int) -> Timestamp | None:
        """The largest of `count` new consecutive timestamps; None if the durable limit must be raised first.

        InvalidRequest when `count` is not in 1..262144.
        """
        if not 1 <= count <= LOGICAL_LIMIT:
            raise InvalidRequest(f"{count} timestamps at once is outside 1..{LOGICAL_LIMIT}")
        physical_ms, counter = self._next(count, now_ms)
        if physical_ms >= self._limit_ms:
            return None
        self._physical_ms, self._counter = physical_ms, counter + count
        return compose(physical_ms, counter + count - 1)

    def limit_to_save(self, now_ms: int) -> int | None:
        """The limit to make durable next, or None while enough time is left below the present one."""
        base_ms = max(now_ms, self._physical_ms)
        return base_ms + WINDOW_MS if self._limit_ms - base_ms < REFRESH_MS else None

    def limit_saved(self, limit_ms: int) -> None:
        """`limit_ms` is on disk now."""
        self._limit_ms = max(self._limit_ms, limit_ms)

    def _next(self, count: int, now_ms: int) -> tuple[int, int]:
        """The physical part and first counter for a batch. A full millisecond borrows from the next one."""
        if now_ms > self._physical_ms:
            return now_ms, 0
        if self._counter + count > LOGICAL_LIMIT:
            return self._physical_ms + 1, 0
        return self._physical_ms, self._counter
