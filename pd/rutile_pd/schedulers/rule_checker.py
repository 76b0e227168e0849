"""Brings every region to what its placement rules want, and keeps it there.

The first of these that applies makes the operator; the rules are gone through in their order for each:

    1. a rule lacks a peer                       add one on the best store
    2. a peer is on a store that must go         replace it by one on the best store
    3. a peer is not in its rule's role          promote it, demote it, or pass the lead
    4. a rule's peers could be farther apart     move the one that gains most
    5. a peer serves no rule                     remove it

Nothing is removed before what replaces it is there: 5 waits until the rules have all their peers, sound ones, except
for orphans on stores that must go, which only make the majority harder to reach. Where no store will do, 2 does
nothing: fewer voters would help nobody. A store that must go is down for long, being removed, or a tombstone; one that
was silent for less time may come back, and copying all it holds would be waste.
"""

from collections.abc import Callable
from typing import TypeAlias

from rutile_pd.operators.moves import Wanted
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import TransferLeader
from rutile_pd.placement.fit import RegionFit, RuleFit
from rutile_pd.placement.isolation import distance_to_all
from rutile_pd.placement.rules import Role
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_pd.schedulers.targets import best_store, replacement, reshape, role_of
from rutile_pd.schedulers.view import View
from rutile_proto import metapb_pb2 as metapb


def check(region: RegionInfo, view: View) -> Operator | None:
    """The operator the region needs; None if it is well, cannot be helped now, or has no leader to do it."""
    if region.leader is None or region.in_joint:
        return None
    if view.room_for(Kind.REPLICA) <= 0:
        return None
    fit = view.fit(region)
    for repair in _REPAIRS:
        for rule_fit in fit.rules:
            operator = repair(region, rule_fit, fit, view)
            if operator is not None:
                return operator
    return _remove_orphan(region, fit, view)


def _add_missing(region: RegionInfo, rule_fit: RuleFit, fit: RegionFit, view: View) -> Operator | None:
    if rule_fit.missing <= 0:
        return None
    store_id = best_store(region, rule_fit.rule, rule_fit.peers, view)
    if store_id is None:
        return None
    roles = Wanted.like(region)
    roles[store_id] = role_of(rule_fit.rule)
    return reshape(region, roles, "make up replicas", Kind.REPLICA, view, newcomers=(store_id,))


def _replace_lost(region: RegionInfo, rule_fit: RuleFit, fit: RegionFit, view: View) -> Operator | None:
    lost = next((peer for peer in rule_fit.peers if view.must_leave(peer.store_id)), None)
    if lost is None:
        return None
    others = [peer for peer in rule_fit.peers if peer != lost]
    store_id = best_store(region, rule_fit.rule, others, view)
    if store_id is None:
        return None
    reason = f"replace a peer of a store that is {view.life(lost.store_id).value.lower()}"
    return replacement(region, lost, store_id, rule_fit.rule, reason, Kind.REPLICA, view)


def _correct_role(region: RegionInfo, rule_fit: RuleFit, fit: RegionFit, view: View) -> Operator | None:
    for peer in rule_fit.misplaced:
        operator = _corrected(region, peer, rule_fit.rule.role, fit, view)
        if operator is not None:
            return operator
    return None


def _corrected(region: RegionInfo, peer: Peer, role: Role, fit: RegionFit, view: View) -> Operator | None:
    """Bring one peer into its role. A voter is demoted only when every other rule has its peers."""
    roles = Wanted.like(region)
    if role is Role.LEARNER:
        if any(each.missing > 0 or each.misplaced for each in fit.rules if each.rule.role is not Role.LEARNER):
            return None
        heirs = tuple(store_id for store_id in view.heirs(region) if store_id != peer.store_id)
        roles[peer.store_id] = metapb.Learner
        return reshape(region, roles, "demote to learner", Kind.REPLICA, view, leaders=heirs)
    if peer.is_learner:
        if not region.is_well(peer):
            return None
        roles[peer.store_id] = metapb.Voter
        return reshape(region, roles, "promote to voter", Kind.REPLICA, view)
    return _passed_on(region, peer, role, view)


def _passed_on(region: RegionInfo, peer: Peer, role: Role, view: View) -> Operator | None:
    """The lead goes to a leader-to-be, or away from a follower-to-be."""
    heirs = view.heirs(region)
    heir = peer.store_id if role is Role.LEADER else next(iter(heirs), None)
    if heir not in heirs or (region.leader is not None and heir == region.leader.store_id):
        return None
    return view.operator(region, "the rules want another leader", (TransferLeader(heir),), Kind.REPLICA)


def _move_apart(region: RegionInfo, rule_fit: RuleFit, fit: RegionFit, view: View) -> Operator | None:
    """Move the peer whose place adds least, if another store would add more."""
    rule = rule_fit.rule
    if not rule.location_labels or rule_fit.missing > 0 or rule_fit.isolation >= view.best_isolation(rule):
        return None
    if not view.is_free(region):
        return None

    def gain(peer: Peer, store_id: int) -> int:
        others = [view.labels(each.store_id) or {} for each in rule_fit.peers if each != peer]
        return distance_to_all(view.labels(store_id) or {}, others, rule.location_labels)

    for peer in sorted(rule_fit.peers, key=lambda each: (gain(each, each.store_id), region.leads(each), each.id)):
        store_id = best_store(region, rule, [each for each in rule_fit.peers if each != peer], view)
        if store_id is not None and gain(peer, store_id) > gain(peer, peer.store_id):
            return replacement(region, peer, store_id, rule, "move replicas apart", Kind.REPLICA, view)
    return None


def _remove_orphan(region: RegionInfo, fit: RegionFit, view: View) -> Operator | None:
    if not fit.orphans:
        return None
    is_served = all(each.missing <= 0 and not each.misplaced and _sound(region, each, view) for each in fit.rules)

    def cost(peer: Peer) -> tuple[bool, bool, float, int]:
        is_ill = view.must_leave(peer.store_id) or not region.is_well(peer)
        return not is_ill, not peer.is_learner, -view.peer_score(peer.store_id), -peer.id

    orphan = min(fit.orphans, key=cost)
    if not is_served and not view.must_leave(orphan.store_id):
        return None
    roles = Wanted.like(region)
    del roles[orphan.store_id]
    return reshape(region, roles, "remove a superfluous peer", Kind.REPLICA, view)


def _sound(region: RegionInfo, rule_fit: RuleFit, view: View) -> bool:
    return all(region.is_well(peer) and not view.must_leave(peer.store_id) for peer in rule_fit.peers)


Repair: TypeAlias = Callable[[RegionInfo, RuleFit, RegionFit, View], Operator | None]
_REPAIRS: tuple[Repair, ...] = (_add_missing, _replace_lost, _correct_role, _move_apart)
