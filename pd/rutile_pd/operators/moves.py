"""From the peers a region has to those it should have, in steps that never cost the majority.

    1. new peers come as learners and catch up
    2. the lead passes to a voter that stays, if the leader is to go
    3. learners become voters and voters learners in one joint change; one kind alone goes one by one
    4. who is to go leaves, as a learner if a joint change has made it one

Where no present voter stays (a region of one replica moves), the new voters are made first, then one of them leads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rutile_pd.operators.steps import AddLearner, Demote, EnterJoint, LeaveJoint, Promote, Remove, Step, TransferLeader
from rutile_pd.regions.region_info import Peer, RegionInfo
from rutile_proto import metapb_pb2 as metapb


@dataclass(frozen=True, slots=True)
class Wanted:
    """A region as it should be."""

    roles: Mapping[int, int]
    """By store: metapb.Voter or metapb.Learner."""
    leaders: Sequence[int] = ()
    """Stores that may lead, the best first; if the present leader is among them, it stays."""

    @classmethod
    def like(cls, region: RegionInfo) -> dict[int, int]:
        """The roles a region has, to be changed."""
        return {peer.store_id: peer.role for peer in region.peers}


def steps_to(region: RegionInfo, wanted: Wanted, new_id: Callable[[], int | None]) -> tuple[Step, ...] | None:
    """The steps; empty if nothing is to be done. None if ids are wanting, or if nobody could lead."""
    held = {peer.store_id: peer for peer in region.peers}
    new = [(store_id, new_id()) for store_id in wanted.roles if store_id not in held]
    added = [Peer(peer_id, store_id, metapb.Learner) for store_id, peer_id in new if peer_id is not None]
    leader = _leader(region, wanted)
    if len(added) < len(new) or leader is None:
        return None
    learners = [peer for peer in region.peers if peer.is_learner and peer.store_id in wanted.roles] + added
    promoted = tuple(peer for peer in learners if wanted.roles[peer.store_id] == metapb.Voter)
    lowered = [peer for peer in region.peers if not peer.is_learner and wanted.roles.get(peer.store_id) != metapb.Voter]
    gone = [peer for peer in region.peers if peer.store_id not in wanted.roles]
    arrivals: list[Step] = [AddLearner(peer.store_id, peer.id) for peer in added]
    return tuple(arrivals + _changes(region, leader, promoted, lowered, gone))


def _leader(region: RegionInfo, wanted: Wanted) -> int | None:
    """The store that is to lead: where the lead is now, else the best that votes already, else the best."""
    voters = [store_id for store_id in wanted.leaders if wanted.roles.get(store_id) == metapb.Voter]
    present = region.leader.store_id if region.leader is not None else 0
    if present in voters:
        return present
    ready = [s for s in voters if (peer := region.peer_on(s)) is not None and not peer.is_learner]
    return next(iter(ready + voters), None)


def _changes(
    region: RegionInfo, leader: int, promoted: tuple[Peer, ...], lowered: list[Peer], gone: list[Peer]
) -> list[Step]:
    present = region.leader.store_id if region.leader is not None else 0
    hand_over: list[Step] = [TransferLeader(leader)] if leader != present else []
    removals: list[Step] = [Remove(peer.store_id, peer.id) for peer in gone]
    promotions: list[Step] = [Promote(peer.store_id, peer.id) for peer in promoted]
    demotions: list[Step] = [Demote(peer.store_id, peer.id) for peer in lowered if peer not in gone]
    if any(peer.store_id == leader for peer in promoted):
        return promotions + hand_over + demotions + removals
    if promoted and lowered:
        joint: list[Step] = [EnterJoint(promoted, tuple(lowered)), LeaveJoint(promoted, tuple(lowered))]
        return hand_over + joint + removals
    return hand_over + promotions + demotions + removals
