"""What a `RawNode` hands its caller: the work to do, and when each part of it may be done."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from rutile_kv.raft.messages import NO_PEER, ConfState, Entry, HardState, Message, SnapshotMeta
from rutile_proto.values import valueclass


class Role(Enum):
    """Which part of the paper a peer is playing (Figure 4)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@valueclass
class SoftState:
    """What a restart may forget."""

    leader_id: int = NO_PEER
    role: Role = Role.FOLLOWER


@valueclass
class ReadState:
    """A read that was asked for with `context` is linearizable once `index` is applied here."""

    index: int
    context: bytes


@valueclass
class Ready:
    """One round of work. The order of the promises is: `messages` at once; then one atomic write of `snapshot`,
    `entries`, `hard_state` (synced if `must_sync`); then `persisted_messages`; then `RawNode.advance(ready)`.
    While it is being written the node may be stepped, ticked and proposed to; only `ready()` must wait for `advance`.
    """

    soft_state: SoftState | None
    """The leader or the role, if changed. For information, at once. A peer that stops leading forgets the reads and
    the unconfirmed transfer it had: their askers must be told now."""
    hard_state: HardState | None
    """If changed: write it in the same batch as `entries`."""
    entries: Sequence[Entry]
    """To write. They replace whatever the log holds at or after the first of them. The storage must answer with them
    from `advance` on, and may from the write on."""
    snapshot: SnapshotMeta | None
    """To install before `entries`: it replaces log and state machine, and from `advance` on counts as applied.
    Its data came outside of Raft, before the SNAPSHOT message was stepped. Entries handed out earlier and not yet
    applied are inside it: forget them when you install."""
    committed_entries: Sequence[Entry]
    """To apply, in order, each once. They may include entries that are only in `entries` of this Ready, so apply them
    in the same atomic batch or after it; never in an earlier one. Answer with `advance_apply(index)`, before or after
    `advance`; a CONF_CHANGE entry also with `apply_conf_change`, before `advance_apply` passes it."""
    messages: Sequence[Message]
    """To send at once, before or while writing: appends, heartbeats, pre-votes (thesis §10.2.1: the leader writes in
    parallel)."""
    persisted_messages: Sequence[Message]
    """To send only once this Ready is durable: votes asked and given, append responses. At once if not `must_sync`."""
    read_states: Sequence[ReadState]
    """Reads confirmed: each may be served when the applied index has reached its index."""
    must_sync: bool
    """False if the write may stay in the page cache: only the commit index moved, or nothing."""


@valueclass
class ProgressStatus:
    """What a leader knows of one peer."""

    peer_id: int
    is_learner: bool
    state: str
    """probe, replicate or snapshot."""
    match: int
    next: int
    silent_ticks: int
    """Ticks since it last answered; since the election if it never did."""
    paused: bool
    pending_snapshot: int


@valueclass
class Status:
    """A peer as it is now, for people, metrics and heartbeats to PD."""

    id: int
    role: Role
    term: int
    vote: int
    leader_id: int
    first_index: int
    last_index: int
    persisted: int
    commit: int
    applied: int
    conf_state: ConfState
    transferee: int
    pending_reads: int
    progress: tuple[ProgressStatus, ...]
    """Of every member, sorted by peer id; empty unless this peer leads."""
