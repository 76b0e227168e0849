"""Time, in two kinds: `monotonic` for how long, `wall_ms` for when."""

import time
from typing import Protocol


class Clock(Protocol):
    """What shells ask for the time."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back, means nothing to another process."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds; may jump either way when somebody sets the clock."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told to move. Both kinds advance together; only the wall can be set."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self._monotonic_s = 0.0
        self._wall_ms = float(wall_ms)

    def monotonic(self) -> float:
        return self._monotonic_s

    def wall_ms(self) -> int:
        return int(self._wall_ms)

    def advance(self, seconds: float) -> None:
        """Let time pass; ValueError for a negative amount, which only `set_wall_ms` may bring about."""
        if seconds < 0:
            raise ValueError(f"time does not pass by {seconds} s")
        self._monotonic_s += seconds
        self._wall_ms += seconds * 1000

    def set_wall_ms(self, wall_ms: int) -> None:
        """What an administrator or a bad time server does: the wall jumps, the monotonic clock does not notice."""
        self._wall_ms = float(wall_ms)
