"""Latches: commands on common keys run one after another, in the order they came."""

from collections import deque
from collections.abc import Sequence


class Latches:
    """A first-in first-out queue per key; whoever is first in the queues of all its keys may run.

    A command joins all its queues in one step, so no two can wait for each other.
    """

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[int]] = {}
        self._missing: dict[int, int] = {}
        """How many keys a token still waits for."""

    def acquire(self, token: int, keys: Sequence[bytes]) -> bool:
        """Queue `token` for its keys (each named once); True if it has them all now."""
        missing = 0
        for key in keys:
            queue = self._queues.setdefault(key, deque())
            queue.append(token)
            missing += len(queue) > 1
        self._missing[token] = missing
        return missing == 0

    def release(self, token: int, keys: Sequence[bytes]) -> list[int]:
        """Give all keys of `token` back; the tokens that have all theirs now, in the order of `keys`."""
        assert self._missing.pop(token) == 0, f"{token} releases latches it does not hold"
        ready = []
        for key in keys:
            queue = self._queues[key]
            queue.popleft()
            if not queue:
                del self._queues[key]
                continue
            self._missing[queue[0]] -= 1
            if self._missing[queue[0]] == 0:
                ready.append(queue[0])
        return ready

    def __len__(self) -> int:
        """How many keys are latched."""
        return len(self._queues)
