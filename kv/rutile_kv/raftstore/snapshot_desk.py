"""Snapshots as a store hears of them: they arrive, their data is written, one was sent."""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from rutile_kv.raft.codec import message_from_pb
from rutile_kv.raft.messages import Message
from rutile_kv.raftstore.events import SnapshotInstalled, SnapshotReceived, SnapshotSent
from rutile_kv.raftstore.installation import IncomingSnapshot
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.region_change import find_peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.routing import Gate
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import InvalidRequest


class SnapshotDesk:
    """`step` shows a Raft message to a peer."""

    def __init__(self, registry: Registry, gate: Gate, step: Callable[[Peer, metapb.Peer, Message], None]) -> None:
        self._registry = registry
        self._gate = gate
        self._step = step

    def arrived(self, event: SnapshotReceived, round_: Round) -> None:
        """Show it to the peer it is for, if it may be installed. Raises InvalidRequest; the payload is closed then."""
        try:
            message = message_from_pb(event.message.message)
            about = raft_serverpb.RaftSnapshotData.FromString(event.message.message.snapshot.data)
        except (InvalidRequest, DecodeError) as cause:
            event.payload.close()
            raise InvalidRequest(f"region {event.message.region_id}: a malformed snapshot message: {cause}") from cause
        peer = self._gate.admit(event.message, round_)
        if peer is None or message.snapshot is None or not self._may_install(peer, about):
            event.payload.close()
            return
        absorbed = tuple(about.absorbed_region_ids)
        peer.incoming = IncomingSnapshot(about.region, absorbed, message.snapshot.index, event.payload)
        self._registry.reserved[peer.region_id] = about.region
        self._step(peer, event.message.from_peer, message)

    def installed(self, event: SnapshotInstalled) -> None:
        """All its data is in the engine: the next round makes it true."""
        peer = self._registry.peers.get(event.region_id)
        if peer is not None and peer.installation is not None and peer.installation.meta.index == event.index:
            peer.data_written = True
            self._registry.touch(event.region_id)

    def sent(self, event: SnapshotSent) -> None:
        """One has left, or has not."""
        self._registry.quota.give_back()
        peer = self._registry.peers.get(event.region_id)
        if peer is not None:
            peer.node.report_snapshot(event.to_peer_id, event.ok)
            self._registry.touch(event.region_id)

    def abandon(self) -> None:
        """Close all that arrived and is not installed: the store will not be stepped again."""
        for peer in self._registry.peers.values():
            installing = peer.installation.incoming if peer.installation is not None else None
            for held in (peer.incoming, installing):
                if held is not None:
                    held.payload.close()

    def _may_install(self, peer: Peer, about: raft_serverpb.RaftSnapshotData) -> bool:
        """One snapshot at a time, only of this peer's region with this peer in it, and never over another region; but
        what is left here of regions that have merged into this one makes room."""
        region = about.region
        return (
            peer.incoming is None
            and peer.installation is None
            and region.id == peer.region_id
            and find_peer(region, peer.id) is not None
            and not self._registry.is_covered_by_other(
                region.id, region.start_key, region.end_key, about.absorbed_region_ids
            )
        )
