"""What a majority has agreed on: in one set of voters, and in the two of a joint configuration.

Three questions are asked of a quorum, and they are one: up to which number has a majority acknowledged? The number is a
log index when the leader commits (paper §5.3, §5.4.2), or the number of a heartbeat round when it confirms reads and
dates its lease (thesis §6.4). Votes (paper §5.2) are the same with yes and no. A joint configuration needs both
majorities for each (thesis §4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from rutile_kv.raft.messages import ConfState

EVERYTHING = (1 << 63) - 1
"""What nobody has acknowledged: an empty half of a configuration never holds the other one back."""


class VoteResult(Enum):
    WON = "won"
    LOST = "lost"
    """Not enough voters are left that could still agree."""
    PENDING = "pending"


def majority_size(count: int) -> int:
    """How many of `count` voters make a majority."""
    return count // 2 + 1


def majority_acknowledged(voters: tuple[int, ...], acknowledged: Callable[[int], int]) -> int:
    """The highest number that a majority of `voters` has acknowledged: the middle one, rounded down, of all."""
    if not voters:
        return EVERYTHING
    return sorted(map(acknowledged, voters))[(len(voters) - 1) // 2]


def majority_vote(voters: tuple[int, ...], votes: Mapping[int, bool]) -> VoteResult:
    """Where an election stands; voters missing from `votes` have not answered."""
    if not voters:
        return VoteResult.WON
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    if granted >= majority_size(len(voters)):
        return VoteResult.WON
    if len(voters) - refused < majority_size(len(voters)):
        return VoteResult.LOST
    return VoteResult.PENDING


@dataclass(frozen=True, slots=True)
class Quorum:
    """The voters of a configuration; `outgoing` is empty unless it is joint."""

    incoming: tuple[int, ...]
    outgoing: tuple[int, ...] = ()

    @staticmethod
    def of(conf_state: ConfState) -> Quorum:
        return Quorum(conf_state.voters, conf_state.voters_outgoing)

    def is_only(self, peer_id: int) -> bool:
        """True if the peer decides alone."""
        return self.incoming == (peer_id,) and self.outgoing in ((), (peer_id,))

    def acknowledged(self, acknowledged: Callable[[int], int]) -> int:
        """The highest number acknowledged by a majority of each half, given what each voter acknowledged."""
        incoming = majority_acknowledged(self.incoming, acknowledged)
        return min(incoming, majority_acknowledged(self.outgoing, acknowledged)) if self.outgoing else incoming

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """Won if both halves are won, lost if one is lost."""
        results = (majority_vote(self.incoming, votes), majority_vote(self.outgoing, votes))
        if VoteResult.LOST in results:
            return VoteResult.LOST
        return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON
