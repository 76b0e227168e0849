"""One budget of time per operation, and how long to wait by the kind of failure.

An operation makes one `Backoff` and hands it down to everything it does. Each failure names its kind; waits of one kind
double from its base to its cap, half fixed and half random, so that callers which failed together do not return
together. When the next wait would end after the budget, `RetriesExhausted` carries the last cause to the caller.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rutile_kv.env.clock import Clock, SystemClock
from rutile_proto.errors import RetriesExhausted


@dataclass(frozen=True, slots=True)
class BackoffKind:
    """How one kind of failure is waited out."""

    name: str
    base_ms: float
    cap_ms: float
    free: int = 0
    """The first so many times cost no wait: the failure itself said where to go next."""
    most: int | None = None
    """At most so many waits of this kind whatever the budget says; None = as many as fit."""


# Moves between peers stay below a third of a second: nobody announces a new leader, and fail-over takes one or two.
REGION_MOVED = BackoffKind("region moved", 2, 200, free=1)
LEADER_MOVED = BackoffKind("leader moved", 2, 200, free=1)
LEADER_UNKNOWN = BackoffKind("no leader", 5, 200)
STORE_UNREACHABLE = BackoffKind("store unreachable", 10, 300, free=1)  # free: the next peer is another store
STORE_BROKE = BackoffKind("store failed inside", 20, 500, most=3)
STORE_BUSY = BackoffKind("store busy", 50, 2000)
NOT_READY = BackoffKind("region not ready", 2, 500)
LOCK_ALIVE = BackoffKind("lock held", 5, 400)
PD_FAILED = BackoffKind("placement driver failed", 20, 500)
COMMIT_TS_BEHIND = BackoffKind("commit timestamp pushed", 2, 200, free=1)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """Where waiting comes from: tests and simulations put their own clock, sleep and jitter in."""

    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], Awaitable[None]] = _sleep
    jitter: Callable[[], float] = random.random
    """A number of [0, 1)."""


class Backoff:
    """The waits of one operation, which may last `budget_s` seconds from now, its RPCs included."""

    def __init__(self, what: str, budget_s: float, pace: Pace) -> None:
        self.what = what
        self._pace = pace
        self._started = pace.clock.monotonic()
        self._budget_s = budget_s
        self._deadline = self._started + budget_s
        self._waits: dict[str, int] = {}

    def fork(self, what: str | None = None) -> Backoff:
        """The same deadline and the waits so far, counted on separately: for one of several branches side by side."""
        branch = Backoff(what or self.what, self.remaining_s, self._pace)
        branch._started, branch._deadline = self._started, self._deadline
        branch._waits = dict(self._waits)  # a branch that began anew would never come to wait long
        return branch

    def renewed(self) -> Backoff:
        """The whole budget anew, from now on: for a part of an operation of any length that is to get ahead."""
        return Backoff(self.what, self._budget_s, self._pace)

    @property
    def remaining_s(self) -> float:
        """Seconds left of the budget; never negative."""
        return max(0.0, self._deadline - self._pace.clock.monotonic())

    @property
    def spent_ms(self) -> int:
        """Milliseconds since the operation began."""
        return round((self._pace.clock.monotonic() - self._started) * 1000)

    def clip(self, timeout_s: float) -> float:
        """`timeout_s`, or what is left of the budget if that is less; at least 50 ms, enough for a last try."""
        return max(0.05, min(timeout_s, self.remaining_s))

    async def wait(
        self, kind: BackoffKind, cause: BaseException, *, at_least_ms: float = 0, at_most_ms: float = math.inf
    ) -> None:
        """Wait before the next try. RetriesExhausted, from `cause`, when the budget does not allow for it."""
        seen = self._waits.get(kind.name, 0)
        self._waits[kind.name] = seen + 1
        delay_s = min(max(self._delay_ms(kind, seen), at_least_ms), at_most_ms) / 1000
        if delay_s >= self.remaining_s or (kind.most is not None and seen >= kind.most):
            raise RetriesExhausted(self.what, self.spent_ms, cause) from cause
        await self._pace.sleep(delay_s)

    def _delay_ms(self, kind: BackoffKind, seen: int) -> float:
        if seen < kind.free:
            return 0.0
        full = min(kind.cap_ms, kind.base_ms * 2.0 ** min(seen - kind.free, 30))
        return full / 2 + full / 2 * self._pace.jitter()
