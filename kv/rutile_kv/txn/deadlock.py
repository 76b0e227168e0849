"""Deadlock detection: a graph of who waits for whom, asked at each new wait whether it closes a circle.

The graph of the whole cluster is kept in one place, by the leader of the region that holds the empty key; all stores
report their waits there. It lives in memory only: a new detector begins empty, and the stores tell it what they know.
A wait that nobody ends (its store died) is forgotten after `TTL_MS`, as no wait lasts that long.
"""

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b

from rutile_proto.values import valueclass

TTL_MS = 30_000
MAX_WAITS = 200_000
"""Waits kept. Beyond it the expired are dropped, and if that is not enough, new ones are not kept."""


def key_hash(key: bytes) -> int:
    """64 bits that stand for a user key. Only ever compared with each other."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


@valueclass
class WaitFor:
    """Transaction `waiter` waits until transaction `holder` lets go of `key`."""

    waiter: int
    holder: int
    key: bytes

    @property
    def key_hash(self) -> int:
        return key_hash(self.key)


@valueclass
class Cycle:
    """A circle of waits."""

    closing: WaitFor
    """The wait that closed it: its waiter is the victim."""
    chain: tuple[WaitFor, ...]
    """From the victim round to itself: each waits for the next, the last for the victim. `closing` comes first."""

    @property
    def deadlock_key_hash(self) -> int:
        """Of the key that the victim holds and the last of the chain waits for."""
        return self.chain[-1].key_hash


class WaitForGraph:
    """Waits by waiter, each with the time it was last told of. Both dicts keep insertion order: answers repeat."""

    def __init__(self) -> None:
        self._waits: dict[int, dict[WaitFor, int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[WaitFor]:
        return (wait for waits in self._waits.values() for wait in waits)

    def detect(self, wait: WaitFor, now_ms: int) -> Cycle | None:
        """The circle that `wait` would close; it is not kept then. Otherwise keep it, and None."""
        if wait.waiter == wait.holder:
            return None
        path = self._path(wait.holder, wait.waiter, now_ms)
        if path is not None:
            return Cycle(wait, (wait, *path))
        self._keep(wait, now_ms)
        return None

    def end_wait(self, wait: WaitFor) -> None:
        """Forget one wait."""
        waits = self._waits.get(wait.waiter)
        if waits is not None and waits.pop(wait, None) is not None:
            self._count -= 1
            if not waits:
                del self._waits[wait.waiter]

    def end_waiter(self, waiter: int) -> None:
        """Forget every wait of a transaction."""
        self._count -= len(self._waits.pop(waiter, ()))

    def clear(self) -> None:
        self._waits.clear()
        self._count = 0

    def _keep(self, wait: WaitFor, now_ms: int) -> None:
        waits = self._waits.get(wait.waiter)
        known = waits is not None and wait in waits
        if not known and self._count >= MAX_WAITS:
            self._expire(now_ms)
            if self._count >= MAX_WAITS:
                return
        self._waits.setdefault(wait.waiter, {})[wait] = now_ms
        self._count += not known

    def _path(self, start: int, goal: int, now_ms: int) -> tuple[WaitFor, ...] | None:
        """The shortest chain of waits from `start` to `goal`; None if there is none."""
        came_by: dict[int, WaitFor | None] = {start: None}
        queue = deque([start])
        while queue:
            for wait, told_ms in self._waits.get(queue.popleft(), {}).items():
                if now_ms - told_ms >= TTL_MS or wait.holder in came_by:
                    continue
                came_by[wait.holder] = wait
                if wait.holder == goal:
                    return _walk_back(came_by, goal)
                queue.append(wait.holder)
        return None

    def _expire(self, now_ms: int) -> None:
        expired = [wait for waits in self._waits.values() for wait, at in waits.items() if now_ms - at >= TTL_MS]
        for wait in expired:
            self.end_wait(wait)


def _walk_back(came_by: dict[int, WaitFor | None], goal: int) -> tuple[WaitFor, ...]:
    path: list[WaitFor] = []
    wait = came_by[goal]
    while wait is not None:
        path.append(wait)
        wait = came_by[wait.waiter]
    return tuple(reversed(path))
