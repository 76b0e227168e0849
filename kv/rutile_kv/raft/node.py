"""The one door to a Raft peer: feed it messages, ticks and proposals; take a `Ready`; do what it says; give it back.

    node.step(message) / node.tick() / node.propose(data)
    if node.has_ready():
        ready = node.ready()
        send(ready.messages)
        write(ready.snapshot, ready.entries, ready.hard_state); sync() if ready.must_sync
        send(ready.persisted_messages)
        node.advance(ready)
        for entry in ready.committed_entries: apply(entry)
        node.advance_apply(last index applied)

Nothing here waits, and nothing is done behind the caller's back.
"""

from __future__ import annotations

from rutile_kv.raft.config import Config, Randomness
from rutile_kv.raft.core import Core
from rutile_kv.raft.errors import DropReason, ProposalDropped, ReadyOutstanding
from rutile_kv.raft.leader import Leader
from rutile_kv.raft.messages import NO_PEER, ConfChange, ConfState, Entry, HardState, Message
from rutile_kv.raft.ready import Ready, Role, SoftState, Status
from rutile_kv.raft.storage import Storage
from rutile_proto.types import LogIndex


class RawNode:
    """One peer of one group."""

    def __init__(self, config: Config, storage: Storage, random: Randomness) -> None:
        """Start or restart the peer from what `storage` holds; `config.applied` says how far that is applied."""
        self._core = Core(config, storage, random)
        self._soft_state = SoftState()
        self._hard_state = self._core.hard_state()
        self._outstanding: Ready | None = None

    # --- input --------------------------------------------------------------------------------------------------------

    def step(self, message: Message, late_ticks: int = 0) -> None:
        """Take a message from a peer. Never raises: what is stale, odd or not for this peer is ignored.

        `late_ticks` have passed that are yet to be ticked. Who answers a leader now promises to ignore candidates for
        an election timeout from now on, and not from the last tick on."""
        self._core.step(message, late_ticks)

    def tick(self) -> None:
        """Let one tick of time pass."""
        self._core.tick()

    def skip_ticks(self, count: int, silent_ticks: int) -> None:
        """Time went by without `tick`: the group hibernated. `count` ticks are counted after the fact, so what was
        promised until some tick (a lease) is over if that has passed. A follower takes its leader for last heard
        `silent_ticks` ago, which the caller knows from elsewhere; a leader gives everybody the benefit of the doubt."""
        self._core.skip_ticks(count, silent_ticks)

    def stand_still(self, count: int) -> None:
        """This process stood still for `count` ticks and was deaf meanwhile. What was promised until some tick (a
        lease) is over if that has passed; but that nothing was heard from the others says nothing about them."""
        self._core.stand_still(count)

    def campaign(self) -> None:
        """Start an election now instead of at the timeout. Does nothing on a leader, a learner, or a peer that still
        has a configuration change to apply."""
        self._core.campaign()

    def abstain(self) -> None:
        """Never lead again as long as this object lives: the state machine here is not to be trusted. Votes and
        acknowledgements go on, they are about the log. A leader steps down."""
        self._core.abstain()

    def propose(self, data: bytes) -> LogIndex:
        """Append `data` and return its index; together with the current term that names the entry. It is committed when
        an entry of that index and term is. Raises ProposalDropped if this peer cannot take it."""
        return LogIndex(self._leader().propose(data))

    def propose_conf_change(self, change: ConfChange) -> LogIndex:
        """Append a configuration change and return its index. Raises ProposalDropped (one at a time, see its reason) or
        InvalidConfChange."""
        return LogIndex(self._leader().propose_conf_change(change))

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Switch to the configuration that a committed CONF_CHANGE entry asks for, and return it for the caller to
        store. A caller that refuses the entry for reasons of its own does not call this. Raises InvalidConfChange."""
        return self._core.apply_conf_change(change)

    def read_index(self, context: bytes) -> None:
        """Ask for a linearizable read (thesis §6.4); a ReadState with the same context answers in a later Ready. A
        follower asks its leader. An answer may get lost with a message or a leader: ask again after a while.
        Raises ProposalDropped if no leader is known or too many wait."""
        self._core.role.read_index(context)

    def transfer_leader(self, peer_id: int) -> None:
        """Hand leadership to a voter (thesis §3.10); a follower asks its leader to. Given up after an election timeout.
        Raises ProposalDropped if no leader is known or, on the leader, the peer is no voter."""
        self._core.role.transfer_leader(peer_id)

    def report_unreachable(self, peer_id: int) -> None:
        """Messages to the peer are being lost: probe before sending more. Does nothing unless this peer leads."""
        if isinstance(self._core.role, Leader):
            self._core.role.report_unreachable(peer_id)

    def report_snapshot(self, peer_id: int, ok: bool) -> None:
        """The data of the snapshot last sent to the peer arrived, or failed to. Every SNAPSHOT message must be
        reported, or the peer waits until its leader changes. Does nothing unless this peer leads."""
        if isinstance(self._core.role, Leader):
            self._core.role.report_snapshot(peer_id, ok)

    def announce_commit(self) -> None:
        """Tell followers now what is committed (`Config.defer_commit_news`). Does nothing unless this peer leads."""
        if isinstance(self._core.role, Leader):
            self._core.role.replication.gather()

    def ping(self) -> None:
        """Send heartbeats now: wakes a group that hibernates. Does nothing unless this peer leads."""
        if isinstance(self._core.role, Leader):
            self._core.role.broadcast_heartbeat()

    # --- output -------------------------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """True if `ready()` may be called and would hold something."""
        return self._outstanding is None and (
            self._core.has_output() or self._soft_state_changed() or self._core.hard_state_differs(self._hard_state)
        )

    def ready(self) -> Ready:
        """The work that has gathered. Raises ReadyOutstanding if the last one was not given back."""
        if self._outstanding is not None:
            raise ReadyOutstanding("give back the last Ready with advance() first")
        core = self._core
        core.role.flush()
        entries, snapshot = core.log.unstable_entries(), core.log.pending_snapshot
        hard_state, must_sync = self._changed_hard_state()
        ready = Ready(
            soft_state=self._changed_soft_state(),
            hard_state=hard_state,
            entries=entries,
            snapshot=snapshot,
            committed_entries=core.log.take_committed(core.config.max_committed_bytes),
            messages=core.take_messages(),
            persisted_messages=core.take_persisted_messages(),
            read_states=core.take_read_states(),
            must_sync=must_sync or bool(entries) or snapshot is not None,
        )
        self._outstanding = ready
        return ready

    def advance(self, ready: Ready) -> None:
        """Everything in `ready` is durable now. Raises ReadyOutstanding if it is not the last one taken."""
        if ready is not self._outstanding:
            raise ReadyOutstanding("this is not the Ready that was taken last")
        self._outstanding = None
        self._core.persisted(ready.hard_state, ready.entries, ready.snapshot)

    def advance_apply(self, index: int) -> None:
        """Everything up to `index` is applied. Never goes back; an index beyond what was handed out is an error of the
        caller."""
        self._core.applied_to(index)

    # --- looking in ---------------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        return self._core.id

    @property
    def role(self) -> Role:
        return self._core.role.kind

    @property
    def is_leader(self) -> bool:
        return self._core.role.kind is Role.LEADER

    @property
    def term(self) -> int:
        return self._core.term

    @property
    def leader_id(self) -> int:
        """NO_PEER if none is known."""
        return self._core.leader_id

    @property
    def commit(self) -> int:
        return self._core.log.committed

    @property
    def applied(self) -> int:
        return self._core.log.applied

    @property
    def last_index(self) -> int:
        return self._core.log.last_index

    @property
    def conf_state(self) -> ConfState:
        return self._core.conf_state

    @property
    def tick_count(self) -> int:
        """Ticks since this object was made."""
        return self._core.tick_count

    def lease_valid(self, now_tick: int | None = None) -> bool:
        """True if no other peer can have been elected by `now_tick`, so a read may be served from here without asking
        anybody (thesis §6.4.1). False unless this peer leads, has committed in its term, and asks nobody to take over.

        `now_tick` counts as `tick_count` does. A caller that may have been stopped (by the system, by a slow turn of
        its loop, by hibernation) works it out from its clock; without it the last `tick()` is believed to be recent."""
        role = self._core.role
        return isinstance(role, Leader) and role.lease_valid(self._core.tick_count if now_tick is None else now_tick)

    def is_quiet(self) -> bool:
        """True if this peer leads and everything is replicated, committed and applied everywhere, so that the group may
        stop ticking until somebody has something to say."""
        return isinstance(self._core.role, Leader) and self._core.role.is_quiet() and not self.has_ready()

    def entries_after(self, index: int) -> list[Entry]:
        """The whole log behind `index`, committed or not. Raises Compacted."""
        log = self._core.log
        return log.slice(index + 1, log.last_index + 1, None) if index < log.last_index else []

    def status(self) -> Status:
        """A picture of the peer as it is now."""
        core, role = self._core, self._core.role
        leader = role if isinstance(role, Leader) else None
        return Status(
            id=core.id,
            role=role.kind,
            term=core.term,
            vote=core.vote,
            leader_id=core.leader_id,
            first_index=core.log.first_index,
            last_index=core.log.last_index,
            persisted=core.log.persisted,
            commit=core.log.committed,
            applied=core.log.applied,
            conf_state=core.conf_state,
            transferee=leader.transfer.transferee if leader else NO_PEER,
            pending_reads=len(leader.reads) if leader else 0,
            progress=leader.replication.status() if leader else (),
        )

    # --- inside -------------------------------------------------------------------------------------------------------

    def _leader(self) -> Leader:
        role = self._core.role
        if not isinstance(role, Leader):
            raise ProposalDropped(DropReason.NOT_LEADER)
        return role

    def _soft_state_changed(self) -> bool:
        last = self._soft_state
        return self._core.leader_id != last.leader_id or self._core.role.kind is not last.role

    def _changed_soft_state(self) -> SoftState | None:
        if not self._soft_state_changed():
            return None
        self._soft_state = SoftState(self._core.leader_id, self._core.role.kind)
        return self._soft_state

    def _changed_hard_state(self) -> tuple[HardState | None, bool]:
        """The hard state if it changed, and whether it must be synced: not for a commit index alone."""
        last = self._hard_state
        if not self._core.hard_state_differs(last):
            return None, False
        self._hard_state = state = self._core.hard_state()
        return state, (state.term, state.vote) != (last.term, last.vote)
