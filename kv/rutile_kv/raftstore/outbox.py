"""Raft's messages with their addresses: peer ids become peers on stores, snapshots become transfers."""

from collections.abc import Sequence

from rutile_kv.raft.codec import fill_pb
from rutile_kv.raft.messages import Message, MessageKind
from rutile_kv.raftstore.events import SendSnapshot
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.round import Round
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

_WITH_RANGE = frozenset({MessageKind.VOTE, MessageKind.PRE_VOTE, MessageKind.HEARTBEAT, MessageKind.SNAPSHOT})
"""Messages that may be the first a store hears of a region: they say which keys it covers."""


class Outbox:
    """What one peer sends. `sender` is kept up to date with what its region calls it."""

    def __init__(self, sender: metapb.Peer, storage: PeerStorage) -> None:
        self.sender = sender
        self._storage = storage
        self._members_of: metapb.Region | None = None
        self._members: dict[int, metapb.Peer] = {}
        self._envelopes: dict[int, raft_serverpb.RaftMessage] = {}
        """For each member, what every message to it begins with: the ids and the epoch. Copying that costs a fourth of
        putting it together."""
        self._enclosed_by: metapb.Peer | None = None
        """The sender as it stands in them."""
        self._strangers: dict[int, metapb.Peer] = {}
        """Peers that sent something but are no members as far as is known here: the leader of a newer region."""

    def note(self, peer: metapb.Peer) -> None:
        """Remember where a message came from."""
        if self.member(peer.id) is None:
            self._strangers[peer.id] = peer

    def member(self, peer_id: int) -> metapb.Peer | None:
        """A member of the region as it is now. Asked for every message; regions are replaced, never changed."""
        region = self._storage.region
        if region is not self._members_of:
            self._members_of = region
            self._members = {peer.id: peer for peer in region.peers}
            self._envelopes = {}
        return self._members.get(peer_id)

    def find_peer(self, peer_id: int) -> metapb.Peer | None:
        """A member, or a peer that once sent something."""
        return self.member(peer_id) or self._strangers.get(peer_id)

    def put(self, messages: Sequence[Message], out: list[raft_serverpb.RaftMessage], round_: Round) -> None:
        """Address `messages` into `out`; snapshots go where the round keeps them."""
        for message in messages:
            to_peer = self.find_peer(message.to)
            if message.kind is MessageKind.SNAPSHOT:
                self._put_snapshot(message, to_peer, round_)
            elif to_peer is not None:
                out.append(self._address(message, to_peer))

    def _address(self, message: Message, to_peer: metapb.Peer, snapshot_data: bytes = b"") -> raft_serverpb.RaftMessage:
        addressed = raft_serverpb.RaftMessage()
        addressed.CopyFrom(self._envelope(to_peer))
        fill_pb(addressed.message, message, snapshot_data)
        if message.kind in _WITH_RANGE and self._storage.is_initialised:
            region = self._storage.region
            addressed.start_key, addressed.end_key = region.start_key, region.end_key
        return addressed

    def _envelope(self, to_peer: metapb.Peer) -> raft_serverpb.RaftMessage:
        """A message to `to_peer` that says nothing yet: not to be changed."""
        if self._enclosed_by is not self.sender:
            self._enclosed_by, self._envelopes = self.sender, {}
        is_member = self.member(to_peer.id) is not None
        envelope = self._envelopes.get(to_peer.id)
        if envelope is None:
            region = self._storage.region
            envelope = raft_serverpb.RaftMessage(
                region_id=region.id, from_peer=self.sender, to_peer=to_peer, region_epoch=region.region_epoch
            )
            if is_member:
                self._envelopes[to_peer.id] = envelope
        return envelope

    def _put_snapshot(self, message: Message, to_peer: metapb.Peer | None, round_: Round) -> None:
        assert message.snapshot is not None, "a snapshot message without its metadata"
        data, about = self._storage.take_snapshot(message.snapshot.index)
        if to_peer is None:
            data.close()
            self._storage.snapshot_done()
            return
        addressed = self._address(message, to_peer, about.SerializeToString())
        round_.ready.snapshots_to_send.append(SendSnapshot(addressed, about.region, data))
