"""Brings every region to the wanted number of voters, on as many stores, and keeps it there.

The first rule that applies makes the operator:

    1. a learner nobody is working on        promote it if a lasting voter is missing, else remove it
    2. too few voters                        add a peer on the least loaded store that has none
    3. a voter on a store that must go       add a peer elsewhere, then remove that voter
    4. too many voters                       remove one: first from a store that must go, then from the fullest

Each operator adds before it removes. Rule 3 without a store to go to does nothing: fewer voters would help nobody.
"""

from rutile_pd.operators import AddLearner, Operator, Promote, Remove, Step, TransferLeader
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers.view import View
from rutile_proto import metapb_pb2 as metapb


def check(region: RegionInfo, view: View) -> Operator | None:
    """The operator the region needs; None if it is well, cannot be helped now, or has no leader to do it."""
    if region.leader is None:
        return None
    voters = [peer for peer in region.meta.peers if peer.role == metapb.Voter]
    learners = [peer for peer in region.meta.peers if peer.role == metapb.Learner]
    leaving = [peer for peer in voters if view.must_leave(peer.store_id)]
    wanted = view.config.max_replicas
    if learners:
        return _settle_learner(region, learners[0], len(voters) - len(leaving) < wanted, view)
    if len(voters) < wanted:
        return _add(region, "make up replicas", view)
    if len(voters) == wanted and leaving:
        return _add(region, "replace a peer of a lost store", view, then_remove=leaving[0])
    if len(voters) > wanted:
        return _remove(region, _superfluous(voters, leaving, region, view), view)
    return None


def _settle_learner(region: RegionInfo, learner: metapb.Peer, is_wanted: bool, view: View) -> Operator | None:
    if view.must_leave(learner.store_id) or not is_wanted:
        steps: tuple[Step, ...] = (Remove(learner.store_id, learner.id),)
        return Operator.on(region, "remove a stray learner", steps, view.now_ms)
    if region.is_pending(learner.id) or region.is_down(learner.id):
        return None
    return Operator.on(region, "make up replicas", (Promote(learner.store_id, learner.id),), view.now_ms)


def _add(region: RegionInfo, reason: str, view: View, then_remove: metapb.Peer | None = None) -> Operator | None:
    store_id = _choose_store(region, view)
    peer_id = view.ids.take() if store_id is not None else None
    if store_id is None or peer_id is None:
        return None
    steps: list[Step] = [AddLearner(store_id, peer_id), Promote(store_id, peer_id)]
    if then_remove is not None:
        steps += _removal(region, then_remove, view)
    return Operator.on(region, reason, tuple(steps), view.now_ms)


def _choose_store(region: RegionInfo, view: View) -> int | None:
    """The least loaded store that has no peer of the region and may be given one."""
    fit = [store for store in view.stores.up() if region.peer_on(store.id) is None and view.accepts_peer(store)]
    return min(
        (store.id for store in fit), key=lambda store_id: (view.peers_with_coming(store_id), store_id), default=None
    )


def _superfluous(voters: list[metapb.Peer], leaving: list[metapb.Peer], region: RegionInfo, view: View) -> metapb.Peer:
    """The voter to do without. Only one whose loss leaves a healthy majority comes into question first."""

    def cost(peer: metapb.Peer) -> tuple[bool, bool, int, int]:
        is_ill = region.is_down(peer.id) or region.is_pending(peer.id)
        is_leader = region.leader is not None and peer.id == region.leader.id
        return is_leader, not is_ill, -view.regions.peer_count(peer.store_id), -peer.id

    return min(leaving or voters, key=cost)


def _remove(region: RegionInfo, peer: metapb.Peer, view: View) -> Operator | None:
    steps = _removal(region, peer, view)
    return Operator.on(region, "remove a superfluous peer", tuple(steps), view.now_ms) if steps else None


def _removal(region: RegionInfo, peer: metapb.Peer, view: View) -> list[Step]:
    """Remove `peer`; where it leads, another healthy voter leads first."""
    remove = Remove(peer.store_id, peer.id)
    if region.leader is None or region.leader.id != peer.id:
        return [remove]
    heirs = [each for each in region.meta.peers if each.id != peer.id and _may_lead(region, each, view)]
    return [TransferLeader(heirs[0].store_id), remove] if heirs else []


def _may_lead(region: RegionInfo, peer: metapb.Peer, view: View) -> bool:
    store = view.stores.find(peer.store_id)
    is_well = not region.is_down(peer.id) and not region.is_pending(peer.id)
    return peer.role == metapb.Voter and is_well and store is not None and view.is_connected(store)
