"""How a peer behaves: the numbers of its timers and its bounds, and where its randomness comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from rutile_proto.errors import InvalidRequest


class Randomness(Protocol):
    """The only source of chance; a seeded `random.Random` is one."""

    def randint(self, low: int, high: int, /) -> int:
        """A number in [low, high]."""


@dataclass(frozen=True, slots=True)
class Config:
    """One peer's settings. Times are in ticks (the caller decides how long a tick is), sizes in bytes."""

    id: int
    applied: int = 0
    """The last index whose effects are already in the state machine, as of a restart; the storage's ConfState is of
    it."""
    election_timeout_ticks: int = 10
    """Silence after which a follower campaigns; each time a number in [this, 2 * this) is drawn (paper §5.2)."""
    heartbeat_ticks: int = 2
    pre_vote: bool = True
    """Ask whether an election could be won before starting one (thesis §9.6)."""
    check_quorum: bool = True
    """A leader that hears no majority steps down, and voters that hear a leader ignore candidates (thesis §6.2,
    §4.2.3)."""
    defer_commit_news: bool = False
    """That entries are committed is told to followers with the next entries, or with the next heartbeat, not by
    messages of its own: half as many where proposals follow each other. `RawNode.announce_commit` tells it at once, and
    so does a ReadIndex round."""
    lease_margin_ticks: int = 3
    """Off the election timeout when a lease is dated: two ticks because clocks tick in steps, the rest for drift."""
    fresh: bool = False
    """True when this peer is being created right now by bootstrap or split: it cannot have acknowledged a leader
    before, so it may vote at once. A restarted peer must first sit out an election timeout, lest it breaks a lease."""
    max_entry_bytes: int = 1 << 20
    """Of entries in one APPEND; a single larger entry still travels, alone."""
    max_committed_bytes: int = 16 << 20
    """Of committed entries in one Ready; a single larger entry is still handed out, alone."""
    max_inflight: int = 256
    """Of unanswered APPENDs to one peer."""
    max_inflight_bytes: int = 64 << 20
    """Of entries in unanswered APPENDs to one peer."""
    max_uncommitted_bytes: int = 256 << 20
    """Of proposals that wait to be committed; further ones are dropped."""
    max_pending_reads: int = 16384
    """Of ReadIndex requests that wait for confirmation; further ones are dropped."""

    def __post_init__(self) -> None:
        if self.id <= 0:
            raise InvalidRequest(f"peer id {self.id}: must be above 0")
        if not 0 < self.heartbeat_ticks < self.election_timeout_ticks:
            raise InvalidRequest(
                f"heartbeat_ticks {self.heartbeat_ticks} must be above 0 and below"
                f" election_timeout_ticks {self.election_timeout_ticks}"
            )
        if self.max_inflight < 1:
            raise InvalidRequest(f"max_inflight {self.max_inflight}: must be at least 1")
