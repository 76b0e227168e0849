"""The store registry: who is a member, who was heard of lately, who is to be emptied."""

from dataclasses import dataclass, field

from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError

_LEAST_FREE_SHARE = 0.1


class StoreTombstone(PdError):
    """The store was removed; its id does not come back."""


class UnknownStore(PdError):
    """No store of that id was registered."""


@dataclass(slots=True)
class StoreInfo:
    """A store as PD knows it."""

    meta: metapb.Store
    seen_ms: int
    """When it was last heard of; for a store read from disk, when this PD started."""
    stats: pdpb.StoreStats = field(default_factory=pdpb.StoreStats)
    heard_wall_ms: int = 0
    """The same for people: Unix ms of its last heartbeat, 0 if there was none in this PD's life."""

    @property
    def id(self) -> int:
        return self.meta.id

    def silent_s(self, now_ms: int) -> float:
        """Seconds since it was last heard of."""
        return (now_ms - self.seen_ms) / 1000

    def to_pb(self) -> metapb.Store:
        """As GetStore answers it."""
        store = metapb.Store()
        store.CopyFrom(self.meta)
        store.last_heartbeat = self.heard_wall_ms * 1_000_000
        return store

    def has_room(self) -> bool:
        """Whether a tenth of its space or more is free; a store that has not said is believed to have room."""
        return not self.stats.capacity or self.stats.available >= _LEAST_FREE_SHARE * self.stats.capacity


class StoreRegistry:
    """All stores by id."""

    def __init__(self, stores: list[metapb.Store], now_ms: int) -> None:
        self._stores = {store.id: StoreInfo(store, now_ms) for store in stores}

    def get(self, store_id: int) -> StoreInfo:
        """The store; UnknownStore if there is none of that id."""
        if store_id not in self._stores:
            raise UnknownStore(f"store {store_id} is not registered")
        return self._stores[store_id]

    def find(self, store_id: int) -> StoreInfo | None:
        """The store, or None."""
        return self._stores.get(store_id)

    def all(self) -> list[StoreInfo]:
        """All of them, tombstones too, by id."""
        return [self._stores[store_id] for store_id in sorted(self._stores)]

    def up(self) -> list[StoreInfo]:
        """Those that are members and shall stay, by id."""
        return [store for store in self.all() if store.meta.state == metapb.Up]

    def put(self, store: metapb.Store, now_ms: int) -> metapb.Store:
        """Register a store, or change what is known of it; what is to be saved.

        InvalidRequest for id 0 or an address that another store uses, StoreTombstone for one that was removed. Stores
        without an address live in PD's own process and are called directly.
        """
        self._check(store)
        known = self._stores.get(store.id)
        if known is None:
            meta = metapb.Store()
            meta.CopyFrom(store)
            meta.state, meta.node_state = metapb.Up, metapb.Serving
            self._stores[store.id] = StoreInfo(meta, now_ms)
            return meta
        meta = metapb.Store()
        meta.CopyFrom(store)
        meta.state, meta.node_state = known.meta.state, known.meta.node_state
        known.meta, known.seen_ms = meta, now_ms
        return meta

    def _check(self, store: metapb.Store) -> None:
        if not store.id:
            raise InvalidRequest("a store needs an id other than 0")
        known = self._stores.get(store.id)
        if known is not None and known.meta.state == metapb.Tombstone:
            raise StoreTombstone(f"store {store.id} was removed: start it with an empty directory to join anew")
        for other in self._stores.values():
            is_taken = other.meta.address == store.address and other.meta.state != metapb.Tombstone
            if store.address and other.id != store.id and is_taken:
                raise InvalidRequest(f"address {store.address} belongs to store {other.id}")

    def heartbeat(self, stats: pdpb.StoreStats, now_ms: int, wall_ms: int) -> StoreInfo:
        """A store lives. UnknownStore or StoreTombstone if it should not."""
        store = self.get(stats.store_id)
        if store.meta.state == metapb.Tombstone:
            raise StoreTombstone(f"store {store.id} was removed")
        store.stats, store.seen_ms, store.heard_wall_ms = stats, now_ms, wall_ms
        return store

    def set_state(self, store_id: int, state: metapb.StoreState, node_state: metapb.NodeState) -> metapb.Store:
        """Begin or finish a store's removal; what is to be saved."""
        meta = metapb.Store()
        meta.CopyFrom(self.get(store_id).meta)
        meta.state, meta.node_state = state, node_state
        self._stores[store_id].meta = meta
        return meta
