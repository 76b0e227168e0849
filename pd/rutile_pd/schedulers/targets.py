"""Where a peer could go: the store that keeps the region's rule best, then the least loaded."""

from collections.abc import Iterable

from rutile_pd.operators.moves import Wanted, steps_to
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.placement.isolation import Labels, distance_to_all, is_isolated
from rutile_pd.placement.rules import Role, Rule
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.view import View
from rutile_proto import metapb_pb2 as metapb


def best_store(
    region: RegionInfo, rule: Rule, others: Iterable[Peer], view: View, stores: Iterable[int] | None = None
) -> int | None:
    """The store for one more peer of the rule, whose `others` stay; None if no store will do.

    The farthest from the others first, among those the least loaded. `stores` in the order of preference; all, least
    loaded first, unless given. Without location labels the first fit one ends the search.
    """
    near = [labels for peer in others if (labels := view.labels(peer.store_id)) is not None]
    ideal = len(near) * 100 ** (len(rule.location_labels) - 1) if rule.location_labels else 0
    best, best_distance = None, -1
    for store_id in view.scores.peers.rising() if stores is None else stores:
        if not may_hold(store_id, region, rule, near, view):
            continue
        distance = distance_to_all(view.stores.get(store_id).labels, near, rule.location_labels)
        if distance > best_distance:
            best, best_distance = store_id, distance
        if distance >= ideal:
            break
    return best


def may_hold(store_id: int, region: RegionInfo, rule: Rule, near: list[Labels], view: View) -> bool:
    """Whether the store may be given a peer of the rule now, and has none of the region."""
    store = view.stores.get(store_id)
    return (
        region.peer_on(store_id) is None
        and rule.allows(store.labels)
        and view.accepts_peer(store)
        and is_isolated(store.labels, near, rule.location_labels, rule.isolation_level)
    )


def replacement(
    region: RegionInfo, old: Peer, store_id: int, rule: Rule, reason: str, kind: Kind, view: View
) -> Operator | None:
    """An operator that moves a peer to a store, in the rule's role. None if it cannot be made now."""
    roles = Wanted.like(region)
    del roles[old.store_id]
    roles[store_id] = role_of(rule)
    return reshape(region, roles, reason, kind, view, newcomers=(store_id,))


def reshape(
    region: RegionInfo,
    roles: dict[int, int],
    reason: str,
    kind: Kind,
    view: View,
    newcomers: tuple[int, ...] = (),
    leaders: tuple[int, ...] = (),
) -> Operator | None:
    """An operator that gives the region these roles by store. The leader stays if it may; else an heir, else a
    newcomer leads. `leaders`, if given, come first of all. None if nothing is to be done, or it cannot be made now."""
    present = () if region.leader is None else (region.leader.store_id,)
    order = leaders or (*present, *view.heirs(region), *newcomers)
    steps = steps_to(region, Wanted(roles, order), view.ids.take)
    return view.operator(region, reason, steps, kind) if steps else None


def role_of(rule: Rule) -> int:
    """The Raft role of a rule's peers."""
    return metapb.Learner if rule.role is Role.LEARNER else metapb.Voter
