"""What every role can be asked, and what it answers when the question is for somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rutile_kv.raft.errors import DropReason, ProposalDropped
from rutile_kv.raft.messages import Message
from rutile_kv.raft.ready import Role

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


class RoleState:
    """A role and the state that exists only while a peer plays it. Leaving the role throws the object away."""

    __slots__ = ("core",)
    kind: ClassVar[Role]

    def __init__(self, core: Core) -> None:
        self.core = core

    def tick(self) -> None:
        """Let one tick pass."""
        raise NotImplementedError

    def skipped(self, silent_ticks: int) -> None:
        """Ticks passed unnoticed, for the last `silent_ticks` of which the leader may have been gone."""

    def stood_still(self, count: int) -> None:
        """For so many ticks this process could hear nobody."""

    def step(self, message: Message) -> None:
        """Take a message of the current term; votes are answered before (`voting.py`)."""
        raise NotImplementedError

    def voted(self) -> None:
        """A vote was granted: the election this peer takes part in deserves its time (paper §5.2)."""

    def persisted(self) -> None:
        """Something became durable."""

    def applied(self) -> None:
        """The applied index moved."""

    def membership_changed(self) -> None:
        """The configuration is another one now."""

    def has_work(self) -> bool:
        """True if `flush` would send something."""
        return False

    def flush(self) -> None:
        """Send what was gathered since the last Ready, in as few messages as possible."""

    def read_index(self, context: bytes) -> None:
        raise ProposalDropped(DropReason.NO_LEADER)

    def transfer_leader(self, peer_id: int) -> None:
        raise ProposalDropped(DropReason.NO_LEADER)
