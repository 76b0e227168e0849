"""Spreads regions on request: those of one group end up on as many stores, and as many lead, as there are.

Regions come from splits, and then lie where their parent lay. Whoever is going to load them evenly asks for them to be
scattered, all under one group name. For each group the scatterer counts what it has left or put where; a region keeps
its place unless that makes the counts uneven. One peer moves at a time at most.
"""

from collections import OrderedDict

from rutile_pd.operators import AddLearner, Operator, Promote, Remove, Step, TransferLeader, in_joint
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers.view import View
from rutile_proto import metapb_pb2 as metapb

REASON = "scatter-region"
"""What client-go waits for the end of, by this very name."""
MAX_GROUPS = 64
"""Groups remembered, the oldest is forgotten first."""


class Scatterer:
    """What was put where, by group."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _Counts] = OrderedDict()

    def steps(self, region: RegionInfo, group: str, peer_id: int, view: View) -> tuple[Step, ...] | None:
        """How to move the region, a new peer getting `peer_id`; empty if it lies well, None if it cannot be touched."""
        voters = [peer for peer in region.meta.peers if peer.role == metapb.Voter]
        is_well = not region.down_peers and not region.pending_peers and len(voters) == len(region.meta.peers)
        if region.leader is None or in_joint(region) or not is_well or view.operators.get(region.id) is not None:
            return None
        counts = self._groups.setdefault(group, _Counts())
        while len(self._groups) > MAX_GROUPS:
            self._groups.popitem(last=False)
        move = counts.uneven(voters, [store.id for store in view.stores.up() if view.accepts_peer(store)])
        stays = [peer.store_id for peer in voters if move is None or peer is not move[0]]
        holders = stays if move is None else [*stays, move[1]]
        leads = counts.place(holders, region.leader.store_id)
        return _steps(region, move, leads, peer_id)


class _Counts:
    """Peers and leaders of one group, by store."""

    def __init__(self) -> None:
        self._peers: dict[int, int] = {}
        self._leaders: dict[int, int] = {}

    def uneven(self, voters: list[metapb.Peer], open_stores: list[int]) -> tuple[metapb.Peer, int] | None:
        """(peer to move, store to move it to), or None if that would not make the stores more even."""
        held = [peer.store_id for peer in voters]
        free = [store_id for store_id in open_stores if store_id not in held]
        if not free:
            return None
        fullest = max(voters, key=lambda peer: (self._peers.get(peer.store_id, 0), -peer.store_id))
        emptiest = min(free, key=lambda store_id: (self._peers.get(store_id, 0), store_id))
        gap = self._peers.get(fullest.store_id, 0) - self._peers.get(emptiest, 0)
        return (fullest, emptiest) if gap > 0 else None

    def place(self, holders: list[int], leading: int) -> int:
        """Count a region of these stores; the one that should lead it."""
        for store_id in holders:
            self._peers[store_id] = self._peers.get(store_id, 0) + 1
        leads = min(holders, key=lambda store_id: (self._leaders.get(store_id, 0), store_id != leading, store_id))
        self._leaders[leads] = self._leaders.get(leads, 0) + 1
        return leads


def _steps(region: RegionInfo, move: tuple[metapb.Peer, int] | None, leads: int, peer_id: int) -> tuple[Step, ...]:
    """Add, promote, hand over, remove: as much of it as there is to do."""
    assert region.leader is not None, "somebody leads a region that is scattered"
    transfer = [TransferLeader(leads)] if leads != region.leader.store_id else []
    if move is None:
        return tuple(transfer)
    gone, target = move
    return (AddLearner(target, peer_id), Promote(target, peer_id), *transfer, Remove(gone.store_id, gone.id))


def operator(region: RegionInfo, steps: tuple[Step, ...], view: View) -> Operator:
    """The operator that takes the steps."""
    return Operator.on(region, REASON, steps, view.now_ms)
