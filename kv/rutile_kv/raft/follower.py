"""The follower: answers leaders and candidates, and campaigns when it hears neither (paper §5.2, Figure 2
"Followers")."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rutile_kv.raft.errors import DropReason, ProposalDropped
from rutile_kv.raft.messages import NO_PEER, Message, MessageKind, SnapshotMeta
from rutile_kv.raft.ready import ReadState, Role
from rutile_kv.raft.role import RoleState

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


class Follower(RoleState):
    """Follows `core.leader_id`, or waits for a leader to appear. Learners are followers that never campaign."""

    __slots__ = ("_called", "_silent_ticks", "_timeout_ticks")
    kind: ClassVar[Role] = Role.FOLLOWER

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._silent_ticks = 0
        self._timeout_ticks = core.random_timeout()
        self._called = False
        """The leader told us to campaign, but a configuration change is still to be applied."""

    def tick(self) -> None:
        self._silent_ticks += 1
        if self._silent_ticks >= self._timeout_ticks:
            self._silent_ticks = 0
            self.core.campaign()

    def skipped(self, silent_ticks: int) -> None:
        """Go on with the silence that counts; whether it lasts long enough, the next tick tells."""
        self._silent_ticks = silent_ticks

    def applied(self) -> None:
        """Campaign if we were called to and may: a leader that left calls its heir together with the change that
        removed it."""
        if self._called and not self.core.log.has_unapplied_conf_change():
            self._called = False
            self.core.campaign(transfer=True)

    def voted(self) -> None:
        self._silent_ticks = 0

    def step(self, message: Message) -> None:
        match message.kind:
            case MessageKind.APPEND:
                if self._heard_from(message.sender):
                    self._append(message)
            case MessageKind.HEARTBEAT:
                if self._heard_from(message.sender):
                    self._heartbeat(message)
            case MessageKind.SNAPSHOT:
                if message.snapshot is not None and self._heard_from(message.sender):
                    self._install(message.snapshot)
            case MessageKind.TIMEOUT_NOW if message.sender == self.core.leader_id:
                self._called = True
                self.applied()
            case MessageKind.READ_INDEX_RESPONSE if message.sender == self.core.leader_id:
                self.core.read_states.append(ReadState(message.index, message.context))

    def read_index(self, context: bytes) -> None:
        """Ask the leader, which answers with READ_INDEX_RESPONSE (thesis §6.4, last paragraph)."""
        self._ask_leader(MessageKind.READ_INDEX, context=context)

    def transfer_leader(self, peer_id: int) -> None:
        self._ask_leader(MessageKind.TRANSFER_LEADER, index=peer_id)

    def _ask_leader(self, kind: MessageKind, *, index: int = 0, context: bytes = b"") -> None:
        core = self.core
        if core.leader_id == NO_PEER:
            raise ProposalDropped(DropReason.NO_LEADER)
        core.messages.append(Message(kind, core.leader_id, core.id, core.term, index=index, context=context))

    def _heard_from(self, sender: int) -> bool:
        """Note that the leader of this term lives; False if this term has another leader, which cannot be."""
        core = self.core
        if core.leader_id != sender:
            if core.leader_id != NO_PEER:
                return False
            core.leader_id = sender
        self._silent_ticks = 0
        core.last_contact_tick = core.tick_count + core.late_ticks
        return True

    def _append(self, message: Message) -> None:
        """AppendEntries (paper Figure 2, receiver implementation)."""
        log = self.core.log
        if not _is_well_formed(message):
            return
        if message.index < log.committed:
            self._acknowledge(log.committed)
            return
        last = log.append_after(message.index, message.log_term, message.entries)
        if last is None:
            self._refuse(message)
            return
        log.commit_to(min(message.commit, last))
        self._acknowledge(last)

    def _refuse(self, message: Message) -> None:
        """Say where the logs may agree at the latest (paper §5.3, the optimisation near its end)."""
        core = self.core
        hint, hint_term = core.log.last_index_within_term(message.index, message.log_term)
        reply = Message(
            MessageKind.APPEND_RESPONSE, core.leader_id, core.id, core.term,
            log_term=hint_term, index=message.index, commit=core.log.committed, reject=True, reject_hint=hint,
        )  # fmt: skip
        core.persisted_messages.append(reply)

    def _acknowledge(self, index: int) -> None:
        core = self.core
        reply = Message(
            MessageKind.APPEND_RESPONSE, core.leader_id, core.id, core.term, index=index, commit=core.log.committed
        )
        core.persisted_messages.append(reply)

    def _heartbeat(self, message: Message) -> None:
        """Learn the commit index, which the leader keeps within what we acknowledged, and echo the round.

        At once, unless the term itself is not durable yet: a restarted peer knows by its term that it may have
        answered."""
        core = self.core
        if message.commit <= core.log.last_index:
            core.log.commit_to(message.commit)
        reply = Message(
            MessageKind.HEARTBEAT_RESPONSE, message.sender, core.id, core.term,
            index=message.index, commit=core.log.committed,
        )  # fmt: skip
        durable = core.durable_ballot[0] == core.term
        (core.messages if durable else core.persisted_messages).append(reply)

    def _install(self, snapshot: SnapshotMeta) -> None:
        """InstallSnapshot (paper §7, Figure 13), its data having arrived before."""
        core = self.core
        if self._wants(snapshot):
            core.log.restore(snapshot)
        self._acknowledge(core.log.committed)

    def _wants(self, snapshot: SnapshotMeta) -> bool:
        """False for a snapshot that tells nothing new or is not meant for us; what it proves to be committed is
        noted."""
        log = self.core.log
        if snapshot.index <= log.committed or snapshot.term > self.core.term:
            return False
        if self.core.id not in snapshot.conf_state.members():
            return False
        if log.matches(snapshot.index, snapshot.term):
            log.commit_to(snapshot.index)
            return False
        return True


def _is_well_formed(message: Message) -> bool:
    """True if the entries follow each other and `index`, and no term is ahead of the leader's."""
    index, term = message.index, message.log_term
    if index < 0 or not 0 <= term <= message.term:
        return False
    for entry in message.entries:
        index += 1
        if entry.index != index or not term <= entry.term <= message.term:
            return False
        term = entry.term
    return True
