"""One member's copy of the placement driver's state: a Raft log, and the state that its committed entries make.

A plain object: ticks, messages and proposals in, a `Ready` out. `begin` writes what a Ready holds into the engine,
`finish` is told that it is durable, applies what is committed and says so. Log and state are in one engine, and the
applied index is written with what it counts: after a crash an entry is applied with its index, or not at all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rutile_kv.engine.api import CF_DEFAULT, Engine, Snapshot, WriteBatch
from rutile_kv.raft import ConfChange, Config, Entry, EntryKind, Message, MessageKind, RawNode, Ready, SnapshotMeta
from rutile_kv.raft.config import Randomness
from rutile_kv.raft.errors import InvalidConfChange
from rutile_pd.consensus.raft_log import RaftLog
from rutile_pd.consensus.storage import STATE_END, STATE_START, Changes, member_key
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdraftpb_pb2 as pdraftpb

ELECTION_TICKS = 12
"""Silence after which a follower campaigns, up to twice as many: 0.6 to 1.2 s (replication.TICK_S)."""
HEARTBEAT_TICKS = 3
LOG_ENTRIES = 1024
"""A log longer than this is cut; who still needed what is gone gets a snapshot."""
LOG_ENTRIES_KEPT = 256

Pairs = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Applied:
    """An entry took effect here."""

    index: int
    term: int


class Replica:
    """Belongs to `member_id`, in an engine that was founded or joined (`raft_log`)."""

    def __init__(self, engine: Engine, member_id: int, random: Randomness) -> None:
        self.log = RaftLog(engine)
        config = Config(
            id=member_id,
            applied=self.log.applied_index,
            election_timeout_ticks=ELECTION_TICKS,
            heartbeat_ticks=HEARTBEAT_TICKS,
        )
        self.node = RawNode(config, self.log, random)
        self._engine = engine
        self._received: dict[int, list[tuple[bytes, bytes]]] = {}
        """The states that came with SNAPSHOT messages since the last round, by index."""

    # --- input --------------------------------------------------------------------------------------------------------

    def propose(self, changes: Changes) -> int:
        """Put changes into the log, to be applied all at once; the index. ProposalDropped unless this member leads."""
        batch = pdraftpb.ChangeBatch(changes=[_change(key, value) for key, value in changes.items()])
        return self.node.propose(batch.SerializeToString())

    def step_snapshot(self, message: Message, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """A SNAPSHOT message, with the state it announces."""
        assert message.snapshot is not None, "a snapshot message says what it covers"
        self._received[message.snapshot.index] = list(pairs)
        self.node.step(message)

    # --- rounds -------------------------------------------------------------------------------------------------------

    def begin(self) -> Ready:
        """The work that has gathered, written to the engine, not yet durable."""
        ready = self.node.ready()
        batch = self._engine.batch()
        received, self._received = self._received, {}
        if ready.snapshot is not None:
            self._install(batch, ready.snapshot, received[ready.snapshot.index])
        if ready.entries:
            self.log.save_entries(batch, ready.entries)
        if ready.hard_state is not None:
            self.log.save_hard_state(batch, ready.hard_state)
        if len(batch):
            self._engine.write(batch)
        return ready

    def finish(self, ready: Ready) -> list[Applied]:
        """What `begin` wrote is durable: apply what is committed; all of that, in order."""
        self.node.advance(ready)
        done = []
        for entry in ready.committed_entries:
            self._apply(entry)
            done.append(Applied(entry.index, entry.term))
        return done

    def cut_log(self) -> None:
        """Shorten the log if it has grown long."""
        applied = self.log.applied_index
        if applied - self.log.first_index() >= LOG_ENTRIES:
            batch = self._engine.batch()
            self.log.cut(batch, applied - LOG_ENTRIES_KEPT)
            self._engine.write(batch)

    def outgoing_snapshot(self, message: Message) -> tuple[Message, Snapshot]:
        """A SNAPSHOT message as it can be sent: for the state of this moment, which comes with it; the taker closes
        it."""
        assert message.kind is MessageKind.SNAPSHOT
        return replace(message, snapshot=self.log.snapshot(0)), self._engine.snapshot()

    # --- questions ----------------------------------------------------------------------------------------------------

    @property
    def is_alone(self) -> bool:
        """Whether this member decides by itself: nobody else can be elected."""
        state = self.log.last_conf_state
        return state.voters == (self.node.id,) and not state.is_joint

    @property
    def knows_the_past(self) -> bool:
        """True once this leader has applied an entry of its own term: then all that was ever committed is applied."""
        return self.node.is_leader and self.log.term(self.log.applied_index) == self.node.term

    # --- inside -------------------------------------------------------------------------------------------------------

    def _install(self, batch: WriteBatch, snapshot: SnapshotMeta, pairs: Pairs) -> None:
        batch.delete_range(CF_DEFAULT, STATE_START, STATE_END)
        for key, value in pairs:
            batch.put(CF_DEFAULT, key, value)
        self.log.install_at(batch, snapshot)

    def _apply(self, entry: Entry) -> None:
        batch = self._engine.batch()
        conf_state = self.log.last_conf_state
        if entry.kind is EntryKind.CONF_CHANGE:
            change = ConfChange.from_bytes(entry.data)
            try:
                conf_state = self.node.apply_conf_change(change)
            except InvalidConfChange:  # it was proposed on top of one that turned out otherwise: it changes nothing
                pass
            else:
                self._note_members(batch, change)
        elif entry.data:
            _write(batch, pdraftpb.ChangeBatch.FromString(entry.data).changes)
        self.log.save_applied(batch, entry.index, conf_state)
        self._engine.write(batch)
        self.node.advance_apply(entry.index)

    def _note_members(self, batch: WriteBatch, change: ConfChange) -> None:
        """Keep the records of members in step with the configuration; one who comes brings its own."""
        if change.context:
            member = pdpb.Member.FromString(change.context)
            batch.put(CF_DEFAULT, member_key(member.member_id), change.context)
        members = self.node.conf_state.members()
        for single in change.changes:
            if single.peer_id not in members:
                batch.delete(CF_DEFAULT, member_key(single.peer_id))


def state_pairs(engine: Engine | Snapshot) -> Pairs:
    """The whole state, in key order."""
    return engine.scan(CF_DEFAULT, STATE_START, STATE_END)


def _change(key: bytes, value: bytes | None) -> pdraftpb.Change:
    return pdraftpb.Change(key=key, deleted=True) if value is None else pdraftpb.Change(key=key, value=value)


def _write(batch: WriteBatch, changes: Iterable[pdraftpb.Change]) -> None:
    for change in changes:
        if change.deleted:
            batch.delete(CF_DEFAULT, change.key)
        else:
            batch.put(CF_DEFAULT, change.key, change.value)
