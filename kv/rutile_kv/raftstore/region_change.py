"""What admin commands make of a region: pure functions on metapb.Region.

Nothing here is changed in place, because regions are shared with readers, heartbeats and errors.
"""

from collections.abc import Sequence

from rutile_kv.raft.messages import ConfState
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, KeyNotInRegion

VOTER, LEARNER = metapb.PeerRole.Voter, metapb.PeerRole.Learner
INCOMING, DEMOTING = metapb.PeerRole.IncomingVoter, metapb.PeerRole.DemotingVoter


def is_epoch_stale(epoch: metapb.RegionEpoch, current: metapb.RegionEpoch) -> bool:
    """True when `epoch` is behind `current` in range or in members."""
    return epoch.version < current.version or epoch.conf_ver < current.conf_ver


def contains(region: metapb.Region, key: bytes) -> bool:
    return key >= region.start_key and (not region.end_key or key < region.end_key)


def check_key(region: metapb.Region, key: bytes) -> None:
    """Raises KeyNotInRegion when the storage key (with or without a version behind it) is outside."""
    if not contains(region, key):
        raise KeyNotInRegion(key, region.id, region.start_key, region.end_key)


def copy_region(region: metapb.Region) -> metapb.Region:
    copied = metapb.Region()
    copied.CopyFrom(region)
    return copied


def find_peer(region: metapb.Region, peer_id: int) -> metapb.Peer | None:
    return next((peer for peer in region.peers if peer.id == peer_id), None)


def find_peer_on_store(region: metapb.Region, store_id: int) -> metapb.Peer | None:
    return next((peer for peer in region.peers if peer.store_id == store_id), None)


def is_joint(region: metapb.Region) -> bool:
    return any(peer.role in (INCOMING, DEMOTING) for peer in region.peers)


def conf_state_of(region: metapb.Region) -> ConfState:
    """The Raft configuration that the roles of a region's peers stand for."""

    def with_roles(*roles: metapb.PeerRole) -> tuple[int, ...]:
        return tuple(sorted(peer.id for peer in region.peers if peer.role in roles))

    joint = is_joint(region)
    return ConfState(
        voters=with_roles(VOTER, INCOMING),
        learners=with_roles(LEARNER),
        voters_outgoing=with_roles(VOTER, DEMOTING) if joint else (),
        learners_next=with_roles(DEMOTING),
        auto_leave=False,
    )


# --- splits -----------------------------------------------------------------------------------------------------------


def check_split(region: metapb.Region, requests: Sequence[rutilepb.SplitRequest]) -> None:
    """Raises InvalidRequest or KeyNotInRegion when the keys are not rising inside the region or ids are missing."""
    if not requests:
        raise InvalidRequest(f"a split of region {region.id} names no keys")
    border = region.start_key
    for request in requests:
        check_key(region, request.split_key)
        if request.split_key <= border:
            raise InvalidRequest(f"split keys of region {region.id} must rise and differ from its start key")
        if len(request.new_peer_ids) != len(region.peers):
            raise InvalidRequest(f"region {region.id} has {len(region.peers)} peers, the split brings other ids")
        border = request.split_key


def split_region(
    region: metapb.Region, requests: Sequence[rutilepb.SplitRequest]
) -> tuple[list[metapb.Region], metapb.Region]:
    """(new regions from left to right, what is left of the region: its last range, under its old id)."""
    rest = copy_region(region)
    rest.region_epoch.version += len(requests)
    children = []
    for request in requests:
        child = copy_region(rest)
        child.id = request.new_region_id
        child.end_key = request.split_key
        for peer, peer_id in zip(child.peers, request.new_peer_ids, strict=True):
            peer.id = peer_id
        children.append(child)
        rest.start_key = request.split_key
    return children, rest


# --- members ----------------------------------------------------------------------------------------------------------


def change_members(region: metapb.Region, command: rutilepb.ConfChangeV2Cmd) -> metapb.Region:
    """The region after the change. Raises InvalidRequest, deterministically, when the change makes no sense.

    One change takes effect at once; several open a joint configuration; `leave_joint` closes it.
    """
    if command.leave_joint:
        return _leave_joint(region)
    if is_joint(region):
        raise InvalidRequest(f"region {region.id} is in a joint configuration: leave it first")
    if not command.changes:
        raise InvalidRequest(f"a change of region {region.id} names no peers")
    if len({change.peer.id for change in command.changes}) < len(command.changes):
        raise InvalidRequest(f"a change of region {region.id} names a peer twice")
    changed = copy_region(region)
    for change in command.changes:
        _change_member(changed, change, joint=len(command.changes) > 1)
        changed.region_epoch.conf_ver += 1
    if len(command.changes) > 1 and not is_joint(changed):
        raise InvalidRequest(f"several changes of region {region.id} at once, but none of them moves a voter")
    return changed


def _change_member(region: metapb.Region, change: pdpb.ChangePeer, joint: bool) -> None:
    peer = find_peer(region, change.peer.id)
    if change.change_type == eraftpb.ConfChangeType.RemoveNode:
        _remove_member(region, change.peer.id, peer, joint)
    elif peer is None:
        _add_member(region, change, joint)
    elif change.change_type == eraftpb.ConfChangeType.AddNode and peer.role == LEARNER:
        peer.role = INCOMING if joint else VOTER
    elif change.change_type == eraftpb.ConfChangeType.AddLearnerNode and peer.role == VOTER:
        peer.role = DEMOTING if joint else LEARNER
    else:
        raise InvalidRequest(f"peer {peer.id} of region {region.id} already has that role")


def _remove_member(region: metapb.Region, peer_id: int, peer: metapb.Peer | None, joint: bool) -> None:
    if peer is None:
        raise InvalidRequest(f"region {region.id} has no peer {peer_id} to remove")
    if joint and peer.role != LEARNER:
        raise InvalidRequest(f"peer {peer_id} votes in region {region.id}: demote it first, then remove it")
    region.peers.remove(peer)
    if not any(left.role == VOTER for left in region.peers):
        raise InvalidRequest(f"peer {peer_id} is the last voter of region {region.id}")


def _add_member(region: metapb.Region, change: pdpb.ChangePeer, joint: bool) -> None:
    if find_peer_on_store(region, change.peer.store_id) is not None:
        raise InvalidRequest(f"region {region.id} already has a peer on store {change.peer.store_id}")
    added = region.peers.add(id=change.peer.id, store_id=change.peer.store_id)
    if change.change_type == eraftpb.ConfChangeType.AddLearnerNode:
        added.role = LEARNER
    else:
        added.role = INCOMING if joint else VOTER


def _leave_joint(region: metapb.Region) -> metapb.Region:
    if not is_joint(region):
        raise InvalidRequest(f"region {region.id} is not in a joint configuration")
    changed = copy_region(region)
    for peer in changed.peers:
        if peer.role in (INCOMING, DEMOTING):
            peer.role = VOTER if peer.role == INCOMING else LEARNER
            changed.region_epoch.conf_ver += 1
    return changed
