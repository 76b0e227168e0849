"""Spreads what stores hold by their peer scores: bytes that will lie on them, by weight and remaining space.

From the most loaded stores down, a few regions of each are drawn, followers before leaders (a lead need not be passed
on) and learners last. For each, the least loaded store is looked for that may hold the peer by the region's rule and
leaves the rule's peers as far apart as they are. A move is worth it if it leaves the two stores closer than they were,
and the gap is more than the tolerance; so moves come to an end. They go through a learner and a joint change, and both
stores have their limits per minute.
"""

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.placement.isolation import distance_to_all
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.scores import region_score
from rutile_pd.schedulers.targets import may_hold, replacement
from rutile_pd.schedulers.view import View

MAX_STORES = 64
"""Stores looked at in one round, the most loaded."""
DRAWS = 8
"""Regions drawn of each, for each role."""
MAX_TARGETS = 32
"""Stores tried for one region, the least loaded."""
REASON = "balance regions"


def schedule(view: View) -> list[Operator]:
    """At most one move from each of the most loaded stores; a store takes part in one move in a round."""
    room = min(view.room_for(Kind.REGION), MAX_STORES)
    moves: list[Operator] = []
    taken: dict[int, None] = {}
    for number, source in enumerate(view.scores.peers.falling()):
        if len(moves) >= room or number >= MAX_STORES:
            break
        move = _away_from(source, taken, view)
        if move is not None:
            moves.append(move)
            taken |= dict.fromkeys([move.region_id, -source, *(-store_id for store_id in move.target_stores())])
    return moves


def _away_from(source: int, taken: dict[int, None], view: View) -> Operator | None:
    if -source in taken or not view.gives_peer(source) or not _is_over(source, view):
        return None
    figures = view.regions.figures(source)
    for group in (figures.followers, figures.leaders, figures.learners):
        for region in view.draw(group, DRAWS):
            peer = region.peer_on(source)
            if peer is not None and region.id not in taken and view.is_free(region):
                move = _move(region, peer, taken, view)
                if move is not None:
                    return move
    return None


def _is_over(source: int, view: View) -> bool:
    """Whether the store holds more than the least loaded one by more than the tolerance."""
    least = next(view.scores.peers.rising())
    return view.peer_score(source) - view.peer_score(least) > _tolerance(view)


def _tolerance(view: View) -> float:
    return view.config.tolerant_share * view.scores.peers.average()


def _per_unit(source: int, target: int, view: View) -> float:
    """By how much a unit of load moves the scores of both, on the average: more where weights are small."""
    weights = (view.stores.get(store_id).settings.region_weight for store_id in (source, target))
    return sum(1 / weight for weight in weights if weight > 0) / 2


def _move(region: RegionInfo, peer: Peer, taken: dict[int, None], view: View) -> Operator | None:
    served = view.fit(region).serving(peer)
    if served is None:
        return None  # an orphan is the rule checker's
    near = [view.labels(each.store_id) or {} for each in served.peers if each != peer]
    needed = distance_to_all(view.labels(peer.store_id) or {}, near, served.rule.location_labels)
    for number, target in enumerate(view.scores.peers.rising()):
        gap = view.peer_score(peer.store_id) - view.peer_score(target)
        if number >= MAX_TARGETS or gap <= _tolerance(view):
            return None
        if gap <= region_score(region.approximate_size_bytes) * _per_unit(peer.store_id, target, view):
            continue
        if -target in taken or not may_hold(target, region, served.rule, near, view):
            continue
        if distance_to_all(view.stores.get(target).labels, near, served.rule.location_labels) >= needed:
            return replacement(region, peer, target, served.rule, REASON, Kind.REGION, view)
    return None
