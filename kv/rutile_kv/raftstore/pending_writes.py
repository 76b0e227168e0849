"""Writes that came since the last round. In the round they become as few log entries as fit."""

from collections.abc import Sequence

from rutile_kv.engine.api import Modify
from rutile_kv.raftstore.commands import modify_size_bytes


class PendingWrites:
    """A queue in arrival order; false when empty."""

    def __init__(self) -> None:
        self._queue: list[tuple[object, Sequence[Modify], int]] = []

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, token: object, modifies: Sequence[Modify]) -> int:
        """Queue a write; returns about how many bytes it takes in the log."""
        size_bytes = modify_size_bytes(modifies)
        self._queue.append((token, modifies, size_bytes))
        return size_bytes

    def take_back(self) -> None:
        """Forget the last write that was added."""
        self._queue.pop()

    def take_groups(self, max_bytes: int) -> list[tuple[list[object], list[Modify]]]:
        """Everything, as (who waits, what to change) in groups of at most `max_bytes`; a larger write is one alone."""
        groups: list[tuple[list[object], list[Modify]]] = []
        room = 0
        for token, modifies, size_bytes in self._queue:
            if not groups or size_bytes > room:
                groups.append(([], []))
                room = max_bytes
            groups[-1][0].append(token)
            groups[-1][1].extend(modifies)
            room -= size_bytes
        self._queue.clear()
        return groups

    def take_tokens(self) -> list[object]:
        """Everybody who waits; their writes are forgotten."""
        tokens = [token for token, _, _ in self._queue]
        self._queue.clear()
        return tokens
