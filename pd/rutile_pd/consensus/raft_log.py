"""A member's Raft log and states, in the family `raft` of the same engine as the state the log makes.

    key              value
    ---------------  ------------------------------------------------------------------------
    member           u64: this member's id
    hard             u64 term, u64 vote, u64 committed index
    applied          u64 index, then eraftpb.ConfState: how far the state is, and who is in the group as of then
    compacted        u64 index, u64 term of the last entry no longer in the log
    unconfirmed      empty, while the others have not said that this founder is new (founding.py)
    log/<u64>        u64 term, u8 kind, then the data of the entry

The state of the placement driver is small, and so is what has to stay of its log: all of it is kept in memory as well
(`MemoryStorage`), and read from the engine once, at the start.

A group begins behind index 1 of term 1 with the state its founders agree on (`members.py`). A member that knows nothing
is at index 0, therefore always behind the log, and gets the state with a snapshot.
"""

from collections.abc import Sequence

from rutile_kv.engine.api import CF_RAFT, Engine, WriteBatch
from rutile_kv.raft.codec import conf_state_from_pb, conf_state_to_pb
from rutile_kv.raft.messages import NO_PEER, ConfState, Entry, EntryKind, HardState, SnapshotMeta
from rutile_kv.raft.storage import MemoryStorage
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto.codec import decode_uint64, encode_uint64
from rutile_proto.keys import prefix_next

FOUNDING_INDEX = FOUNDING_TERM = 1
_MEMBER = b"member"
_HARD = b"hard"
_APPLIED = b"applied"
_COMPACTED = b"compacted"
_UNCONFIRMED = b"unconfirmed"
_LOG = b"log/"


class RaftLog(MemoryStorage):
    """What Raft reads, and what is written for it: into a batch, and at the same moment into the fields here."""

    def __init__(self, engine: Engine) -> None:
        """What the engine holds."""
        super().__init__()
        self.applied_index = 0
        self.last_conf_state = ConfState()
        """As of the applied index."""
        self._load(engine)

    def snapshot(self, request_index: int) -> SnapshotMeta:
        """The state as it is now, which is always at hand."""
        return SnapshotMeta(self.applied_index, self.term(self.applied_index), self.last_conf_state)

    # --- writing ------------------------------------------------------------------------------------------------------

    def found(self, batch: WriteBatch, member_id: int, voters: Sequence[int]) -> None:
        """Begin as one of `voters`, who all begin alike."""
        batch.put(CF_RAFT, _MEMBER, encode_uint64(member_id))
        if len(voters) > 1:
            batch.put(CF_RAFT, _UNCONFIRMED, b"")
        self.install_at(batch, SnapshotMeta(FOUNDING_INDEX, FOUNDING_TERM, ConfState(tuple(sorted(voters)))))
        self.save_hard_state(batch, HardState(FOUNDING_TERM, NO_PEER, FOUNDING_INDEX))

    def join(self, batch: WriteBatch, member_id: int) -> None:
        """Begin as a member that has still to be sent everything."""
        batch.put(CF_RAFT, _MEMBER, encode_uint64(member_id))

    def save_hard_state(self, batch: WriteBatch, state: HardState) -> None:
        self.hard_state = state
        batch.put(CF_RAFT, _HARD, b"".join(map(encode_uint64, (state.term, state.vote, state.commit))))

    def save_entries(self, batch: WriteBatch, entries: Sequence[Entry]) -> None:
        """Add entries; they replace whatever stands at or after the first of them."""
        for index in range(entries[-1].index + 1, self.last_index() + 1):
            batch.delete(CF_RAFT, _LOG + encode_uint64(index))
        for entry in entries:
            value = encode_uint64(entry.term) + bytes([entry.kind]) + entry.data
            batch.put(CF_RAFT, _LOG + encode_uint64(entry.index), value)
        self.append(entries)

    def save_applied(self, batch: WriteBatch, index: int, conf_state: ConfState) -> None:
        """The state is that of `index`; goes into the batch that makes it so."""
        self.applied_index, self.last_conf_state = index, conf_state
        batch.put(CF_RAFT, _APPLIED, encode_uint64(index) + conf_state_to_pb(conf_state).SerializeToString())

    def install_at(self, batch: WriteBatch, snapshot: SnapshotMeta) -> None:
        """The log is empty and begins behind `snapshot`, whose state goes into the same batch."""
        batch.delete_range(CF_RAFT, _LOG, prefix_next(_LOG))
        batch.put(CF_RAFT, _COMPACTED, encode_uint64(snapshot.index) + encode_uint64(snapshot.term))
        self.install(snapshot)
        self.save_applied(batch, snapshot.index, snapshot.conf_state)

    def cut(self, batch: WriteBatch, index: int) -> None:
        """Forget the entries up to and including `index`."""
        term, first = self.term(index), self.first_index()
        batch.delete_range(CF_RAFT, _LOG + encode_uint64(first), _LOG + encode_uint64(index + 1))
        batch.put(CF_RAFT, _COMPACTED, encode_uint64(index) + encode_uint64(term))
        self.compact(index)

    # --- reading back -------------------------------------------------------------------------------------------------

    def _load(self, engine: Engine) -> None:
        applied, compacted = engine.get(CF_RAFT, _APPLIED), engine.get(CF_RAFT, _COMPACTED)
        if applied is not None and compacted is not None:
            index, at = decode_uint64(applied)
            conf_state = conf_state_from_pb(eraftpb.ConfState.FromString(applied[at:]))
            self.install(SnapshotMeta(decode_uint64(compacted)[0], decode_uint64(compacted, 8)[0], conf_state))
            self.applied_index, self.last_conf_state = index, conf_state
        self.append([_entry(key, value) for key, value in engine.scan(CF_RAFT, _LOG, prefix_next(_LOG))])
        hard = engine.get(CF_RAFT, _HARD)
        if hard is not None:
            self.hard_state = HardState(*(decode_uint64(hard, offset)[0] for offset in (0, 8, 16)))


def member_id_in(engine: Engine) -> int:
    """Whose engine this is; 0 for a new one."""
    found = engine.get(CF_RAFT, _MEMBER)
    return 0 if found is None else decode_uint64(found)[0]


def is_unconfirmed(engine: Engine) -> bool:
    """Whether this founder has still to ask the others about itself."""
    return engine.get(CF_RAFT, _UNCONFIRMED) is not None


def confirm(engine: Engine) -> None:
    """It has asked them."""
    batch = engine.batch()
    batch.delete(CF_RAFT, _UNCONFIRMED)
    engine.write(batch)
    engine.sync()


def _entry(key: bytes, value: bytes) -> Entry:
    term, at = decode_uint64(value)
    return Entry(term, decode_uint64(key, len(_LOG))[0], EntryKind(value[at]), value[at + 1 :])
