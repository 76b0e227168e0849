"""Takes the leads away from a store, before it is stopped for a while.

Stores come here by `evict-leader-scheduler` (one entry per store), or by saying in their heartbeats that they are
stopping. None of them gets a lead from anybody (`View.accepts_leader`); what they lead passes to the least loaded
heir, region by region.
"""

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import TransferLeader
from rutile_pd.schedulers.view import View

MAX_MOVES = 16
"""Transfers begun in one round for each store."""
REASON = "evict leaders"


def schedule(view: View) -> list[Operator]:
    """Transfers away from every store that is to lead nothing."""
    return [operator for store_id in view.leaderless for operator in _from(store_id, view)]


def _from(store_id: int, view: View) -> list[Operator]:
    moves: dict[int, Operator] = {}
    for region in view.draw(view.regions.figures(store_id).leaders, MAX_MOVES):
        heir = next(iter(view.heirs(region)), None)
        if heir is not None and view.operators.get(region.id) is None and not region.in_joint:
            moves[region.id] = view.operator(region, REASON, (TransferLeader(heir),), Kind.ADMIN)
    return list(moves.values())
