"""Elections: the candidate, and the pre-candidate that only asks (paper §5.2, Figure 2 "Candidates"; thesis §9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rutile_kv.raft.messages import NO_PEER, TRANSFER_CONTEXT, Message, MessageKind
from rutile_kv.raft.quorum import VoteResult
from rutile_kv.raft.ready import Role
from rutile_kv.raft.role import RoleState

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core

_FROM_LEADER = frozenset((MessageKind.APPEND, MessageKind.HEARTBEAT, MessageKind.SNAPSHOT))


class _Campaigner(RoleState):
    """What both have in common: votes by peer, the first answer of each counts, and a timeout after which all begins
    anew."""

    __slots__ = ("_elapsed_ticks", "_timeout_ticks", "votes")
    response_kind: ClassVar[MessageKind]

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.votes: dict[int, bool] = {}
        self._elapsed_ticks = 0
        self._timeout_ticks = core.random_timeout()

    def tick(self) -> None:
        self._elapsed_ticks += 1
        if self._elapsed_ticks >= self._timeout_ticks:
            self._elapsed_ticks = 0
            self.core.campaign()

    def step(self, message: Message) -> None:
        if message.kind is self.response_kind:
            if self.answers_this_election(message):
                self.count(message.sender, not message.reject)
        elif message.kind in _FROM_LEADER and message.term == self.core.term:
            self.core.become_follower(message.term, message.sender)
            self.core.role.step(message)

    def membership_changed(self) -> None:
        if not self.core.is_promotable():
            self.core.become_follower(self.core.term, NO_PEER)

    def count(self, voter: int, granted: bool) -> None:
        """Note a vote; act when the election is decided."""
        self.votes.setdefault(voter, granted)
        match self.core.quorum.vote_result(self.votes):
            case VoteResult.WON:
                self.won()
            case VoteResult.LOST:
                self.core.become_follower(self.core.term, NO_PEER)
            case VoteResult.PENDING:
                pass

    def ask(self, kind: MessageKind, term: int, context: bytes) -> list[Message]:
        """The requests to all other voters, telling them the end of our log."""
        core = self.core
        log = core.log
        return [
            Message(
                kind,
                peer_id,
                core.id,
                term,
                log_term=log.last_term,
                index=log.last_index,
                commit=log.committed,
                context=context,
                commit_term=log.term(log.committed),
            )
            for peer_id in core.conf_state.members()
            if peer_id != core.id and core.conf_state.is_voter(peer_id)
        ]

    def answers_this_election(self, message: Message) -> bool:
        raise NotImplementedError

    def won(self) -> None:
        raise NotImplementedError


class PreCandidate(_Campaigner):
    """Asks who would vote for it in the next term, without entering it: an isolated peer's term does not run away, and
    a peer that comes back does not disturb a working leader (thesis §9.6)."""

    __slots__ = ()
    kind: ClassVar[Role] = Role.PRE_CANDIDATE
    response_kind = MessageKind.PRE_VOTE_RESPONSE

    def start(self) -> None:
        """Ask everybody; answers promise nothing, so nothing need be durable first."""
        self.core.messages += self.ask(MessageKind.PRE_VOTE, self.core.term + 1, b"")
        self.count(self.core.id, True)

    def answers_this_election(self, message: Message) -> bool:
        """A grant names the term we asked for, a refusal the voter's own."""
        return message.term == self.core.term + (0 if message.reject else 1)

    def won(self) -> None:
        self.core.become_candidate()


class Candidate(_Campaigner):
    """Has begun a term and asks for votes in it."""

    __slots__ = ()
    kind: ClassVar[Role] = Role.CANDIDATE
    response_kind = MessageKind.VOTE_RESPONSE

    def start(self, transfer: bool) -> None:
        """Ask everybody, once term and own vote are durable: who is elected must not begin the same term again after a
        crash."""
        context = TRANSFER_CONTEXT if transfer else b""
        self.core.persisted_messages += self.ask(MessageKind.VOTE, self.core.term, context)

    def persisted(self) -> None:
        """Our own vote counts like any other: once it is durable."""
        core = self.core
        if core.id not in self.votes and core.durable_ballot == (core.term, core.id):
            self.count(core.id, True)

    def answers_this_election(self, message: Message) -> bool:
        return message.term == self.core.term

    def won(self) -> None:
        """Lead, but not before our own vote counts too: until then the term could begin anew after a crash."""
        if self.core.id in self.votes:
            self.core.become_leader()
