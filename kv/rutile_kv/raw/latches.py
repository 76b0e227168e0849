"""Latches in two strengths: many who do not look may hold a key together, one who looks holds it alone.

First come, first served, for each key: a newcomer waits behind whoever waits there already, so that a stream of puts
cannot keep a compare-and-swap out for ever. A token queues for all its keys in one step: no two wait for each other.
"""

from collections import deque
from collections.abc import Collection, Hashable
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
    """Tokens are numbers not used twice at a time; a token names each key once.

    A key has a queue only while somebody wants it alone. Until then those who share it are found by their tokens, so
    that a batch of writes costs one step, not one a key.
    """

    def __init__(self) -> None:
        self._sharers: dict[int, Collection[Hashable]] = {}
        """Tokens that share their keys, those that wait for some of them included."""
        self._loners: dict[int, Collection[Hashable]] = {}
        self._queues: dict[Hashable, _Queue] = {}
        self._missing: dict[int, int] = {}
        """How many keys a waiting token still waits for."""

    def acquire(self, token: int, keys: Collection[Hashable], *, alone: bool) -> bool:
        """Queue `token` for its keys; True if it holds them all now, False if `release` will name it.

        Whether a key is in `keys` should be quickly told: a dict is right for many.
        """
        if alone:
            self._open_queues(keys)
            self._loners[token] = keys
        else:
            self._sharers[token] = keys
        if not self._queues:
            return True
        missing = sum(not self._join(token, key, alone) for key in keys)
        if missing:
            self._missing[token] = missing
        return not missing

    def release(self, token: int) -> list[int]:
        """A token that holds all its keys gives them back; the tokens that hold all theirs because of that."""
        keys = self._sharers.pop(token, None) or self._loners.pop(token, ())
        if not self._queues:
            return []
        ready = []
        for key in keys:
            queue = self._queues.get(key)
            if queue is None:
                continue
            entered = queue.leave()
            if queue.holders == 0:
                del self._queues[key]
            ready += [other for other in entered if self._arrived(other)]
        return ready

    def _open_queues(self, keys: Collection[Hashable]) -> None:
        """From now on these keys have queues; those who share them already are in."""
        fresh = {key: _Queue() for key in keys if key not in self._queues}
        for shared in self._sharers.values():
            for key in shared if len(shared) < len(fresh) else fresh:
                if key in shared and key in fresh:
                    fresh[key].enter(alone=False)
        self._queues.update(fresh)

    def _join(self, token: int, key: Hashable, alone: bool) -> bool:
        """Enter the key, or wait for it; True if entered."""
        queue = self._queues.get(key)
        if queue is None:
            return True
        if not queue.waiting and queue.admits(alone):
            queue.enter(alone)
            return True
        queue.waiting.append((token, alone))
        return False

    def _arrived(self, token: int) -> bool:
        self._missing[token] -= 1
        if self._missing[token]:
            return False
        del self._missing[token]
        return True

    def __len__(self) -> int:
        """How many tokens hold keys or wait for them."""
        return len(self._sharers) + len(self._loners)
