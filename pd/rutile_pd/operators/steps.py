"""Steps: each changes one thing about a region, and can be seen in its reports.

Nobody tells PD that a step was done. It sees it in the next heartbeat, which is also what carries the step that is due
now; so a lost message, a changed leader or a restarted PD cost one repetition. A step knows of a region whether it is
done, by how much it has raised conf_ver (each change of a member raises it by one, entering and leaving a joint
configuration by one for each member concerned), and how to ask for it.
"""

from dataclasses import dataclass
from typing import Protocol

from rutile_pd.regions.region_info import Peer, RegionInfo
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb


@dataclass(slots=True)
class Shape:
    """Where a region's peers and its leader are, while steps are thought through."""

    stores: dict[int, None]
    leader: int


class Step(Protocol):
    """One change to a region."""

    def done(self, region: RegionInfo) -> bool:
        """Whether the next step may follow."""

    def conf_changes(self, region: RegionInfo) -> int:
        """By how much this step has raised conf_ver so far."""

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        """What to ask of the leader (header, region, epoch and target are filled in by the caller); None to wait."""

    def is_safe(self, region: RegionInfo) -> bool:
        """Whether it may be asked for, as the region is now; if not, the operator was made for another situation."""

    def change(self, shape: Shape) -> None:
        """Make of `shape` what the step will make of the region."""


class Plain:
    """What most steps have in common."""

    __slots__ = ()

    def conf_changes(self, region: RegionInfo) -> int:
        return 0

    def is_safe(self, region: RegionInfo) -> bool:
        return True

    def change(self, shape: Shape) -> None:
        """Nothing moves."""


@dataclass(frozen=True, slots=True)
class AddLearner(Plain):
    """A new peer that receives data but has no vote; done when it has caught up."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        peer = region.peer(self.peer_id)
        return peer is not None and (not peer.is_learner or not region.is_pending(peer.id))

    def conf_changes(self, region: RegionInfo) -> int:
        return int(region.peer(self.peer_id) is not None)

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        if region.peer(self.peer_id) is not None:
            return None  # it is there and catches up
        return _change(Peer(self.peer_id, self.store_id, metapb.Learner), eraftpb.AddLearnerNode)

    def change(self, shape: Shape) -> None:
        shape.stores[self.store_id] = None

    def __str__(self) -> str:
        return f"add learner {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class Promote(Plain):
    """A learner becomes a voter."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        peer = region.peer(self.peer_id)
        return peer is not None and peer.role == metapb.Voter

    def conf_changes(self, region: RegionInfo) -> int:
        return int(self.done(region))

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        if region.is_down(self.peer_id) or region.is_pending(self.peer_id):
            return None  # a voter that does not answer could cost the majority
        return _change(Peer(self.peer_id, self.store_id), eraftpb.AddNode)

    def __str__(self) -> str:
        return f"promote {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class Demote(Plain):
    """A voter becomes a learner."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        peer = region.peer(self.peer_id)
        return peer is None or peer.role == metapb.Learner

    def conf_changes(self, region: RegionInfo) -> int:
        return int(self.done(region))

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return _change(Peer(self.peer_id, self.store_id, metapb.Learner), eraftpb.AddLearnerNode)

    def is_safe(self, region: RegionInfo) -> bool:
        return not _leads(region, self.peer_id)

    def __str__(self) -> str:
        return f"demote {self.peer_id} on store {self.store_id}"


@dataclass(frozen=True, slots=True)
class Remove(Plain):
    """A peer leaves."""

    store_id: int
    peer_id: int

    def done(self, region: RegionInfo) -> bool:
        return region.peer(self.peer_id) is None

    def conf_changes(self, region: RegionInfo) -> int:
        return int(self.done(region))

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return _change(Peer(self.peer_id, self.store_id), eraftpb.RemoveNode)

    def change(self, shape: Shape) -> None:
        shape.stores.pop(self.store_id, None)

    def is_safe(self, region: RegionInfo) -> bool:
        return not _leads(region, self.peer_id)

    def __str__(self) -> str:
        return f"remove {self.peer_id} from store {self.store_id}"


@dataclass(frozen=True, slots=True)
class TransferLeader(Plain):
    """Another voter leads."""

    to_store_id: int

    def done(self, region: RegionInfo) -> bool:
        return region.leader is not None and region.leader.store_id == self.to_store_id

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        peer = region.peer_on(self.to_store_id)
        if peer is None or peer.role != metapb.Voter:
            return None  # it was to be here by now; the operator will run out of time
        return pdpb.RegionHeartbeatResponse(transfer_leader=pdpb.TransferLeader(peer=peer.to_pb()))

    def change(self, shape: Shape) -> None:
        shape.leader = self.to_store_id

    def __str__(self) -> str:
        return f"transfer the leader to store {self.to_store_id}"


@dataclass(frozen=True, slots=True)
class EnterJoint(Plain):
    """Learners become voters and voters learners in one change, while both majorities are needed (Raft thesis 4.3).

    So a peer moves without there ever being a voter less or more than wanted.
    """

    promoted: tuple[Peer, ...]
    demoted: tuple[Peer, ...]

    def done(self, region: RegionInfo) -> bool:
        return self.conf_changes(region) == len(self.promoted) + len(self.demoted)

    def conf_changes(self, region: RegionInfo) -> int:
        up = sum(_role(region, peer) in (metapb.IncomingVoter, metapb.Voter) for peer in self.promoted)
        return up + sum(_role(region, peer) in (metapb.DemotingVoter, metapb.Learner, None) for peer in self.demoted)

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse | None:
        if not all(region.is_well(peer) for peer in self.promoted):
            return None  # a voter that does not answer could cost the majority
        changes = [pdpb.ChangePeer(peer=_voter(peer), change_type=eraftpb.AddNode) for peer in self.promoted]
        for peer in self.demoted:
            changes.append(pdpb.ChangePeer(peer=_learner(peer), change_type=eraftpb.AddLearnerNode))
        return pdpb.RegionHeartbeatResponse(change_peer_v2=pdpb.ChangePeerV2(changes=changes))

    def is_safe(self, region: RegionInfo) -> bool:
        return not any(_leads(region, peer.id) for peer in self.demoted)

    def __str__(self) -> str:
        up, down = (", ".join(str(peer.id) for peer in peers) for peers in (self.promoted, self.demoted))
        return f"promote {up} and demote {down} in one"


@dataclass(frozen=True, slots=True)
class LeaveJoint(Plain):
    """End a joint configuration. Stores do so by themselves; asking helps where nobody does."""

    promoted: tuple[Peer, ...] = ()
    demoted: tuple[Peer, ...] = ()

    def done(self, region: RegionInfo) -> bool:
        return not region.in_joint

    def conf_changes(self, region: RegionInfo) -> int:
        up = sum(_role(region, peer) == metapb.Voter for peer in self.promoted)
        return up + sum(_role(region, peer) in (metapb.Learner, None) for peer in self.demoted)

    def order(self, region: RegionInfo) -> pdpb.RegionHeartbeatResponse:
        return pdpb.RegionHeartbeatResponse(change_peer_v2=pdpb.ChangePeerV2())

    def __str__(self) -> str:
        return "leave the joint configuration"


def _role(region: RegionInfo, peer: Peer) -> int | None:
    found = region.peer(peer.id)
    return None if found is None else found.role


def _leads(region: RegionInfo, peer_id: int) -> bool:
    """Whether it leads, perhaps since a moment ago: a leader passes the lead on before it is demoted or removed."""
    return region.leader is not None and region.leader.id == peer_id


def _voter(peer: Peer) -> metapb.Peer:
    return metapb.Peer(id=peer.id, store_id=peer.store_id, role=metapb.Voter)


def _learner(peer: Peer) -> metapb.Peer:
    return metapb.Peer(id=peer.id, store_id=peer.store_id, role=metapb.Learner)


def _change(peer: Peer, kind: eraftpb.ConfChangeType) -> pdpb.RegionHeartbeatResponse:
    return pdpb.RegionHeartbeatResponse(change_peer=pdpb.ChangePeer(peer=peer.to_pb(), change_type=kind))
