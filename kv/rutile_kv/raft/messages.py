"""The values Raft speaks in: entries, messages, persistent states, configurations and their changes.

All are frozen and slotted; sequences are tuples; peers are integers above 0 and `NO_PEER` (0) means nobody.
The numbers of the enums are eraftpb's, so the edge that turns these into protobuf only copies fields.

What each message carries (besides `kind, to, sender, term`), and where the idea comes from:

| kind                | fields                                                          | paper, thesis             |
|---------------------|-----------------------------------------------------------------|---------------------------|
| APPEND              | index, log_term of the entry before `entries`; entries; commit  | paper §5.3, Figure 2      |
| APPEND_RESPONSE     | index: what now matches; or reject, index: what was asked,      | paper §5.3, its end:      |
|                     | reject_hint and log_term: where the logs may agree; commit      | the accelerated back-off  |
| VOTE, PRE_VOTE      | index, log_term of the candidate's last entry;                  | paper §5.2, §5.4.1,       |
|                     | context TRANSFER_CONTEXT overrides leader stickiness            | thesis §9.6, §4.2.3       |
| …_RESPONSE          | reject                                                          |                           |
| all four            | commit, commit_term: an entry known to be committed             | see `Core.learn_commit`   |
| HEARTBEAT           | commit (within what the peer has); index: the round's number    | paper §5.2, thesis §6.4   |
| HEARTBEAT_RESPONSE  | index: the round it answers                                     | thesis §6.4               |
| SNAPSHOT            | snapshot: its metadata; the data travels outside of Raft        | paper §7                  |
| TRANSFER_LEADER     | index: the peer that shall lead                                 | thesis §3.10              |
| TIMEOUT_NOW         |                                                                 | thesis §3.10              |
| READ_INDEX          | context: the reader's own mark                                  | thesis §6.4               |
| READ_INDEX_RESPONSE | index: read once this is applied; context; commit, commit_term  | thesis §6.4               |
"""

from __future__ import annotations

import struct
from enum import IntEnum

from rutile_kv.raft.errors import MalformedConfChange
from rutile_proto.values import valueclass

NO_PEER = 0
"""Stands where a peer id is expected and there is none."""

TRANSFER_CONTEXT = b"transfer"
"""In a vote request: the leader itself asked for this election, so it does not disturb anybody (thesis §4.2.3)."""

ENTRY_OVERHEAD_BYTES = 16
"""What an entry costs on the wire and in memory beside its data; counted in every byte limit."""


class EntryKind(IntEnum):
    """What an entry's data is."""

    NORMAL = 0
    """The state machine's own; empty data is the no-op a new leader appends."""
    CONF_CHANGE = 2
    """An encoded `ConfChange`."""


@valueclass
class Entry:
    """One slot of the replicated log."""

    term: int
    index: int
    kind: EntryKind = EntryKind.NORMAL
    data: bytes = b""

    @property
    def size_bytes(self) -> int:
        """What the entry counts against byte limits."""
        return len(self.data) + ENTRY_OVERHEAD_BYTES


class MessageKind(IntEnum):
    """What a message asks or answers; see the table above."""

    APPEND = 3
    APPEND_RESPONSE = 4
    VOTE = 5
    VOTE_RESPONSE = 6
    SNAPSHOT = 7
    HEARTBEAT = 8
    HEARTBEAT_RESPONSE = 9
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    READ_INDEX = 15
    READ_INDEX_RESPONSE = 16
    PRE_VOTE = 17
    PRE_VOTE_RESPONSE = 18


@valueclass
class ConfState:
    """Who belongs to the group (thesis §4.3). All tuples are sorted and without duplicates.

    Joint while `voters_outgoing` is not empty: then every decision needs a majority of `voters` and one of
    `voters_outgoing`. `learners_next` vote still, as outgoing voters, and become learners when the joint
    configuration is left. `auto_leave`: the leader leaves it as soon as it is applied.
    """

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False

    @property
    def is_joint(self) -> bool:
        return bool(self.voters_outgoing)

    def is_voter(self, peer_id: int) -> bool:
        """True if the peer's vote counts, in either half of a joint configuration."""
        return peer_id in self.voters or peer_id in self.voters_outgoing

    def members(self) -> tuple[int, ...]:
        """Everybody the leader sends to, sorted."""
        return tuple(sorted({*self.voters, *self.voters_outgoing, *self.learners, *self.learners_next}))


@valueclass
class SnapshotMeta:
    """What Raft must know of a snapshot: the last entry it covers, and the configuration as of that entry."""

    index: int
    term: int
    conf_state: ConfState


@valueclass
class Message:
    """What peers of one group send each other."""

    kind: MessageKind
    to: int
    sender: int
    term: int
    log_term: int = 0
    index: int = 0
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    snapshot: SnapshotMeta | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    commit_term: int = 0


@valueclass
class HardState:
    """What must be durable before anybody hears of it (paper Figure 2, "persistent state"). `commit` is kept for
    speed."""

    term: int = 0
    vote: int = NO_PEER
    commit: int = 0


class ConfChangeKind(IntEnum):
    """What becomes of one peer."""

    ADD_VOTER = 0
    """Add it as a voter, or promote the learner."""
    REMOVE = 1
    ADD_LEARNER = 2
    """Add it as a learner, or demote the voter."""


@valueclass
class ConfChangeSingle:
    kind: ConfChangeKind
    peer_id: int


class ConfChangeTransition(IntEnum):
    """How the group gets from one configuration to the next."""

    AUTO = 0
    """In one step if at most one voter changes, otherwise as IMPLICIT."""
    IMPLICIT = 1
    """Through a joint configuration that the leader leaves by itself."""
    EXPLICIT = 2
    """Through a joint configuration that somebody must propose to leave."""


_HEADER = struct.Struct(">BBH")
_CHANGE = struct.Struct(">BQ")
_FORMAT = 1


@valueclass
class ConfChange:
    """A proposed change of the group (thesis §4). Without `changes` it leaves the joint configuration.

    `context` is carried along for whoever applies the entry; the core does not look at it.
    """

    changes: tuple[ConfChangeSingle, ...] = ()
    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    context: bytes = b""

    @property
    def leaves_joint(self) -> bool:
        return not self.changes

    @property
    def enters_joint(self) -> bool:
        """True if the group passes through a joint configuration on its way."""
        return len(self.changes) > 1 or (bool(self.changes) and self.transition is not ConfChangeTransition.AUTO)

    def to_bytes(self) -> bytes:
        """Format (1), transition, number of changes (2 bytes), (kind, peer id in 8 bytes) each, then the context."""
        head = _HEADER.pack(_FORMAT, self.transition, len(self.changes))
        return head + b"".join(_CHANGE.pack(change.kind, change.peer_id) for change in self.changes) + self.context

    @staticmethod
    def from_bytes(data: bytes) -> ConfChange:
        """What `to_bytes` encoded. Raises MalformedConfChange."""
        try:
            version, transition, count = _HEADER.unpack_from(data)
            end = _HEADER.size + count * _CHANGE.size
            if version != _FORMAT or len(data) < end:
                raise MalformedConfChange(f"format {version}, {len(data)} bytes for {count} changes")
            changes = tuple(
                ConfChangeSingle(ConfChangeKind(kind), peer_id)
                for kind, peer_id in _CHANGE.iter_unpack(data[_HEADER.size : end])
            )
            return ConfChange(changes, ConfChangeTransition(transition), data[end:])
        except (struct.error, ValueError) as error:
            raise MalformedConfChange(str(error)) from error
