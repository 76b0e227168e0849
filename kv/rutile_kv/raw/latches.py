"""Latches in two strengths: many who do not look may hold a key together, one who looks holds it alone.

First come, first served, for each key: a newcomer waits behind whoever waits there already, so that a stream of puts
cannot keep a compare-and-swap out for ever. A token queues for all its keys in one step: no two wait for each other.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Queue:
    """Who holds a key (all alone if `alone`), and who waits for it: (token, wants it alone)."""

    holders: int = 0
    alone: bool = False
    waiting: deque[tuple[int, bool]] = field(default_factory=deque)

    def admits(self, alone: bool) -> bool:
        return self.holders == 0 or not (alone or self.alone)

    def enter(self, alone: bool) -> None:
        self.holders += 1
        self.alone = alone

    def leave(self) -> list[int]:
        """One holder goes; those who may enter now have entered."""
        self.holders -= 1
        entered = []
        while self.waiting and self.admits(self.waiting[0][1]):
            token, alone = self.waiting.popleft()
            self.enter(alone)
            entered.append(token)
        return entered


class Latches:
    """Tokens are numbers not used twice at a time; a token names each key once."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Queue] = {}
        self._missing: dict[int, int] = {}
        """How many keys a waiting token still waits for."""

    def acquire(self, token: int, keys: Sequence[Hashable], *, alone: bool) -> bool:
        """Queue `token` for its keys; True if it holds them all now, False if `release` will name it."""
        missing = 0
        for key in keys:
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = _Queue()
            if not queue.waiting and queue.admits(alone):
                queue.enter(alone)
            else:
                queue.waiting.append((token, alone))
                missing += 1
        if missing:
            self._missing[token] = missing
        return not missing

    def release(self, keys: Sequence[Hashable]) -> list[int]:
        """A token that holds all of `keys` gives them back; the tokens that hold all theirs because of that."""
        ready = []
        for key in keys:
            queue = self._queues[key]
            entered = queue.leave()
            if queue.holders == 0:
                del self._queues[key]
            ready += [token for token in entered if self._arrived(token)]
        return ready

    def _arrived(self, token: int) -> bool:
        self._missing[token] -= 1
        if self._missing[token]:
            return False
        del self._missing[token]
        return True

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._queues)
