"""What goes into the store's core and what comes out. One sentence a class; ordering promises live on the fields.

A `token` is whatever the caller wants to recognise its request by; the core hands it back in exactly one `Completion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rutile_kv.engine.api import Modify, Snapshot, WriteBatch
from rutile_kv.raft.messages import SnapshotMeta
from rutile_kv.raftstore.snapshot import SnapshotPayload
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RutileError
from rutile_proto.values import valueclass

# --- events -----------------------------------------------------------------------------------------------------------


@valueclass
class Tick:
    """One tick of time has passed for every region."""


@valueclass
class StoodStill:
    """So many ticks have passed in which this store heard nothing, since it did nothing: its process was stopped, or
    had no processor. Leases end by them; the silence of the others is nothing to act upon."""

    ticks: int


@valueclass
class RaftMessageReceived:
    """Another store sent this. Snapshots come as `SnapshotReceived`."""

    message: raft_serverpb.RaftMessage


@valueclass
class SnapshotReceived:
    """A snapshot message whose data has arrived completely. The core owns the payload from here on and closes it."""

    message: raft_serverpb.RaftMessage
    payload: SnapshotPayload


@valueclass
class SnapshotInstalled:
    """The data of an `InstallSnapshot` is written (not yet synced)."""

    region_id: int
    index: int


@valueclass
class SnapshotSent:
    """A `SendSnapshot` came to its end; the receiver has all of it if `ok`."""

    region_id: int
    to_peer_id: int
    ok: bool


@valueclass
class SplitChecked:
    """A `CheckSplit` came to its end: what the region held while its version was `version`, as far as it was read."""

    region_id: int
    version: int
    size_bytes: int
    keys: int


@valueclass
class HashComputed:
    """A `HashRegion` came to its end."""

    region_id: int
    index: int
    value: bytes


@valueclass
class StoreUnreachable:
    """Messages to that store are being lost."""

    store_id: int


@valueclass
class Write:
    """Make these changes. Completed with None when applied here."""

    token: object
    context: kvrpcpb.Context
    modifies: Sequence[Modify]


@valueclass
class ReadIndex:
    """Say when a read here would be linearizable: on the leader, or on a follower with `context.replica_read`.
    Completed with None when this peer has applied far enough."""

    token: object
    context: kvrpcpb.Context


@valueclass
class Split:
    """Cut a region at these storage keys. Completed with the list of regions it became, left to right."""

    token: object
    context: kvrpcpb.Context
    requests: Sequence[rutilepb.SplitRequest]


@valueclass
class ChangePeers:
    """Change the members of a region; without changes, leave its joint configuration. Completed with the new region."""

    token: object
    context: kvrpcpb.Context
    changes: Sequence[pdpb.ChangePeer]


@valueclass
class Merge:
    """Merge a region into its right neighbour `target`. Completed with the region when that is prepared; whether it
    comes to pass is decided by the target."""

    token: object
    context: kvrpcpb.Context
    target: metapb.Region


@valueclass
class CheckConsistency:
    """Have all replicas of a region compare their data. Completed with None when they have begun: one that differs says
    so itself."""

    token: object
    context: kvrpcpb.Context


@valueclass
class TransferLeader:
    """Ask another peer to lead. Completed with None when asked: who leads in the end, elections say."""

    token: object
    context: kvrpcpb.Context
    to_peer_id: int


Event: TypeAlias = (
    Tick
    | StoodStill
    | RaftMessageReceived
    | SnapshotReceived
    | SnapshotInstalled
    | SnapshotSent
    | SplitChecked
    | HashComputed
    | StoreUnreachable
    | Write
    | ReadIndex
    | Split
    | ChangePeers
    | CheckConsistency
    | Merge
    | TransferLeader
)

# --- effects ----------------------------------------------------------------------------------------------------------

Result: TypeAlias = metapb.Region | list[metapb.Region] | None


@valueclass
class Completion:
    """The end of a request: its result, or why not."""

    token: object
    result: Result = None
    error: RutileError | None = None


@valueclass
class SendSnapshot:
    """Stream a region's data after `message`; then close `data` and step `SnapshotSent`, whatever happened."""

    message: raft_serverpb.RaftMessage
    region: metapb.Region
    data: Snapshot


@valueclass
class InstallSnapshot:
    """Write all records of `payload` to the engine, in order; then step `SnapshotInstalled`. The region's old data is
    already deleted by the batch of this round, and its state says Applying until the round after
    `SnapshotInstalled`."""

    region: metapb.Region
    meta: SnapshotMeta
    payload: SnapshotPayload


@valueclass
class CheckSplit:
    """Look whether a region led from here is to be cut, and cut it; step `SplitChecked` once that is known."""

    region: metapb.Region
    size_bytes: int
    keys: int
    """What the counters say."""


@valueclass
class HashRegion:
    """Take an engine snapshot in the turn of the write, hash the region's data in it, step `HashComputed`."""

    region: metapb.Region
    index: int


@valueclass
class MembershipDoubt:
    """A peer that has not heard of a leader for long, and may have been removed."""

    region: metapb.Region
    peer: metapb.Peer


@valueclass
class RegionSplit:
    """This store led a region that split: PD wants to know what it became."""

    regions: list[metapb.Region]


@dataclass(slots=True)
class StoreReady:
    """One round of work of all regions. The order: send `messages`; write `batch` (before anything else is asked of
    the core); hand out `completions` and the other effects; sync if `must_sync`; send `persisted_messages`;
    `Store.advance`. Between the write and `advance` the core may be stepped and read from, but not asked for the next
    round."""

    batch: WriteBatch
    """May be empty. Written in the same turn of the loop in which this was taken."""
    must_sync: bool = False
    """False: what the batch holds can be made again from what is durable."""
    messages: list[raft_serverpb.RaftMessage] = field(default_factory=list)
    """Send at once: appends travel while this store still writes them itself."""
    persisted_messages: list[raft_serverpb.RaftMessage] = field(default_factory=list)
    """Send only after the sync (at once when there is none): they say that something is durable here."""
    completions: list[Completion] = field(default_factory=list)
    """Hand out after the write, without waiting for the sync: what they report is durable on a majority."""
    deposed: list[int] = field(default_factory=list)
    """Regions that were led from here and are not any more. Before the completions."""
    snapshots_to_send: list[SendSnapshot] = field(default_factory=list)
    """Start any time."""
    installs: list[InstallSnapshot] = field(default_factory=list)
    """Start after the write."""
    heartbeats: list[pdpb.RegionHeartbeatRequest] = field(default_factory=list)
    """For PD, any time; without request header."""
    splits: list[RegionSplit] = field(default_factory=list)
    """For PD, any time."""
    doubts: list[MembershipDoubt] = field(default_factory=list)
    """Questions for PD, any time; if the peer is no member, step a tombstone message. Its fellows are asked as well,
    but there may be none left."""
    hashes: list[HashRegion] = field(default_factory=list)
    """Take the snapshot after the write and before anything else is written."""
    alarms: list[str] = field(default_factory=list)
    """Tell people, loudly."""
    split_checks: list[CheckSplit] = field(default_factory=list)
    """Start any time after the write."""
