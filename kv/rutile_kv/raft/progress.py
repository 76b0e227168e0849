"""What a leader knows of one peer, and how fast it sends to it.

PROBE      where the logs agree is not known: one APPEND per round trip or heartbeat
REPLICATE  it is known: APPENDs follow each other without waiting, up to a window (thesis §10.2.1, pipelining)
SNAPSHOT   the entries it needs are compacted: nothing, until the snapshot is reported or acknowledged

PROBE ── acknowledged ─▶ REPLICATE ── refused, unreachable ─▶ PROBE;  both ── needs compacted entries ─▶ SNAPSHOT
SNAPSHOT ── reported ─▶ PROBE;  SNAPSHOT ── caught up with the log ─▶ REPLICATE
"""

from __future__ import annotations

from collections import deque
from enum import Enum


class ProgressState(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Inflights:
    """The APPENDs sent and not answered, oldest first: the last index and the bytes of each."""

    __slots__ = ("_max_bytes", "_max_count", "_sent", "_total_bytes")

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._max_count, self._max_bytes = max_count, max_bytes
        self._sent: deque[tuple[int, int]] = deque()
        self._total_bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def is_full(self) -> bool:
        return len(self._sent) >= self._max_count or self._total_bytes >= self._max_bytes

    def add(self, last_index: int, size_bytes: int) -> None:
        assert not self.is_full, "nothing is sent through a full window"
        self._sent.append((last_index, size_bytes))
        self._total_bytes += size_bytes

    def free_to(self, index: int) -> None:
        """Everything up to `index` was answered."""
        sent = self._sent
        while sent and sent[0][0] <= index:
            self._total_bytes -= sent.popleft()[1]

    def clear(self) -> None:
        self._sent.clear()
        self._total_bytes = 0


class Progress:
    """One peer's `match` and `next` (paper Figure 2: matchIndex, nextIndex) and the flow towards it."""

    __slots__ = (
        "acknowledged_round",
        "inflights",
        "last_active_tick",
        "match",
        "next",
        "pending_snapshot",
        "probe_sent",
        "recent_active",
        "sent_commit",
        "snapshot_floor",
        "state",
    )

    def __init__(self, next_index: int, inflights: Inflights, tick: int, snapshot_floor: int) -> None:
        self.match = 0
        """The highest index known to be durable at the peer."""
        self.next = next_index
        """The index of the next entry to send; above `match`."""
        self.state = ProgressState.PROBE
        self.probe_sent = False
        """PROBE only: an APPEND is under way, wait for its answer or for the next heartbeat's."""
        self.pending_snapshot = 0
        """SNAPSHOT only: the index of the snapshot under way."""
        self.snapshot_floor = snapshot_floor
        """A snapshot for it must cover at least this, so that its configuration has the peer."""
        self.inflights = inflights
        self.sent_commit = 0
        """The commit index the peer was last told."""
        self.recent_active = True
        """Whether it was heard since the last check of the quorum; at first it gets the benefit of the doubt."""
        self.last_active_tick = tick
        self.acknowledged_round = 0
        """The highest heartbeat round it answered."""

    @property
    def is_paused(self) -> bool:
        """True if nothing may be sent now."""
        if self.state is ProgressState.REPLICATE:
            return self.inflights.is_full
        return self.probe_sent or self.state is ProgressState.SNAPSHOT

    def heard(self, tick: int) -> None:
        """The peer answered something."""
        self.recent_active = True
        self.last_active_tick = tick

    # --- transitions --------------------------------------------------------------------------------------------------

    def become_probe(self) -> None:
        """Find out where the logs agree; after a snapshot, from behind it."""
        after_snapshot = self.pending_snapshot if self.state is ProgressState.SNAPSHOT else 0
        self._enter(ProgressState.PROBE)
        self.next = max(self.match, after_snapshot) + 1

    def become_replicate(self) -> None:
        """The logs agree up to `match`: send on without waiting."""
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """A snapshot up to `index` is under way."""
        assert index > 0, "an empty snapshot brings nobody on"
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index

    def _enter(self, state: ProgressState) -> None:
        assert self.next > self.match, f"next {self.next} must be above match {self.match}"
        self.state = state
        self.probe_sent = False
        self.pending_snapshot = 0
        self.inflights.clear()

    # --- news ---------------------------------------------------------------------------------------------------------

    def sent(self, last_index: int, size_bytes: int) -> None:
        """An APPEND with entries up to `last_index` (0: without entries) was sent."""
        if self.state is ProgressState.PROBE:
            self.probe_sent = True
        elif last_index:
            self.next = last_index + 1
            self.inflights.add(last_index, size_bytes)

    def acknowledge(self, index: int) -> bool:
        """The peer has everything up to `index`. Returns whether that is news."""
        self.next = max(self.next, index + 1)
        if index <= self.match:
            return False
        self.match = index
        self.probe_sent = False
        return True

    def refuse(self, index: int, may_agree: int) -> bool:
        """The peer has no matching entry at `index`, but perhaps at `may_agree`. Returns False if that is old news."""
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self.become_probe()
            return True
        if self.state is ProgressState.SNAPSHOT or self.next - 1 != index:
            return False
        self.next = max(min(index, may_agree + 1), self.match + 1)
        self.probe_sent = False
        return True

    def snapshot_failed(self) -> None:
        """The snapshot did not arrive: begin again from what is known."""
        self.pending_snapshot = 0
