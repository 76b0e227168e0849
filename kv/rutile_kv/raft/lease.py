"""Heartbeat rounds: what the answers of a majority prove, and for how long (thesis §6.4, §6.4.1).

Each broadcast of heartbeats is a numbered round, and peers echo the number. When a majority has answered round n, no
other leader had been elected when round n began: that confirms reads. And as each of them ignores candidates for an
election timeout from then on, none will be elected soon: that is the lease. It is dated from when the round *began*.

    the leader's clock in ticks:  began ······ answered by a majority ·········│ lease ends │ margin │
    a voter's:                         └ heard: ignores candidates for election_timeout_ticks ───────┘
"""

from __future__ import annotations

from collections import deque

NEVER = -(1 << 62)
"""A tick before all others."""


class HeartbeatRounds:
    """The rounds of one leadership and the newest one confirmed."""

    __slots__ = ("_began", "_horizon_ticks", "confirmed_tick", "last")

    def __init__(self, horizon_ticks: int) -> None:
        """Rounds older than `horizon_ticks` cannot carry a lease and are forgotten."""
        self.last = 0
        """The number of the newest round."""
        self.confirmed_tick = NEVER
        """When the newest round a majority answered began."""
        self._horizon_ticks = horizon_ticks
        self._began: deque[tuple[int, int]] = deque()
        """(first round, tick) for each tick in which rounds began, oldest first."""

    def begin(self, tick: int) -> int:
        """Begin a round and return its number."""
        self.last += 1
        if not self._began or self._began[-1][1] != tick:
            self._began.append((self.last, tick))
        while self._began[0][1] < tick - self._horizon_ticks:
            self._began.popleft()
        return self.last

    def confirm(self, number: int) -> None:
        """A majority answered round `number` or a later one."""
        while self._began and self._began[0][0] <= number:
            self.confirmed_tick = max(self.confirmed_tick, self._began.popleft()[1])

    def forget(self) -> None:
        """Nothing confirmed so far counts any more: the majority is another one now."""
        self.confirmed_tick = NEVER
        self._began.clear()
