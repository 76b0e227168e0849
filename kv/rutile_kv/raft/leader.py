"""The leader: takes proposals, decides what is committed, and knows how long it still leads (paper §5.2-5.4, Figure 2
"Leaders").

Its parts: `replication.py` sends entries and reads answers, `lease.py` counts heartbeat rounds, `read_index.py` holds
reads, `transfer.py` hands over. This file ties them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rutile_kv.raft import conf_change
from rutile_kv.raft.errors import DropReason, ProposalDropped
from rutile_kv.raft.lease import HeartbeatRounds
from rutile_kv.raft.messages import NO_PEER, ConfChange, Entry, EntryKind, Message, MessageKind
from rutile_kv.raft.quorum import VoteResult
from rutile_kv.raft.read_index import ReadIndexQueue, ReadRequest, ReadRound, answer_reads
from rutile_kv.raft.ready import Role
from rutile_kv.raft.replication import Replication
from rutile_kv.raft.role import RoleState
from rutile_kv.raft.transfer import Transfer
from rutile_kv.raft.uncommitted import UncommittedProposals

if TYPE_CHECKING:
    from rutile_kv.raft.core import Core


class Leader(RoleState):
    """Leads `core.term`."""

    __slots__ = (
        "_committed_in_term",
        "_heartbeat_elapsed",
        "_pending_conf_index",
        "_quorum_elapsed",
        "reads",
        "replication",
        "rounds",
        "transfer",
        "uncommitted",
    )
    kind: ClassVar[Role] = Role.LEADER

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        timeout = core.config.election_timeout_ticks
        self.replication = Replication(core)
        self.rounds = HeartbeatRounds(timeout)
        self.reads = ReadIndexQueue()
        self.transfer = Transfer(timeout)
        self._heartbeat_elapsed = 0
        self._quorum_elapsed = 0
        self._committed_in_term = False
        self._pending_conf_index = core.log.last_index
        """No configuration change is taken before this is applied; at first any entry of older terms may be one."""
        self.uncommitted = UncommittedProposals(core.config.max_uncommitted_bytes)

    def start(self) -> None:
        """Announce the leadership with an empty entry: once that is committed, so is all before it (paper §5.4.2,
        §8)."""
        self.replication.wrote(self.core.log.persisted)
        self._append(EntryKind.NORMAL, b"")

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        config = self.core.config
        self._heartbeat_elapsed += 1
        self._quorum_elapsed += 1
        self.transfer.tick()
        if self._quorum_elapsed >= config.election_timeout_ticks:
            self._quorum_elapsed = 0
            if not self._hears_quorum():
                self.core.become_follower(self.core.term, NO_PEER)
                return
        if self._heartbeat_elapsed >= config.heartbeat_ticks:
            self.broadcast_heartbeat()
            self._leave_joint_if_due()

    def skipped(self, silent_ticks: int) -> None:
        """Nobody was asked for anything: the silence of the others means nothing, and is counted from now."""
        self._heartbeat_elapsed = self._quorum_elapsed = 0
        self.replication.excuse_silence()

    def stood_still(self, count: int) -> None:
        self.replication.shift_contacts(count)

    def _hears_quorum(self) -> bool:
        """True if a majority answered within the last election timeout, or if that is not asked for (thesis §6.2)."""
        heard = self.replication.take_activity()
        return not self.core.config.check_quorum or self.core.quorum.vote_result(heard) is VoteResult.WON

    # --- proposals ----------------------------------------------------------------------------------------------------

    def propose(self, data: bytes) -> int:
        """Append an entry and return its index. Raises ProposalDropped."""
        self._require_room(len(data))
        return self._append(EntryKind.NORMAL, data)

    def propose_conf_change(self, change: ConfChange) -> int:
        """Append a configuration change and return its index. Raises ProposalDropped, InvalidConfChange.

        Only when every earlier one is applied here, which is what makes configurations that count from their
        application safe (`conf_change.py`)."""
        core = self.core
        data = change.to_bytes()
        self._require_room(len(data))
        if core.log.applied < self._pending_conf_index:
            raise ProposalDropped(DropReason.CONF_CHANGE_PENDING)
        if core.conf_state.is_joint != change.leaves_joint:
            raise ProposalDropped(DropReason.IN_JOINT if core.conf_state.is_joint else DropReason.NOT_IN_JOINT)
        conf_change.changed(core.conf_state, change)
        self._pending_conf_index = self._append(EntryKind.CONF_CHANGE, data)
        return self._pending_conf_index

    def _require_room(self, size_bytes: int) -> None:
        """Raises ProposalDropped during a transfer, or if proposals pile up uncommitted; one always fits."""
        if self.transfer.is_running:
            raise ProposalDropped(DropReason.TRANSFERRING)
        if not self.uncommitted.has_room(size_bytes):
            raise ProposalDropped(DropReason.TOO_MUCH_UNCOMMITTED)

    def _append(self, kind: EntryKind, data: bytes) -> int:
        core = self.core
        entry = Entry(core.term, core.log.last_index + 1, kind, data)
        core.log.append(entry)
        self.uncommitted.add(entry.index, len(data))
        self.replication.gather()
        return entry.index

    # --- commitment ---------------------------------------------------------------------------------------------------

    def persisted(self) -> None:
        """Our own copy counts only now that it is durable, though the others were sent it before (thesis §10.2.1)."""
        if self.replication.wrote(self.core.log.persisted):
            self._commit()

    def _commit(self) -> None:
        """Commit what a majority has, if it is of our own term; what is before it comes along (paper §5.4.2, Figure
        8)."""
        log = self.core.log
        index = self.core.quorum.acknowledged(self.replication.match_of)
        if index <= log.committed or log.term(index) != self.core.term:
            return
        log.commit_to(index)
        self._committed_in_term = True
        self.uncommitted.committed(index)
        if not self.core.config.defer_commit_news:
            self.replication.gather()

    # --- messages -----------------------------------------------------------------------------------------------------

    def step(self, message: Message) -> None:
        match message.kind:
            case MessageKind.APPEND_RESPONSE:
                self._append_answered(message)
            case MessageKind.HEARTBEAT_RESPONSE:
                if message.index <= self.rounds.last and self.replication.heartbeat_answered(message):
                    self._confirm_rounds()
            case MessageKind.READ_INDEX:
                self._take_followers_read(ReadRequest(message.sender, message.context))
            case MessageKind.TRANSFER_LEADER:
                self._begin_transfer(message.index)

    def _append_answered(self, message: Message) -> None:
        if self.replication.append_answered(message):
            self._commit()
            if message.sender == self.transfer.transferee:
                self._hand_over_if_caught_up()

    def has_work(self) -> bool:
        return self.replication.has_work() or (self._committed_in_term and bool(self.reads.waiting))

    def flush(self) -> None:
        if self._committed_in_term and self.reads.waiting:
            self.reads.assign(self.rounds.last + 1, self.core.log.committed)
            self.broadcast_heartbeat()
        self.replication.flush()

    # --- heartbeats, reads and the lease ------------------------------------------------------------------------------

    def broadcast_heartbeat(self) -> None:
        """Begin a heartbeat round. A peer is told a commit index only up to what it is known to have."""
        core = self.core
        self._heartbeat_elapsed = 0
        number = self.rounds.begin(core.tick_count)
        for peer_id, progress in self.replication.progress.items():
            if peer_id != core.id:
                commit = min(progress.match, core.log.committed)
                progress.sent_commit = max(progress.sent_commit, commit)
                core.messages.append(
                    Message(MessageKind.HEARTBEAT, peer_id, core.id, core.term, index=number, commit=commit)
                )
        self._confirm_rounds()

    def _confirm_rounds(self) -> None:
        """Date the lease by the newest round a majority answered, and answer its reads."""
        number = self.core.quorum.acknowledged(self._acknowledged_round)
        self.rounds.confirm(number)
        for confirmed in self.reads.take_confirmed(number):
            answer_reads(self.core, confirmed)

    def _acknowledged_round(self, peer_id: int) -> int:
        return self.rounds.last if peer_id == self.core.id else self.replication.progress[peer_id].acknowledged_round

    def read_index(self, context: bytes) -> None:
        if not self._take_read(ReadRequest(self.core.id, context)):
            raise ProposalDropped(DropReason.TOO_MANY_READS)

    def _take_followers_read(self, request: ReadRequest) -> None:
        """Answered at once under a lease, as if it came from here: a scan over many regions asks for each of them."""
        core = self.core
        if self.lease_valid(core.tick_count + core.late_ticks):
            answer_reads(core, ReadRound(self.rounds.last, core.log.committed, (request,)))
        else:
            self._take_read(request)

    def _take_read(self, request: ReadRequest) -> bool:
        """Queue a read; False if too many wait."""
        if len(self.reads) >= self.core.config.max_pending_reads:
            return False
        self.reads.add(request)
        return True

    def lease_valid(self, now_tick: int) -> bool:
        """True if nobody else can have been elected by `now_tick` (thesis §6.4.1); see `lease.py` for how it is dated.

        Not while a configuration change is on its way: others may have applied it, and elect without our voters."""
        config, log = self.core.config, self.core.log
        if not config.check_quorum or not self._committed_in_term or self.transfer.endangers_lease:
            return False
        if log.applied < self._pending_conf_index:
            return False
        return now_tick - self.rounds.confirmed_tick < config.election_timeout_ticks - config.lease_margin_ticks

    # --- handing over -------------------------------------------------------------------------------------------------

    def transfer_leader(self, peer_id: int) -> None:
        if not self._begin_transfer(peer_id):
            raise ProposalDropped(DropReason.UNKNOWN_PEER)

    def _begin_transfer(self, peer_id: int) -> bool:
        """Begin to hand over; to ourselves means to give up a transfer under way. False if the peer is no voter."""
        if not self.core.conf_state.is_voter(peer_id):
            return False
        if peer_id == self.core.id:
            self.transfer.give_up()
        elif peer_id != self.transfer.transferee:
            self.transfer.begin(peer_id)
            self._hand_over_if_caught_up()
            self.replication.catch_up(peer_id)
        return True

    def _hand_over_if_caught_up(self) -> None:
        peer_id = self.transfer.transferee
        if self.replication.match_of(peer_id) == self.core.log.last_index:
            self._tell_to_campaign(peer_id)

    def _tell_to_campaign(self, peer_id: int) -> None:
        self.transfer.told = True
        self.core.messages.append(Message(MessageKind.TIMEOUT_NOW, peer_id, self.core.id, self.core.term))

    # --- membership ---------------------------------------------------------------------------------------------------

    def membership_changed(self) -> None:
        """Send to the new members; a leader that is no longer a voter hands over and steps down (thesis §4.2.2)."""
        core = self.core
        self.rounds.forget()
        if not core.conf_state.is_voter(core.id):
            self._step_down_removed()
            return
        self.replication.set_members(core.conf_state.members())
        if self.transfer.is_running and not core.conf_state.is_voter(self.transfer.transferee):
            self.transfer.give_up()
        self._commit()

    def _step_down_removed(self) -> None:
        """Tell everybody that the change is committed, have the most advanced voter campaign, and follow."""
        self.replication.gather()
        self.replication.flush()
        heir = self.replication.most_advanced_voter()
        if heir is not None:
            self._tell_to_campaign(heir)
        self.core.become_follower(self.core.term, NO_PEER)

    def applied(self) -> None:
        self._leave_joint_if_due()

    def _leave_joint_if_due(self) -> None:
        """Propose to leave a joint configuration that wants to be left, once it is applied (thesis §4.3)."""
        core = self.core
        if core.conf_state.auto_leave and core.log.applied >= self._pending_conf_index and not self.transfer.is_running:
            self._pending_conf_index = self._append(EntryKind.CONF_CHANGE, ConfChange().to_bytes())

    # --- reports and questions ----------------------------------------------------------------------------------------

    def report_unreachable(self, peer_id: int) -> None:
        self.replication.unreachable(peer_id)

    def report_snapshot(self, peer_id: int, ok: bool) -> None:
        self.replication.snapshot_reported(peer_id, ok)

    def is_quiet(self) -> bool:
        """True if there is nothing left to do for anybody."""
        log = self.core.log
        if self.transfer.is_running or len(self.reads) or log.applied < log.last_index or self.core.conf_state.is_joint:
            return False
        return all(progress.match == log.last_index for progress in self.replication.progress.values())
