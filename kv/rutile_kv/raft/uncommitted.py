"""The proposals a leader has taken and not yet committed: a bound on what it keeps in memory for a majority that is
slow."""

from __future__ import annotations

from collections import deque


class UncommittedProposals:
    """Index and bytes of each proposal under way, oldest first. Empty entries cost nothing and are not kept."""

    __slots__ = ("_max_bytes", "_total_bytes", "_waiting")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[int, int]] = deque()
        self._total_bytes = 0

    def has_room(self, size_bytes: int) -> bool:
        """True if a proposal of that size may be taken; when none waits, one of any size may."""
        return not self._waiting or self._total_bytes + size_bytes <= self._max_bytes

    def add(self, index: int, size_bytes: int) -> None:
        if size_bytes:
            self._waiting.append((index, size_bytes))
            self._total_bytes += size_bytes

    def committed(self, index: int) -> None:
        """Everything up to `index` is committed."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= index:
            self._total_bytes -= waiting.popleft()[1]
