"""Spreads what stores hold by their peer scores: bytes that will lie on them, by weight and remaining space.

From the most loaded stores down, a few regions of each are drawn, followers before leaders (a lead need not be passed
on) and learners last. For each, the least loaded store is looked for that may hold the peer by the region's rule and
leaves the rule's peers as far apart as they are. A move is worth it if it leaves the two stores closer than they were,
and the gap is more than the tolerance; so moves come to an end. They go through a learner and a joint change, and both
stores have their limits per minute.
"""

from itertools import islice, takewhile

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.placement.isolation import distance_to_all
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.scores import crowding, region_score
from rutile_pd.schedulers.targets import may_hold, replacement
from rutile_pd.schedulers.view import View

MAX_STORES = 64
"""Stores looked at in one round, the most loaded."""
DRAWS = 8
"""Regions drawn of each, for each role."""
MAX_TARGETS = 64
"""Stores tried for one region, the least loaded."""
REASON = "balance regions"


def schedule(view: View) -> list[Operator]:
    """At most one move from each of the most loaded stores; a store takes part in one move in a round."""
    room = min(view.room_for(Kind.REGION), MAX_STORES)
    takers = _takers(view)
    moves: list[Operator] = []
    moved: dict[int, None] = {}
    busy: dict[int, None] = {}
    for source in islice(view.scores.peers.falling(), MAX_STORES):
        if len(moves) >= room or not takers:
            break
        move = _away_from(source, takers, moved, view) if source not in busy else None
        if move is not None:
            moves.append(move)
            moved[move.region_id] = None
            busy |= dict.fromkeys(move.target_stores())
            takers = [store_id for store_id in takers if store_id not in busy and store_id != source]
    return moves


def _takers(view: View) -> list[int]:
    """Who may be given a peer now, the least loaded first: below the average, and the tolerance below the most loaded
    store. Asked once a round: where the limits of all of them are used up, nothing is drawn in vain."""
    scores = view.scores.peers
    most = next(scores.falling(), None)
    if most is None:
        return []
    ceiling = min(scores.average(), view.peer_score(most) - _tolerance(view))
    below = takewhile(lambda store_id: view.peer_score(store_id) < ceiling, scores.rising())
    return list(islice((store_id for store_id in below if view.accepts_peer(view.stores.get(store_id))), MAX_TARGETS))


def _away_from(source: int, takers: list[int], moved: dict[int, None], view: View) -> Operator | None:
    if not view.gives_peer(source):
        return None
    figures = view.regions.figures(source)
    for group in (figures.followers, figures.leaders, figures.learners):
        for region in view.draw(group, DRAWS):
            peer = region.peer_on(source)
            if peer is not None and region.id not in moved and view.is_free(region):
                move = _move(region, peer, takers, view)
                if move is not None:
                    return move
    return None


def _tolerance(view: View) -> float:
    return view.config.tolerant_share * view.scores.peers.average()


def _per_unit(source: int, target: int, view: View) -> float:
    """By how much a unit of load moves the scores of both, on the average: more where weights are small or space is
    short. Reckoned lower, a region would go to and fro between stores that are all crowded."""
    stores = [view.stores.get(store_id) for store_id in (source, target)]
    weighty = [store for store in stores if store.settings.region_weight > 0]
    return sum(crowding(store, view.config) / store.settings.region_weight for store in weighty) / 2


def _move(region: RegionInfo, peer: Peer, takers: list[int], view: View) -> Operator | None:
    targets = [store_id for store_id in takers if _narrows(region, peer.store_id, store_id, view)]
    served = view.fit(region).serving(peer) if targets else None
    if served is None:
        return None  # nowhere to go; or an orphan, which is the rule checker's
    near = [view.labels(each.store_id) or {} for each in served.peers if each != peer]
    needed = distance_to_all(view.labels(peer.store_id) or {}, near, served.rule.location_labels)
    for target in targets:
        if not may_hold(target, region, served.rule, near, view):
            continue
        if distance_to_all(view.stores.get(target).labels, near, served.rule.location_labels) >= needed:
            return replacement(region, peer, target, served.rule, REASON, Kind.REGION, view)
    return None


def _narrows(region: RegionInfo, source: int, target: int, view: View) -> bool:
    """Whether the two stores would be closer together afterwards, and are not close enough."""
    gap = view.peer_score(source) - view.peer_score(target)
    if gap <= _tolerance(view):
        return False
    return gap > region_score(region.approximate_size_bytes) * _per_unit(source, target, view)
