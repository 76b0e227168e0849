"""Spreads leaders over stores: the store with most leaders gives one to the store with fewest, one step at a time."""

from rutile_pd.operators import Operator, TransferLeader, in_joint
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers.view import View
from rutile_proto import metapb_pb2 as metapb

MAX_MOVES = 4
"""Operators in one round."""


def schedule(view: View) -> list[Operator]:
    """Up to four transfers, each from the most to the least loaded store that share a fit region."""
    moves: list[Operator] = []
    load = _loads(view)
    moved: dict[int, None] = {}
    while len(moves) < MAX_MOVES:
        move = _one_move(load, moved, view)
        if move is None:
            break
        moves.append(move)
        moved[move.region_id] = None
    return moves


def _loads(view: View) -> dict[int, int]:
    """Leaders of each store that can take part, as they will be when the running operators are done."""
    stores = [store.id for store in view.stores.up() if view.is_connected(store)]
    load = {store_id: view.regions.leader_count(store_id) for store_id in stores}
    for operator in view.operators.running():
        region, target = view.regions.by_id(operator.region_id), operator.new_leader_store()
        if region is None or region.leader is None or target is None:
            continue
        for store_id, change in ((region.leader.store_id, -1), (target, +1)):
            if store_id in load:
                load[store_id] += change
    return load


def _one_move(load: dict[int, int], moved: dict[int, None], view: View) -> Operator | None:
    """A transfer that narrows the gap; `load` is changed as if it had happened."""
    by_load = sorted(load, key=lambda store_id: (load[store_id], store_id))
    for source in reversed(by_load):
        for target in by_load:
            if load[source] - load[target] <= view.config.leader_tolerance:
                break
            region = next((each for each in view.regions.led_by(source) if _fits(each, target, moved, view)), None)
            if region is not None:
                load[source] -= 1
                load[target] += 1
                return Operator.on(region, "balance leaders", (TransferLeader(target),), view.now_ms)
    return None


def _fits(region: RegionInfo, target: int, moved: dict[int, None], view: View) -> bool:
    """Whether the region has a caught-up voter on the target and nothing else is going on."""
    peer = region.peer_on(target)
    if peer is None or peer.role != metapb.Voter or region.is_pending(peer.id) or region.is_down(peer.id):
        return False
    return region.id not in moved and view.operators.get(region.id) is None and not in_joint(region)
