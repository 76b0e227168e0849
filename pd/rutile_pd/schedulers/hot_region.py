"""Spreads load: from the store that bears the most of a flow, a hot peer goes to one that bears least.

Writing loads every peer, so a peer moves. Reading and CPU load the leader: the lead is passed on where a follower
stands on a store that bears little, else the leader's peer moves. Only regions that were hot for some reports in a row
count, and a move must leave the two stores closer than they were: a region that is hotter than the gap would only carry
the heat elsewhere. (What to do about such a region is to split it, which stores do by themselves.)
"""

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import TransferLeader
from rutile_pd.regions.load_statistics import Flow, Load, LoadStatistics
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.targets import may_hold, replacement
from rutile_pd.schedulers.view import View

LEAST_GAP = 1.0
"""In multiples of what makes a region hot; stores that are closer are left alone."""
MAX_REGIONS = 128
"""Hot regions looked at in one round, the hottest."""
TRIED = 16
"""Regions of the hottest store, and stores for each, tried in one round."""


def schedule(view: View) -> list[Operator]:
    """One move for each flow, if the limit leaves room."""
    moves: dict[int, Operator] = {}
    for flow in Flow:
        move = _spread(flow, view) if view.room_for(Kind.HOT_REGION) > len(moves) else None
        if move is not None:
            moves.setdefault(move.region_id, move)
    return list(moves.values())


def _spread(flow: Flow, view: View) -> Operator | None:
    hot = _steady(flow, view)
    borne = loads_by_store(hot, flow, view)
    if not borne:
        return None
    hottest = max(borne, key=lambda store_id: (borne[store_id], -store_id))
    on_it = [(region, load) for region, load in hot if hottest in LoadStatistics.loaded_stores(region, flow)]
    for region, load in on_it[:TRIED]:
        peer = region.peer_on(hottest)
        if peer is not None and view.is_free(region):
            move = _cooler(region, peer, load.heat(view.config), flow, borne, view)
            if move is not None:
                return move
    return None


def _steady(flow: Flow, view: View) -> list[tuple[RegionInfo, Load]]:
    """Regions that are hot for a while, the hottest first."""
    threshold = view.config.hot_region_cache_hits_threshold
    hottest = view.loads.hot(flow, view.config)[:MAX_REGIONS]
    known = ((view.regions.by_id(region_id), load) for region_id, load in hottest)
    return [(region, load) for region, load in known if region is not None and load.degree >= threshold]


def loads_by_store(hot: list[tuple[RegionInfo, Load]], flow: Flow, view: View) -> dict[int, float]:
    """What each member bears of these regions, in multiples of what makes a region hot."""
    borne = {store.id: 0.0 for store in view.stores.up() if view.is_connected(store)}
    for region, load in hot:
        for store_id in LoadStatistics.loaded_stores(region, flow):
            if store_id in borne:
                borne[store_id] += load.heat(view.config)
    return borne


def _cooler(
    region: RegionInfo, peer: Peer, heat: float, flow: Flow, borne: dict[int, float], view: View
) -> Operator | None:
    """A move that leaves the two stores closer, to the store that bears least."""
    targets = [
        store_id
        for store_id in sorted(borne, key=lambda each: (borne[each], each))[:TRIED]
        if borne[peer.store_id] - borne[store_id] > max(heat, LEAST_GAP)
    ]
    reason = f"spread hot {flow}s"
    if flow is Flow.READ:
        heir = next((s for s in targets if (held := region.peer_on(s)) and view.may_lead(region, held)), None)
        if heir is not None:
            return view.operator(region, reason, (TransferLeader(heir),), Kind.HOT_REGION)
    return _moved(region, peer, targets, reason, view)


def _moved(region: RegionInfo, peer: Peer, targets: list[int], reason: str, view: View) -> Operator | None:
    served = view.fit(region).serving(peer)
    if served is None:
        return None
    near = [view.labels(each.store_id) or {} for each in served.peers if each != peer]
    target = next((s for s in targets if may_hold(s, region, served.rule, near, view)), None)
    if target is None:
        return None
    return replacement(region, peer, target, served.rule, reason, Kind.HOT_REGION, view)
