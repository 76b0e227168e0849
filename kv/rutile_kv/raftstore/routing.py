"""Which peer a Raft message is for: the watch at the store's gate.

    from a member, for the peer we have             step it
    for a peer id older than ours                   the sender is behind: drop; if it asks for votes, tell it
    for a peer id newer than ours                   ours was removed and added again: destroy it
    from somebody who is no member, epoch behind    a zombie: drop; if it asks for votes, tell it so ("tombstone")
    for a region we do not have                     create the peer, unless a tombstone or another region forbids

A first message for keys that another region here still covers waits for the split that will hand them over.
"""

from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.region_change import find_peer, find_peer_on_store, is_epoch_stale
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb

_VOTES = (eraftpb.MessageType.MsgRequestVote, eraftpb.MessageType.MsgRequestPreVote)
_FIRST = (*_VOTES, eraftpb.MessageType.MsgHeartbeat)
"""What a leader or candidate says to somebody it knows nothing of. Snapshots follow the answer to a heartbeat."""


class Gate:
    """Lets Raft messages in. Answers and destructions go into the round that is being gathered."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.doomed: dict[int, metapb.RegionEpoch] = {}
        """Regions whose peer here must be destroyed in the next round, with the epoch of the tombstone."""

    def admit(self, message: raft_serverpb.RaftMessage, round_: Round) -> Peer | None:
        """The peer to step `message` into, or None when there is nothing to step."""
        region_id = message.region_id
        if message.to_peer.store_id != self._registry.store_id or region_id in self.doomed:
            return None
        peer = self._registry.peers.get(region_id)
        if message.is_tombstone:
            self._bury(message, peer)
            return None
        if peer is None:
            peer = self._create(message, round_)
        elif not self._is_current(message, peer, round_):
            return None
        return None if message.HasField("extra_msg") else peer

    def _bury(self, message: raft_serverpb.RaftMessage, peer: Peer | None) -> None:
        """Another store says that our peer is no member any more."""
        if peer is None or peer.id != message.to_peer.id:
            return
        if is_epoch_stale(peer.region.region_epoch, message.region_epoch):
            self.doomed[peer.region_id] = message.region_epoch

    def _is_current(self, message: raft_serverpb.RaftMessage, peer: Peer, round_: Round) -> bool:
        region = peer.region
        if message.to_peer.id > peer.id:
            self.doomed[peer.region_id] = region.region_epoch
            return False
        stale_target = message.to_peer.id < peer.id
        stranger = find_peer(region, message.from_peer.id) is None
        stale_sender = stranger and is_epoch_stale(message.region_epoch, region.region_epoch)
        if stale_sender:
            self._answer_stale(message, region, round_)
        return not (stale_target or stale_sender)

    def _create(self, message: raft_serverpb.RaftMessage, round_: Round) -> Peer | None:
        registry, region_id = self._registry, message.region_id
        if self._is_forbidden(message, round_) or message.message.msg_type not in _FIRST:
            return None
        if message.HasField("extra_msg"):
            return None
        if registry.is_covered_by_other(region_id, message.start_key, message.end_key):
            self._keep_for_split(message)
            return None
        return registry.create_uninitialised(region_id, message.to_peer)

    def _is_forbidden(self, message: raft_serverpb.RaftMessage, round_: Round) -> bool:
        """True if a tombstone here is newer than what the sender knows."""
        tombstone = self._registry.tombstones.get(message.region_id)
        if tombstone is None:
            return False
        if is_epoch_stale(message.region_epoch, tombstone.region_epoch):
            if find_peer(tombstone, message.from_peer.id) is None:
                self._answer_stale(message, tombstone, round_)
            return True
        buried = find_peer_on_store(tombstone, self._registry.store_id)
        return buried is not None and message.to_peer.id <= buried.id

    def _keep_for_split(self, message: raft_serverpb.RaftMessage) -> None:
        votes = self._registry.pending_votes
        if message.message.msg_type in _VOTES and len(votes) < self._registry.config.max_pending_votes:
            votes[message.region_id] = message

    def _answer_stale(self, message: raft_serverpb.RaftMessage, region: metapb.Region, round_: Round) -> None:
        """Tell a peer that asks for votes, or whether it still belongs, that it does not."""
        if message.message.msg_type in _VOTES or message.HasField("extra_msg"):
            answer = tombstone_message(region, message.to_peer, message.from_peer)
            round_.ready.messages.append(answer)


def tombstone_message(region: metapb.Region, from_peer: metapb.Peer, to_peer: metapb.Peer) -> raft_serverpb.RaftMessage:
    """Says: as of the epoch of `region`, `to_peer` is no member any more."""
    return raft_serverpb.RaftMessage(
        region_id=region.id,
        from_peer=from_peer,
        to_peer=to_peer,
        region_epoch=region.region_epoch,
        is_tombstone=True,
    )
