"""The store registry: who is a member, who was heard of lately, who is to be emptied.

    Up ──silent──► Disconnected ──longer──► Down          heard of again: Up at once
     └─removal begun─► Offline ──no peer left──► Tombstone
            └─removal cancelled─► Up

The first row is seen from how long ago the last heartbeat was; the second is decided and kept on disk. A disconnected
store gets no leaders and no peers; the peers of a down or offline one are replaced; a tombstone never comes back.
"""

import enum
from dataclasses import dataclass, field

from rutile_pd.config import PdConfig
from rutile_pd.stores.store_limit import StoreLimit
from rutile_pd.stores.store_settings import StoreSettings
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError


class StoreTombstone(PdError):
    """The store was removed; its id does not come back."""


class UnknownStore(PdError):
    """No store of that id was registered."""


class StoreLife(enum.Enum):
    """The states of the picture above."""

    UP = "Up"
    DISCONNECTED = "Disconnected"
    DOWN = "Down"
    OFFLINE = "Offline"
    TOMBSTONE = "Tombstone"


@dataclass(slots=True)
class StoreInfo:
    """A store as PD knows it."""

    meta: metapb.Store
    """As it registered; `labels` has what an operator changed about its labels on top."""
    seen_ms: int
    """When it was last heard of; for a store read from disk, when this PD started."""
    settings: StoreSettings = field(default_factory=StoreSettings)
    stats: pdpb.StoreStats = field(default_factory=pdpb.StoreStats)
    heard_wall_ms: int = 0
    """The same for people: Unix ms of its last heartbeat, 0 if there was none in this PD's life."""
    labels: dict[str, str] = field(init=False)
    adding: StoreLimit = field(default_factory=StoreLimit)
    removing: StoreLimit = field(default_factory=StoreLimit)

    def __post_init__(self) -> None:
        self.labels = self.settings.over(self.meta)

    @property
    def id(self) -> int:
        return self.meta.id

    def silent_s(self, now_ms: int) -> float:
        """Seconds since it was last heard of."""
        return (now_ms - self.seen_ms) / 1000

    def life(self, config: PdConfig, now_ms: int) -> StoreLife:
        """What state it is in."""
        if self.meta.state == metapb.Tombstone:
            return StoreLife.TOMBSTONE
        if self.meta.state == metapb.Offline:
            return StoreLife.OFFLINE
        silent_ms = now_ms - self.seen_ms
        if silent_ms >= config.max_store_down_s * 1000:
            return StoreLife.DOWN
        return StoreLife.DISCONNECTED if silent_ms >= config.store_disconnected_s * 1000 else StoreLife.UP

    def to_pb(self) -> metapb.Store:
        """As GetStore answers it."""
        store = metapb.Store()
        store.CopyFrom(self.meta)
        del store.labels[:]
        store.labels.extend(metapb.StoreLabel(key=key, value=value) for key, value in sorted(self.labels.items()))
        store.last_heartbeat = self.heard_wall_ms * 1_000_000
        return store

    def used_share(self) -> float:
        """How much of its space is used; a store that has not said is believed to be empty."""
        capacity = self.stats.capacity
        return 1 - self.stats.available / capacity if capacity else 0.0

    def has_room(self, low_space_ratio: float = 0.9) -> bool:
        """Whether less than that share of its space is used."""
        return self.used_share() <= low_space_ratio


class StoreRegistry:
    """All stores by id."""

    def __init__(
        self, stores: list[metapb.Store], now_ms: int, settings: dict[int, StoreSettings] | None = None
    ) -> None:
        kept = settings or {}
        self.version = 0
        """Changes with everything that bears on where replicas could be: stores, their labels, their removal."""
        self._stores = {
            store.id: StoreInfo(store, now_ms, kept.get(store.id, StoreSettings()))
            for store in sorted(stores, key=lambda each: each.id)
        }

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
        return list(self._stores.values())

    def up(self) -> list[StoreInfo]:
        """Those that are members and shall stay, by id."""
        return [store for store in self._stores.values() if store.meta.state == metapb.Up]

    def put(self, store: metapb.Store, now_ms: int) -> metapb.Store:
        """Register a store, or change what is known of it; what is to be saved.

        InvalidRequest for id 0 or an address that another store uses, StoreTombstone for one that was removed. Stores
        without an address live in PD's own process and are called directly.
        """
        self._check(store)
        self.version += 1
        known = self._stores.get(store.id)
        meta = metapb.Store()
        meta.CopyFrom(store)
        if known is None:
            meta.state, meta.node_state = metapb.Up, metapb.Serving
            self._stores[store.id] = StoreInfo(meta, now_ms)
            self._stores = dict(sorted(self._stores.items()))
            return meta
        meta.state, meta.node_state = known.meta.state, known.meta.node_state
        known.meta, known.seen_ms, known.labels = meta, now_ms, known.settings.over(meta)
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
        """Begin, cancel or finish a store's removal; what is to be saved."""
        meta = metapb.Store()
        meta.CopyFrom(self.get(store_id).meta)
        self.version += 1
        meta.state, meta.node_state = state, node_state
        self._stores[store_id].meta = meta
        return meta

    def set_settings(self, store_id: int, settings: StoreSettings) -> None:
        """Change labels, weights or limits. UnknownStore."""
        store = self.get(store_id)
        self.version += 1
        store.settings, store.labels = settings, settings.over(store.meta)
