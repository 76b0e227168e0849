"""What policies see of the cluster, and the questions they all ask."""

from dataclasses import dataclass

from rutile_pd.config import PdConfig
from rutile_pd.ids import IdAllocator
from rutile_pd.operators import OperatorController
from rutile_pd.regions import RegionTree
from rutile_pd.stores import StoreInfo, StoreRegistry
from rutile_proto import metapb_pb2 as metapb


@dataclass(frozen=True, slots=True)
class View:
    """The cluster at `now_ms` (monotonic)."""

    stores: StoreRegistry
    regions: RegionTree
    operators: OperatorController
    ids: IdAllocator
    config: PdConfig
    now_ms: int

    def is_connected(self, store: StoreInfo) -> bool:
        """Whether the store is a member and was heard of lately."""
        is_up = store.meta.state == metapb.Up
        return is_up and store.silent_s(self.now_ms) < self.config.store_disconnected_s

    def must_leave(self, store_id: int) -> bool:
        """Whether peers on the store are to be replaced: gone for too long, being removed, or never registered."""
        store = self.stores.find(store_id)
        if store is None or store.meta.state != metapb.Up:
            return True
        return store.silent_s(self.now_ms) >= self.config.max_store_down_s

    def accepts_peer(self, store: StoreInfo) -> bool:
        """Whether the store may be given one more peer now."""
        return (
            self.is_connected(store)
            and store.has_room()
            and not store.stats.is_busy
            and self.operators.coming_to(store.id) < self.config.max_operators_per_store
        )

    def peers_with_coming(self, store_id: int) -> int:
        """Peers on the store, and on their way to it."""
        return self.regions.peer_count(store_id) + self.operators.coming_to(store_id)
