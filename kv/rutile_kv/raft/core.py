"""One peer's state that all roles share, the transitions between roles, and the rules about terms.

                 ┌──────────── timeout, pre-vote lost ────────────┐
                 ▼                                                │
    start ─▶ FOLLOWER ── timeout ─▶ PRE_CANDIDATE ── majority ─▶ CANDIDATE ── majority ─▶ LEADER
                 ▲                        │                       │                         │
                 └── leader appears, higher term, vote lost, no majority heard, removed ────┘

(paper Figure 4, with the pre-vote of thesis §9.6.) Each transition is one `become_*` function here, and asserts what
must hold before and after it. What a role does is in `follower.py`, `candidate.py` and `leader.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.raft import conf_change
from rutile_kv.raft.candidate import Candidate, PreCandidate
from rutile_kv.raft.config import Config, Randomness
from rutile_kv.raft.follower import Follower
from rutile_kv.raft.leader import Leader
from rutile_kv.raft.log import Log
from rutile_kv.raft.messages import (
    NO_PEER,
    TRANSFER_CONTEXT,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageKind,
    SnapshotMeta,
)
from rutile_kv.raft.quorum import Quorum
from rutile_kv.raft.ready import ReadState, Role
from rutile_kv.raft.role import RoleState
from rutile_kv.raft.storage import Storage
from rutile_kv.raft.voting import answer_vote

_VOTES = frozenset((MessageKind.VOTE, MessageKind.PRE_VOTE))
_FROM_LEADER = frozenset((MessageKind.APPEND, MessageKind.HEARTBEAT, MessageKind.SNAPSHOT))


class Core:
    """Term, vote, log, configuration, role, and the messages waiting to be sent."""

    __slots__ = (
        "abstains",
        "conf_state",
        "config",
        "durable_ballot",
        "id",
        "last_contact_tick",
        "late_ticks",
        "leader_id",
        "log",
        "messages",
        "persisted_messages",
        "quorum",
        "random",
        "read_states",
        "role",
        "term",
        "tick_count",
        "vote",
    )

    def __init__(self, config: Config, storage: Storage, random: Randomness) -> None:
        hard_state, self.conf_state = storage.initial_state()
        self.config, self.random, self.id = config, random, config.id
        self.quorum = Quorum.of(self.conf_state)
        self.log = Log(storage, hard_state.commit, config.applied)
        self.term, self.vote, self.leader_id = hard_state.term, hard_state.vote, NO_PEER
        self.durable_ballot = (self.term, self.vote)
        """Term and vote as of the last Ready given back: a candidate's own vote counts once it is here."""
        self.tick_count = 0
        self.last_contact_tick = -config.election_timeout_ticks if config.fresh or hard_state.term == 0 else 0
        """When a leader was last heard; after `tick_count` if that was late. A restarted peer may have acknowledged one
        just before it stopped."""
        self.late_ticks = 0
        """How far `tick_count` was behind the clock when the last message was stepped."""
        self.abstains = False
        self.messages: list[Message] = []
        self.persisted_messages: list[Message] = []
        self.read_states: list[ReadState] = []
        self.role: RoleState = Follower(self)

    # --- input --------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        self.tick_count += 1
        self.role.tick()

    def skip_ticks(self, count: int, silent_ticks: int) -> None:
        """Count ticks that passed unnoticed. Voters may only become more faithful by it: nobody's promise to ignore
        candidates ends early."""
        self.tick_count += count
        if self.leader_id not in (NO_PEER, self.id):
            self.last_contact_tick = max(self.last_contact_tick, self.tick_count - silent_ticks)
        self.role.skipped(silent_ticks)

    def stand_still(self, count: int) -> None:
        """Count ticks in which this peer could hear nobody: leases end, but nobody's silence grows by them."""
        self.tick_count += count
        self.last_contact_tick = max(self.last_contact_tick, min(self.last_contact_tick + count, self.tick_count))
        self.role.stood_still(count)

    def step(self, message: Message, late_ticks: int = 0) -> None:
        """Take any message: bring the terms together (paper §5.1), then answer votes here and leave the rest to the
        role."""
        self.late_ticks = late_ticks
        if message.to != self.id or message.sender == self.id or message.sender <= NO_PEER:
            return
        if message.commit_term:
            self.learn_commit(message.commit, message.commit_term)
        if message.kind in _VOTES and message.term >= self.term and self._ignores_candidate(message):
            return
        if message.term > self.term:
            self._enter_term_of(message)
        if message.term < self.term:
            self._answer_stale(message)
        elif message.kind in _VOTES:
            answer_vote(self, message)
        else:
            self.role.step(message)

    def _ignores_candidate(self, message: Message) -> bool:
        """True if a leader lives and did not ask for this election (thesis §4.2.3)."""
        return message.context != TRANSFER_CONTEXT and self.hears_leader()

    def _enter_term_of(self, message: Message) -> None:
        """Follow `message` into its higher term, unless it only asks or tells what could be in that term."""
        kind = message.kind
        if kind is MessageKind.PRE_VOTE or (kind is MessageKind.PRE_VOTE_RESPONSE and not message.reject):
            return
        self.become_follower(message.term, message.sender if kind in _FROM_LEADER else NO_PEER)

    def _answer_stale(self, message: Message) -> None:
        """Tell a sender of an old term ours, where it could otherwise not get on.

        A peer that a pre-vote or the stickiness of others keeps from leading may sit at a higher term than the leader;
        the answer makes that leader step down, so that both can meet again (etcd met this one in practice)."""
        if message.kind is MessageKind.PRE_VOTE:
            reply = Message(MessageKind.PRE_VOTE_RESPONSE, message.sender, self.id, self.term, reject=True)
            self.messages.append(reply)
        elif message.kind in _FROM_LEADER and (self.config.pre_vote or self.config.check_quorum):
            reply = Message(MessageKind.APPEND_RESPONSE, message.sender, self.id, self.term)
            self.persisted_messages.append(reply)

    def learn_commit(self, index: int, term: int) -> None:
        """Note that the entry (index, term) is committed, if we have it (Log Matching: then all before it is too).

        Candidates and voters tell each other. Otherwise a group can stand still: the last leader left it, and of the
        new configuration nobody heard that it is committed, so they ask the old one, whose peers know better and refuse
        (raft-rs calls this commit by vote)."""
        if self.role.kind is Role.LEADER or index <= self.log.committed or not self.log.matches(index, term):
            return
        self.log.commit_to(index)
        if self.role.kind is not Role.FOLLOWER and self.log.has_unapplied_conf_change():
            self.become_follower(self.term, NO_PEER)

    def campaign(self, *, transfer: bool = False) -> None:
        """Start an election (paper §5.2), unless this peer leads already or may not.

        It may not while it hears a leader (whose lease would break), unless that leader asked for it (`transfer`) or it
        decides alone (then no leader of older configurations holds a lease); nor when its vote counts for nothing; nor
        behind the configuration it knows to be committed (see `conf_change.py`)."""
        if self.role.kind is Role.LEADER or not self.is_promotable():
            return
        if not transfer and self.hears_leader() and not self.quorum.is_only(self.id):
            return
        if self.log.has_unapplied_conf_change():
            return
        if self.config.pre_vote and not transfer:
            self.become_pre_candidate()
        else:
            self.become_candidate(transfer=transfer)

    def abstain(self) -> None:
        """Never lead again, as long as this object lives; vote and store as ever."""
        self.abstains = True
        if self.role.kind is not Role.FOLLOWER:
            self.become_follower(self.term, NO_PEER)

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Switch to the configuration after `change`. Raises InvalidConfChange."""
        self.set_conf_state(conf_change.changed(self.conf_state, change))
        self.role.membership_changed()
        return self.conf_state

    def set_conf_state(self, conf_state: ConfState) -> None:
        self.conf_state = conf_state
        self.quorum = Quorum.of(conf_state)

    def persisted(self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: SnapshotMeta | None) -> None:
        """The caller made these durable."""
        if hard_state is not None:
            self.durable_ballot = (hard_state.term, hard_state.vote)
        if snapshot is not None:
            self.log.installed(snapshot)
            self.set_conf_state(snapshot.conf_state)
        if entries:
            self.log.written(entries[-1].index, entries[-1].term)
        self.role.persisted()

    def applied_to(self, index: int) -> None:
        self.log.applied_to(index)
        self.role.applied()

    # --- questions ----------------------------------------------------------------------------------------------------

    def is_promotable(self) -> bool:
        """True if this peer could lead: its vote counts, it does not abstain, and its log is not being replaced."""
        return not self.abstains and self.conf_state.is_voter(self.id) and self.log.pending_snapshot is None

    def hears_leader(self) -> bool:
        """True while a live leader may rely on this peer not helping to replace it (thesis §4.2.3, §6.4.1).

        It is the time since any leader was heard that counts, not whether one is known: a term may have passed
        since."""
        if not self.config.check_quorum:
            return False
        if self.role.kind is Role.LEADER:
            return True
        return self.tick_count - self.last_contact_tick < self.config.election_timeout_ticks

    def has_output(self) -> bool:
        """True if there is something for a Ready beside changed states."""
        return bool(
            self.messages
            or self.persisted_messages
            or self.log.has_unstable()
            or self.log.has_committed()
            or self.read_states
            or self.role.has_work()
        )

    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    def hard_state_differs(self, other: HardState) -> bool:
        return self.log.committed != other.commit or self.term != other.term or self.vote != other.vote

    def take_messages(self) -> list[Message]:
        taken, self.messages = self.messages, []
        return taken

    def take_persisted_messages(self) -> list[Message]:
        taken, self.persisted_messages = self.persisted_messages, []
        return taken

    def take_read_states(self) -> list[ReadState]:
        taken, self.read_states = self.read_states, []
        return taken

    def random_timeout(self) -> int:
        """An election timeout, drawn anew each time so that split votes are rare and resolve (paper §5.2)."""
        ticks = self.config.election_timeout_ticks
        return self.random.randint(ticks, 2 * ticks - 1)

    # --- transitions --------------------------------------------------------------------------------------------------

    def become_follower(self, term: int, leader_id: int) -> None:
        """Follow `leader_id`, or nobody yet, in `term`."""
        assert term >= self.term, f"term {term} is behind {self.term}"
        assert leader_id != self.id, "a peer does not follow itself"
        assert term > self.term or self.leader_id in (NO_PEER, self.id, leader_id) or leader_id == NO_PEER, (
            f"two leaders in term {term}: {self.leader_id}, {leader_id}"
        )
        if term > self.term:
            self.term, self.vote = term, NO_PEER
        self.leader_id = leader_id
        self.role = Follower(self)
        assert self.role.kind is Role.FOLLOWER

    def become_pre_candidate(self) -> None:
        """Ask whether an election could be won; term and vote stay (thesis §9.6)."""
        assert self.role.kind is not Role.LEADER, "a leader does not campaign"
        assert self.is_promotable(), "only a voter campaigns"
        ballot = (self.term, self.vote)
        self.leader_id = NO_PEER
        role = PreCandidate(self)
        self.role = role
        role.start()
        assert (self.term, self.vote) == ballot or self.role is not role

    def become_candidate(self, *, transfer: bool = False) -> None:
        """Begin a new term and vote for oneself in it (paper §5.2)."""
        assert self.role.kind is not Role.LEADER, "a leader does not campaign"
        assert self.is_promotable(), "only a voter campaigns"
        self.term, self.vote, self.leader_id = self.term + 1, self.id, NO_PEER
        role = Candidate(self)
        self.role = role
        role.start(transfer)
        assert self.durable_ballot < (self.term, self.vote), "a term is voted in once"

    def become_leader(self) -> None:
        """Lead the term this peer was elected for."""
        assert self.role.kind is Role.CANDIDATE, "only a candidate is elected"
        assert self.durable_ballot == (self.term, self.id), "a leader's own vote is durable, or its term could repeat"
        self.leader_id = self.id
        role = Leader(self)
        self.role = role
        role.start()
        assert self.log.last_term == self.term, "a leader begins its term with an entry of its own (paper §5.4.2, §8)"
