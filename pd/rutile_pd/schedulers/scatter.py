"""Spreads regions on request: those of one group end up on as many stores, and as many lead, as there are.

Regions come from splits, and then lie where their parent lay. Whoever is going to load them evenly asks for them to be
scattered, all under one group name. For each group the scatterer counts what it has left or put where; a region keeps
its place unless that makes the counts uneven. One peer moves at a time at most, to a store its rule allows.
"""

from collections import OrderedDict

from rutile_pd.operators.moves import Wanted
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.placement.fit import RegionFit
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.targets import may_hold, reshape
from rutile_pd.schedulers.view import View

REASON = "scatter-region"
"""What client-go waits for the end of, by this very name."""
MAX_GROUPS = 64
"""Groups remembered, the oldest is forgotten first."""


class Scatterer:
    """What was put where, by group."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _Counts] = OrderedDict()

    def can_touch(self, region: RegionInfo, view: View) -> bool:
        """Whether the region can be scattered now."""
        return view.is_free(region) and not view.fit(region).orphans

    def operator(self, region: RegionInfo, group: str, view: View) -> Operator | None:
        """How to move a region that can be touched; None if it lies well."""
        counts = self._groups.setdefault(group, _Counts())
        while len(self._groups) > MAX_GROUPS:
            self._groups.popitem(last=False)
        move = counts.uneven(region, view.fit(region), view)
        roles = Wanted.like(region)
        if move is not None:
            del roles[move[0].store_id]
            roles[move[1]] = move[0].role
        assert region.leader is not None, "somebody leads a region that is scattered"
        newcomers = () if move is None else (move[1],)
        able = (region.leader.store_id, *view.heirs(region), *filter(view.accepts_leader, newcomers))
        leads = counts.place(list(roles), [store_id for store_id in roles if store_id in able], region.leader.store_id)
        return reshape(region, roles, REASON, Kind.SCATTER, view, leaders=() if leads is None else (leads,))


class _Counts:
    """Peers and leaders of one group, by store."""

    def __init__(self) -> None:
        self._peers: dict[int, int] = {}
        self._leaders: dict[int, int] = {}

    def uneven(self, region: RegionInfo, fit: RegionFit, view: View) -> tuple[Peer, int] | None:
        """(peer to move, store to move it to), or None if that would not make the stores more even."""
        emptiest = sorted(view.scores.peers.rising(), key=lambda store_id: (self._peers.get(store_id, 0), store_id))
        for peer in sorted(region.peers, key=lambda each: (-self._peers.get(each.store_id, 0), each.store_id)):
            served = fit.serving(peer)
            for target in emptiest if served is not None else ():
                if self._peers.get(peer.store_id, 0) <= self._peers.get(target, 0):
                    break
                assert served is not None
                near = [view.labels(each.store_id) or {} for each in served.peers if each != peer]
                if may_hold(target, region, served.rule, near, view):
                    return peer, target
        return None

    def place(self, holders: list[int], heirs: list[int], leading: int) -> int | None:
        """Count a region of these stores; the one of its heirs that should lead it, if there is any."""
        for store_id in holders:
            self._peers[store_id] = self._peers.get(store_id, 0) + 1
        leads = min(
            heirs,
            key=lambda store_id: (self._leaders.get(store_id, 0), store_id != leading, store_id),
            default=None,
        )
        if leads is not None:
            self._leaders[leads] = self._leaders.get(leads, 0) + 1
        return leads
