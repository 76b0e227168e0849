"""Clocks that can be wrong."""

from __future__ import annotations

import asyncio

from rutile_kv.env.clock import Clock

EPOCH_MS = 1_700_000_000_000


class LoopClock:
    """A loop's time, as both kinds of it: on a VirtualLoop, simulated time. Any thread may ask."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ms(self) -> int:
        return EPOCH_MS + round(self.monotonic() * 1000)


class SkewedClock:
    """Another clock, wrong by as much as a test likes."""

    def __init__(self, true: Clock) -> None:
        self._true = true
        self.ahead_s = 0.0
        """How far the wall clock is ahead; may be negative. Setting it makes the clock jump, as people do."""
        self._rate = 1.0
        self._since_true_s = self._since_s = true.monotonic()

    @property
    def rate(self) -> float:
        """Its seconds per true second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._since_s, self._since_true_s, self._rate = self.monotonic(), self._true.monotonic(), rate

    def monotonic(self) -> float:
        return self._since_s + (self._true.monotonic() - self._since_true_s) * self._rate

    def wall_ms(self) -> int:
        drifted_s = self.monotonic() - self._true.monotonic()
        return self._true.wall_ms() + round((self.ahead_s + drifted_s) * 1000)
