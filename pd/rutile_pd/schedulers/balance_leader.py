"""Spreads leaders over stores by their leader scores: who leads too much passes some on, to the followers' stores.

From the most loaded stores down, a few regions of each are drawn, and each is offered to its follower on the least
loaded store. A transfer is worth it if the stores stay in their order, that is if the gap is more than one leader, and
more than the tolerance. So gaps only close, and balance is kept once it is reached. Where the most loaded stores find
nobody, the least loaded ones look for regions of which they hold a follower.
"""

from itertools import islice

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import TransferLeader
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers.view import View

LEAST_STORES = 8
"""Stores looked at from each end in one round; as many as there is room for transfers, if that is more."""
DRAWS = 16
"""Regions drawn of each."""
REASON = "balance leaders"


def schedule(view: View) -> list[Operator]:
    """As many transfers as the limit leaves room for, at most one for each store looked at."""
    moves: list[Operator] = []
    given: dict[int, int] = {}
    drawn: dict[int, None] = {}
    room = view.room_for(Kind.LEADER) if _is_uneven(view) else 0
    for store_id, by_source in _turns(max(LEAST_STORES, room), view):
        if len(moves) >= room:
            break
        move = _away_from(store_id, given, view) if by_source else _to(store_id, given, view)
        if move is None or move.region_id in drawn:
            continue
        drawn[move.region_id] = None
        region = view.regions.by_id(move.region_id)
        assert region is not None and region.leader is not None, "it was drawn a moment ago"
        for end, change in ((region.leader.store_id, -1), (move.new_leader_store() or 0, +1)):
            given[end] = given.get(end, 0) + change
        moves.append(move)
    return moves


def _is_uneven(view: View) -> bool:
    """Whether the most and the least loaded store are farther apart than is tolerated anyhow: if not, nobody is."""
    scores = view.scores.leaders
    most, least = next(scores.falling(), None), next(scores.rising(), None)
    if most is None or least is None:
        return False
    return view.leader_score(most) - view.leader_score(least) > view.config.tolerant_share * scores.average()


def _turns(count: int, view: View) -> list[tuple[int, bool]]:
    """Stores from both ends: (store, whether it gives)."""
    givers = islice(view.scores.leaders.falling(), count)
    takers = islice(view.scores.leaders.rising(), count)
    return [*((store_id, True) for store_id in givers), *((store_id, False) for store_id in takers)]


def _away_from(source: int, given: dict[int, int], view: View) -> Operator | None:
    for region in view.draw(view.regions.figures(source).leaders, DRAWS):
        if view.is_free(region):
            followers = [peer for peer in region.peers if not region.leads(peer)]
            for peer in sorted(followers, key=lambda each: (_score(each.store_id, given, view), each.store_id)):
                if not _narrows(source, peer.store_id, given, view):
                    break
                if view.may_lead(region, peer):
                    return _transfer(region, peer.store_id, view)
    return None


def _to(target: int, given: dict[int, int], view: View) -> Operator | None:
    for region in view.draw(view.regions.figures(target).followers, DRAWS):
        if not view.is_free(region) or region.leader is None:
            continue
        peer = region.peer_on(target)
        if peer is not None and _narrows(region.leader.store_id, target, given, view) and view.may_lead(region, peer):
            return _transfer(region, target, view)
    return None


def _transfer(region: RegionInfo, store_id: int, view: View) -> Operator:
    return view.operator(region, REASON, (TransferLeader(store_id),), Kind.LEADER)


def _score(store_id: int, given: dict[int, int], view: View) -> float:
    return view.leader_score(store_id) + given.get(store_id, 0) / _weight(store_id, view)


def _weight(store_id: int, view: View) -> float:
    """What a leader on the store is divided by; one that is to have none, or is no member, gives leaders only."""
    store = view.stores.find(store_id)
    return store.settings.leader_weight if store is not None and store.settings.leader_weight > 0 else 1.0


def _narrows(source: int, target: int, given: dict[int, int], view: View) -> bool:
    """Whether the stores would be closer together afterwards, and are not close enough."""
    gap = _score(source, given, view) - _score(target, given, view)
    one = (1 / _weight(source, view) + 1 / _weight(target, view)) / 2
    return gap > max(view.config.leader_tolerance * one, view.config.tolerant_share * view.scores.leaders.average())
