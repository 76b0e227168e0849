"""One replica of one region on this store: a Raft node, its storage, and everybody who waits for it.

Requests gather until the store's next round (`flush`), which proposes all writes that came meanwhile as few entries
and asks for all reads with one ReadIndex. Then `collect` takes the node's Ready and puts its work into the round.
"""

from collections.abc import Sequence
from typing import Protocol

from rutile_kv.engine.api import Modify, WriteBatch
from rutile_kv.raft.config import Randomness
from rutile_kv.raft.errors import ProposalDropped
from rutile_kv.raft.messages import Entry, Message, SnapshotMeta
from rutile_kv.raft.ready import Ready, Role
from rutile_kv.raftstore.apply import Applier, ApplyHost
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import InstallSnapshot
from rutile_kv.raftstore.installation import IncomingSnapshot, Installation
from rutile_kv.raftstore.peer_proposals import ProposingPeer
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.pending_writes import PendingWrites
from rutile_kv.raftstore.reads import ReadQueue
from rutile_kv.raftstore.region_change import find_peer
from rutile_kv.raftstore.rest import Rest
from rutile_kv.raftstore.round import Round
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import NotLeader, RaftEntryTooLarge, RegionError, UndeterminedResult


class PeerHost(ApplyHost, Protocol):
    """What a peer asks of the store."""

    def clear_data(self, region: metapb.Region, batch: WriteBatch) -> None:
        """Delete everything in the region's range."""

    def destroy_absorbed(self, region_ids: Sequence[int], target: metapb.Region, round_: Round) -> None:
        """Destroy what is left here of regions that have merged into `target` elsewhere."""

    def stall(self, region_id: int) -> None:
        """Let the region resume applying in the next round."""


class Peer(ProposingPeer):
    """See the module. `meta` is this peer as its region lists it (or as the message that created it called it)."""

    def __init__(
        self, meta: metapb.Peer, storage: PeerStorage, config: StoreConfig, random: Randomness, host: PeerHost
    ) -> None:
        super().__init__(meta, storage, config, random)
        self.reads = ReadQueue(config, meta.id << 64 | random.randint(0, (1 << 63) - 1))
        self.applier = Applier(meta.id, storage, self.node, self.proposals, host)
        self.incoming: IncomingSnapshot | None = None
        self.installation: Installation | None = None
        self.data_written = False
        """True once the data of the installation is in the engine: the next round finishes it."""
        self.heartbeat_due = False
        self.window_began_tick: int | None = None
        """Since when PD has not heard what was written; None: this peer has not reported since it began to lead."""
        self.split_check_running = False
        self.rest = Rest()
        self.asleep_since: int | None = None
        """The store's tick at which it fell asleep (`hibernation`); None: it is awake."""
        self.rollback_wanted = 0
        """The log index of the PrepareMerge that another peer knows to be in vain."""
        self.reported_health: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._host = host
        self._writes = PendingWrites()
        self._was_leader = False
        self._told_commit = 0
        """How far the log is committed as far as others may have heard from here."""
        self._stalled: list[Entry] = []
        """Committed entries that wait for another region to have a round behind it."""
        self._heard_at = 0

    # --- what it is ---------------------------------------------------------------------------------------------------

    def has_work(self) -> bool:
        """True if the next round has something to gather here."""
        return (
            self.node.has_ready()
            or bool(self._writes)
            or bool(self.reads.fresh)
            or self.data_written
            or (self.heartbeat_due and self.is_leader)
        )

    def silent_ticks(self) -> int:
        """How long ago the leader was last heard of, or asked for."""
        return self.node.tick_count - self._heard_at

    def note_contact(self) -> None:
        self._heard_at = self.node.tick_count

    def stand_still(self, ticks: int) -> None:
        """So many ticks have passed in which nothing could be heard."""
        self.node.stand_still(ticks)
        self._heard_at += ticks

    def may_read_now(self, lag_ticks: int) -> bool:
        """True if what is applied here is all that anybody was told of: a leader with a lease that has applied an
        entry of its own term. Not while it applies a long log bit by bit: followers may be ahead, and serve reads. Nor
        while a split or a merge is under way: the keys may be served by another region elsewhere before they are cut
        off here."""
        node, storage = self.node, self.storage
        self.rest.used = True
        return (
            node.is_leader
            and self.asleep_since is None
            and storage.applied_term == node.term
            and max(self._border_index, self._told_commit) <= storage.applied_index
            and node.lease_valid(node.tick_count + lag_ticks)
        )

    def may_sleep(self) -> bool:
        """True for a leader whose region needs nothing more done anywhere, and whose members all live."""
        return (
            not (self.split_check_running or self._writes or len(self.reads) or self.proposals)
            and not self.is_merging
            and self.node.is_quiet()
            and all(other.silent_ticks < self._config.election_timeout_ticks for other in self.node.status().progress)
        )

    def is_settled_at(self, term: int, last_index: int) -> bool:
        """True for a follower that is in this term, and has applied a log that ends there."""
        node = self.node
        return (
            (node.term, node.last_index) == (term, last_index)
            and self.storage.applied_index == last_index
            and node.role is Role.FOLLOWER
            and not self.is_merging
            and self.installation is None
            and self.incoming is None
        )

    # --- requests -----------------------------------------------------------------------------------------------------

    def step(self, sender: metapb.Peer, message: Message, late_ticks: int = 0) -> None:
        self.outbox.note(sender)
        self.node.step(message, late_ticks)
        if message.sender == self.node.leader_id:
            self.note_contact()

    def queue_write(self, token: object, modifies: Sequence[Modify]) -> None:
        """Raises RaftEntryTooLarge."""
        size_bytes = self._writes.add(token, modifies)
        if size_bytes > self._config.max_entry_bytes:
            self._writes.take_back()
            raise RaftEntryTooLarge(self.region_id, size_bytes, self._config.max_entry_bytes)

    # --- the round ----------------------------------------------------------------------------------------------------

    def flush(self, round_: Round, tick: int) -> None:
        """Hand to Raft what gathered since the last round."""
        if self._writes:
            for tokens, modifies in self._writes.take_groups(self._config.max_coalesced_bytes):
                self._propose_write(tokens, modifies, round_)
        context = self.reads.ask(tick)
        if context is not None:
            self.ask_read_index(context, round_)

    def ask_read_index(self, context: bytes, round_: Round) -> None:
        try:
            self.node.read_index(context)
        except ProposalDropped as dropped:
            round_.fail(self.reads.drop(context), self._refusal(dropped))

    def collect(self, round_: Round) -> None:
        """Put the node's Ready into the round."""
        ready = self.node.ready()
        self._told_commit = self.node.commit
        self.storage.in_round = True
        self.outbox.put(ready.messages, round_.ready.messages, round_)
        if ready.soft_state is not None:
            self._note_role(round_)
        if ready.snapshot is not None:
            self._start_install(ready, ready.snapshot, round_)
            return
        self._write_ready(ready, round_)
        for read in ready.read_states:
            self.reads.confirm(read.index, read.context)

    def release_reads(self, round_: Round) -> None:
        """Answer the reads that what is applied here is enough for."""
        round_.complete(self.reads.release(self.storage.applied_index))

    def _start_install(self, ready: Ready, meta: SnapshotMeta, round_: Round) -> None:
        incoming = self.incoming
        assert incoming is not None and incoming.index == meta.index, "raft accepted a snapshot that is not here"
        assert not ready.committed_entries, "entries to apply beside a snapshot to install"
        self.incoming = None
        self._stalled = []
        self.installation = Installation(incoming, meta, ready)
        self._host.destroy_absorbed(incoming.absorbed, incoming.region, round_)
        self._host.clear_data(self.region, round_.batch)
        self._host.clear_data(incoming.region, round_.batch)
        self.storage.start_install(round_.batch, incoming.region, ready.hard_state)
        round_.ready.must_sync = True
        round_.ready.installs.append(InstallSnapshot(incoming.region, meta, incoming.payload))

    def finish_install(self, round_: Round) -> None:
        """The data of the snapshot is written: everything it stands for becomes true with this round."""
        installation = self.installation
        assert installation is not None, "no snapshot is being installed"
        self.installation, self.data_written = None, False
        installation.incoming.payload.close()
        self._abandon_proposals(round_)
        self.storage.in_round = True
        incoming = installation.incoming
        self.storage.finish_install(round_.batch, incoming.region, incoming.absorbed, installation.meta)
        self.meta = find_peer(self.region, self.id) or self.meta
        self._write_ready(installation.ready, round_)

    def resume_apply(self, round_: Round) -> None:
        """Apply what had to wait, if it can be now; before anything else in a round."""
        entries, self._stalled = self._stalled, []
        self.storage.in_round = True
        self._apply(entries, round_)
        self.node.advance_apply(self.storage.applied_index)

    def after_advance(self) -> None:
        """The last Ready was given back."""
        self.node.advance_apply(self.storage.applied_index)
        self.leave_joint()

    def refuse_waiting(self, round_: Round, error: RegionError) -> None:
        """The peer goes away and its log has come to its end: nothing that anybody waits for will come to pass."""
        for proposal in self.proposals.take_all():
            round_.fail(proposal.tokens, error)
        self._refuse_rest(round_, error)

    def close(self, round_: Round, error: RegionError) -> None:
        """The peer goes away. What was proposed may or may not come to pass elsewhere; the rest surely not."""
        self._refuse_rest(round_, error)
        self._abandon_proposals(round_)
        self.drop_incoming()
        if self.installation is not None:
            self.installation.incoming.payload.close()
            self.installation, self.data_written = None, False

    def refuse_waiting_reads(self, round_: Round, error: RegionError) -> None:
        """Nothing may be read here any more."""
        round_.fail(self.reads.take_all(), error)

    def _refuse_rest(self, round_: Round, error: RegionError) -> None:
        round_.fail(self._writes.take_tokens(), error)
        round_.fail(self.reads.take_all(), error)

    def drop_incoming(self) -> None:
        """Raft did not want the snapshot."""
        if self.incoming is not None:
            self.incoming.payload.close()
            self.incoming = None

    # --- inside -------------------------------------------------------------------------------------------------------

    def _apply(self, entries: Sequence[Entry], round_: Round) -> None:
        """Apply in order: behind what waits, everything waits."""
        if self._stalled or self.region_id in round_.hashed:
            self._stalled += entries
        else:
            self._stalled = list(self.applier.apply(entries, round_))
        if self._stalled:
            self._host.stall(self.region_id)

    def _abandon_proposals(self, round_: Round) -> None:
        """What is in the log may be committed by others, and this peer will not see it."""
        for proposal in self.proposals.take_all():
            cause = f"region {self.region_id} left the entry at {proposal.index} behind before it was applied here"
            round_.fail(proposal.tokens, UndeterminedResult(0, cause))

    def _write_ready(self, ready: Ready, round_: Round) -> None:
        """Log, states, applied data: in this order, since an entry may be committed and new in the same Ready."""
        if ready.entries:
            self.storage.append(round_.batch, ready.entries)
        if ready.must_sync:
            self.storage.save_raft_state(round_.batch, ready.hard_state)
            round_.ready.must_sync = True
        if ready.committed_entries:
            self._apply(ready.committed_entries, round_)
        if ready.hard_state is not None and not ready.must_sync:
            self.storage.note_commit(round_.batch, ready.hard_state)
        self.outbox.put(ready.persisted_messages, round_.ready.persisted_messages, round_)
        round_.taken.append((self, ready))

    def _note_role(self, round_: Round) -> None:
        if self.is_leader != self._was_leader:
            self._was_leader = self.is_leader
            self.heartbeat_due = self.is_leader
            self.window_began_tick = None
            if not self.is_leader:
                round_.ready.deposed.append(self.region_id)
                round_.fail(self.reads.take_unconfirmed(), NotLeader(self.region_id, self.leader))
