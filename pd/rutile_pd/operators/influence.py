"""What running operators will have changed about the stores when they are done.

Scores count a store as it will be, otherwise everybody would send everything to the same empty store. What an operator
still has to change is worked out against the region as it was last reported, so a step that has been done is counted
by the region tree and no longer here.
"""

from dataclasses import dataclass

from rutile_pd.operators.operator import Operator
from rutile_pd.regions.region_info import RegionInfo


@dataclass(slots=True)
class Influence:
    """Differences for one store."""

    leaders: int = 0
    leader_size_bytes: int = 0
    peers: int = 0
    peer_size_bytes: int = 0


class InfluenceBook:
    """The sum over running operators, by store, and each region's part in it."""

    def __init__(self) -> None:
        self._stores: dict[int, Influence] = {}
        self._parts: dict[int, list[tuple[int, int, int, int]]] = {}

    def of(self, store_id: int) -> Influence:
        """What will change about the store."""
        return self._stores.get(store_id, _NONE)

    def note(self, operator: Operator, region: RegionInfo) -> list[int]:
        """The operator runs on the region as it is now; the stores concerned."""
        touched = self.forget(region.id)
        shape, size = operator.shape_after(region), region.approximate_size_bytes
        leads, led = shape.leader, 0 if region.leader is None else region.leader.store_id
        stores = dict.fromkeys([*shape.stores, *region.stores, leads, led])
        held = dict.fromkeys(region.stores)
        part = [
            (store_id, (store_id in shape.stores) - (store_id in held), (store_id == leads) - (store_id == led), size)
            for store_id in stores
        ]
        self._parts[region.id] = [entry for entry in part if entry[1] or entry[2]]
        self._apply(self._parts[region.id], +1)
        return [*touched, *(entry[0] for entry in self._parts[region.id])]

    def forget(self, region_id: int) -> list[int]:
        """No operator runs on the region any more; the stores concerned."""
        part = self._parts.pop(region_id, [])
        self._apply(part, -1)
        return [entry[0] for entry in part]

    def _apply(self, part: list[tuple[int, int, int, int]], sign: int) -> None:
        for store_id, peers, leaders, size in part:
            total = self._stores.setdefault(store_id, Influence())
            total.peers += sign * peers
            total.peer_size_bytes += sign * peers * size
            total.leaders += sign * leaders
            total.leader_size_bytes += sign * leaders * size


_NONE = Influence()
