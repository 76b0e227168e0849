"""A snapshot's way into a peer.

    arrived      `incoming` is set, Raft is shown the message; it may decline, then the payload is dropped
    accepted     Raft's Ready holds it: old data and log are deleted and the region is marked Applying, in that round
    written      the shell wrote all records: the next round makes region, log and applied index those of the snapshot,
                 gives the Ready back, and only then sends what acknowledges it

Until that last round the peer has no other round: its node waits with the Ready outstanding.
"""

from dataclasses import dataclass

from rutile_kv.raft.messages import SnapshotMeta
from rutile_kv.raft.ready import Ready
from rutile_kv.raftstore.snapshot import SnapshotPayload
from rutile_proto import metapb_pb2 as metapb


@dataclass(frozen=True, slots=True)
class IncomingSnapshot:
    """A snapshot that arrived here, from when Raft is shown it until it is installed."""

    region: metapb.Region
    absorbed: tuple[int, ...]
    """The regions that have merged into it: what is left of them here goes away with the installation."""
    index: int
    payload: SnapshotPayload


@dataclass(frozen=True, slots=True)
class Installation:
    """A snapshot whose data is being written."""

    incoming: IncomingSnapshot
    meta: SnapshotMeta
    ready: Ready
