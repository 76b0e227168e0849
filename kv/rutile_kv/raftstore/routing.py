"""Which peer a Raft message is for: the watch at the store's gate.

    from a member, for the peer we have             step it
    for a peer id older than ours                   the sender is behind: drop; if it asks for votes, tell it
    for a peer id newer than ours                   ours was removed and added again: destroy it
    from somebody who is no member, epoch behind    a zombie: drop; if it asks for votes, tell it so ("tombstone")
    for a region we do not have                     create the peer, unless a tombstone or another region forbids

A first message for keys that another region here still covers waits for the split that will hand them over.

A tombstone may also say that a region has merged into another, somewhere else. Our peer of it stays as long as our peer
of that other one is behind: it is about to come by the merge itself and needs what ours has.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Doom:
    """A peer to be destroyed, and what another store said about its region."""

    epoch: metapb.RegionEpoch
    absorbed: tuple[int, ...] = ()
    """Regions that had merged into it: what is left of them here goes as well."""
    merged_into: metapb.Region | None = None


class Gate:
    """Lets Raft messages in. Answers and destructions go into the round that is being gathered."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.doomed: dict[int, Doom] = {}
        """Regions whose peer here must be destroyed in the next round."""

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
        if message.HasField("extra_msg"):
            self._note_extra(message.extra_msg, peer)
            return None
        return peer

    def _note_extra(self, extra: raft_serverpb.ExtraMessage, peer: Peer | None) -> None:
        if peer is not None and extra.type == raft_serverpb.ExtraMessageType.MsgWantRollbackMerge:
            peer.rollback_wanted = extra.premerge_commit

    def _bury(self, message: raft_serverpb.RaftMessage, peer: Peer | None) -> None:
        """Another store says that our peer is no member any more."""
        if peer is None or peer.id != message.to_peer.id:
            return
        if not is_epoch_stale(peer.region.region_epoch, message.region_epoch):
            return
        merged_into = message.merge_target if message.HasField("merge_target") else None
        if merged_into is None or not self._comes_by_merge(merged_into):
            self.doomed[peer.region_id] = Doom(message.region_epoch, tuple(message.absorbed_region_ids), merged_into)

    def _comes_by_merge(self, target: metapb.Region) -> bool:
        """True if this store's peer of `target`, which has absorbed a region, is yet to hear of it."""
        peer = self._registry.peers.get(target.id)
        return peer is not None and peer.region.region_epoch.version < target.region_epoch.version

    def _is_current(self, message: raft_serverpb.RaftMessage, peer: Peer, round_: Round) -> bool:
        region, target_id = peer.region, message.to_peer.id
        if target_id > peer.id:
            self.doomed[peer.region_id] = Doom(region.region_epoch)
            return False
        stale_target = target_id < peer.id
        stranger = peer.outbox.member(message.from_peer.id) is None
        stale_sender = stranger and is_epoch_stale(message.region_epoch, region.region_epoch)
        if stale_sender:
            known = raft_serverpb.RegionLocalState(region=region, absorbed_region_ids=peer.storage.absorbed)
            self._answer_stale(message, known, round_)
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
        has_merged = tombstone.merge_state.HasField("target")
        if has_merged or is_epoch_stale(message.region_epoch, tombstone.region.region_epoch):
            if has_merged or self._knows_gone(tombstone.region, message):
                self._answer_stale(message, tombstone, round_)
            return True
        buried = find_peer_on_store(tombstone.region, self._registry.store_id)
        return buried is not None and message.to_peer.id <= buried.id

    def _knows_gone(self, region: metapb.Region, message: raft_serverpb.RaftMessage) -> bool:
        """True if the sender was a member once and is none any more. That it is not among the members of a tombstone
        says so only if it has not seen a later epoch than they are of: it may have joined since."""
        known_as_of = self._registry.buried_as_of.get(region.id)
        return (
            known_as_of is not None
            and is_epoch_stale(message.region_epoch, known_as_of)
            and find_peer(region, message.from_peer.id) is None
        )

    def _keep_for_split(self, message: raft_serverpb.RaftMessage) -> None:
        votes = self._registry.pending_votes
        if message.message.msg_type in _VOTES and len(votes) < self._registry.config.max_pending_votes:
            votes[message.region_id] = message

    def _answer_stale(
        self, message: raft_serverpb.RaftMessage, known: raft_serverpb.RegionLocalState, round_: Round
    ) -> None:
        """Tell a peer that asks for votes, or whether it still belongs, that it does not."""
        if message.message.msg_type in _VOTES or message.HasField("extra_msg"):
            answer = tombstone_message(known, message.to_peer, message.from_peer)
            round_.ready.messages.append(answer)


def tombstone_message(
    known: raft_serverpb.RegionLocalState, from_peer: metapb.Peer, to_peer: metapb.Peer
) -> raft_serverpb.RaftMessage:
    """Says: as of the epoch of the region, `to_peer` is no member any more; or it was to the end, and the region has
    merged into another."""
    message = raft_serverpb.RaftMessage(
        region_id=known.region.id,
        from_peer=from_peer,
        to_peer=to_peer,
        region_epoch=known.region.region_epoch,
        is_tombstone=True,
        absorbed_region_ids=known.absorbed_region_ids,
    )
    if known.merge_state.HasField("target") and find_peer(known.region, to_peer.id) is not None:
        message.merge_target.CopyFrom(known.merge_state.target)
    return message
