"""The cluster as PD knows it: bootstrap, stores, regions, and what is to be done about them.

A plain object: requests in, answers out, and whatever must outlive the process written to storage on the way. `now_ms`
is a monotonic clock's. Refusals are exceptions, which the service turns into header errors. What to do is decided in
`conductor`; what people may change is in `administration`.
"""

import contextlib

from rutile_pd.allocation.ids import IdAllocator
from rutile_pd.conductor import Conductor
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.regions.health import RegionHealth
from rutile_pd.regions.load_statistics import LoadStatistics
from rutile_pd.regions.tree import RegionInfo, RegionTree, StaleRegion
from rutile_pd.settings import Settings
from rutile_pd.stores.registry import StoreInfo, StoreRegistry
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError

MAX_SPLIT_COUNT = 64
MAX_PEERS = 12


class NotBootstrapped(PdError):
    """There is no first region yet."""


class AlreadyBootstrapped(PdError):
    """Another store was faster; join instead."""


class IdsExhausted(PdError):
    """The durable chunk of ids is used up: the shell must save a new one and ask again."""


class Cluster:
    """All state but timestamps and safe points."""

    def __init__(
        self, cluster_id: int, storage: PdStorage, config: PdConfig, now_ms: int, *, with_regions: bool = True
    ) -> None:
        """As the storage has it. Without regions, the caller gives them to `restore`, a few at a time, and says when
        they are all there (`is_loaded`)."""
        self.id = cluster_id
        self.ids = IdAllocator(storage.id_end())
        self.settings = Settings(storage)
        self.stores = StoreRegistry(storage.stores(), now_ms, self.settings.stores())
        self.regions = RegionTree()
        self.loads = LoadStatistics()
        self.health = RegionHealth()
        self.conductor = Conductor(self, self.settings.config(config), now_ms)
        self.operators = self.conductor.operators
        self._storage = storage
        self._bootstrapped = storage.bootstrapped()
        self.is_loaded = with_regions
        """Whether all regions that were kept are in the tree. Until then nothing is decided: a store that seems empty
        may not be."""
        if with_regions:
            for saved in storage.regions():
                self.restore(saved)

    def restore(self, saved: pdpb.Region) -> None:
        """A region as it was when this PD last ran, unless its leader has reported since. How well its peers are was
        not kept: until its leader reports, its learners count as too far behind to be promoted. One that a newer one
        has replaced is forgotten: a crash has left it, or the newer one was reported before it was loaded."""
        if self.regions.by_id(saved.region.id) is not None:
            return
        try:
            gone = self.regions.put(RegionInfo.unheard(saved.region, saved.leader))
        except StaleRegion:
            gone = [saved.region.id]
        for region_id in gone:
            self._storage.forget_region(region_id)

    def region(self, region_id: int) -> RegionInfo | None:
        """A region by id, loaded on the spot if its turn has not come yet."""
        if not self.is_loaded and self.regions.by_id(region_id) is None:
            saved = self._storage.region(region_id)
            if saved is not None:
                self.restore(saved)
        return self.regions.by_id(region_id)

    # --- bootstrap and stores -------------------------------------------------------------------------------------

    @property
    def bootstrapped(self) -> bool:
        """Whether the first region was founded."""
        return self._bootstrapped

    @property
    def config(self) -> PdConfig:
        """The configuration as it is now."""
        return self.conductor.config

    def require_bootstrapped(self) -> None:
        """NotBootstrapped if there is no first region."""
        if not self._bootstrapped:
            raise NotBootstrapped("the cluster is not bootstrapped: start a store")

    def bootstrap(self, store: metapb.Store, region: metapb.Region, now_ms: int) -> None:
        """Found the cluster. AlreadyBootstrapped if it was; InvalidRequest unless the region is whole, on `store`."""
        if self._bootstrapped:
            raise AlreadyBootstrapped(f"cluster {self.id} is bootstrapped already")
        if not region.id or region.start_key or region.end_key:
            raise InvalidRequest("the first region needs an id other than 0 and must cover all keys")
        if len(region.peers) != 1 or region.peers[0].store_id != store.id or not region.peers[0].id:
            raise InvalidRequest("the first region must have one peer, on the store that brings it")
        saved = self.stores.put(store, now_ms)
        info = RegionInfo.of(region, region.peers[0])
        self.regions.put(info)
        self._storage.save_bootstrap(saved, info.to_pb())
        self._bootstrapped = True

    def put_store(self, store: metapb.Store, now_ms: int) -> None:
        """A store registers. StoreTombstone or InvalidRequest if it may not."""
        self._storage.save_store(self.stores.put(store, now_ms))

    def remove_store(self, store_id: int) -> None:
        """Begin a store's removal: its peers are replaced, and when it has none left it becomes a tombstone."""
        if self.stores.get(store_id).meta.state == metapb.Up:
            self._storage.save_store(self.stores.set_state(store_id, metapb.Offline, metapb.Removing))

    def cancel_removal(self, store_id: int) -> None:
        """The store stays after all. UnknownStore; InvalidRequest unless its removal is under way."""
        if self.stores.get(store_id).meta.state != metapb.Offline:
            raise InvalidRequest(f"store {store_id} is not being removed")
        self._storage.save_store(self.stores.set_state(store_id, metapb.Up, metapb.Serving))

    def bury_empty_stores(self) -> None:
        """Stores being removed become tombstones once nothing is left on them."""
        for store in self.stores.all():
            if store.meta.state == metapb.Offline and not self.regions.peer_count(store.id):
                self._storage.save_store(self.stores.set_state(store.id, metapb.Tombstone, metapb.Removed))

    def store_heartbeat(self, stats: pdpb.StoreStats, now_ms: int, wall_ms: int) -> StoreInfo:
        """A store lives. UnknownStore or StoreTombstone if it should not."""
        return self.stores.heartbeat(stats, now_ms, wall_ms)

    # --- regions --------------------------------------------------------------------------------------------------

    def region_heartbeat(self, report: pdpb.RegionHeartbeatRequest, now_ms: int) -> pdpb.RegionHeartbeatResponse | None:
        """A leader's report; what it is to do, if anything. StaleRegion if the report is older than what is known."""
        info = RegionInfo.of_heartbeat(report, self.region(report.region.id))
        if info.leader is None:
            raise InvalidRequest(f"heartbeat of region {info.id} without a leader")
        self.learn(info, now_ms)
        self.loads.note(report, self.config)
        return self.conductor.order_for(info, now_ms) if self.is_loaded else None

    def report_split(self, metas: list[metapb.Region], now_ms: int) -> None:
        """What a split made, before heartbeats tell: each is believed to be led from where the split region was, and
        its peers to be as well as those of the split region are on their stores."""
        split = next((known for meta in metas if (known := self.region(meta.id)) is not None and known.leader), None)
        led_from = 0 if split is None or split.leader is None else split.leader.store_id
        for meta in metas:
            known = self.region(meta.id)
            info = RegionInfo.unheard(meta, kin=known if known is not None else split)
            info.term = known.term if known is not None else 0
            info.leader = info.peer_on(led_from)
            if known is None or known.version < info.version:
                with contextlib.suppress(StaleRegion):  # a heartbeat after yet another split was quicker
                    self.learn(info, now_ms)

    def ask_split(self, region: metapb.Region, count: int) -> list[pdpb.SplitID]:
        """Ids for `count` new regions with as many peers as `region`. StaleRegion if it has changed already."""
        if not 1 <= count <= MAX_SPLIT_COUNT or not 1 <= len(region.peers) <= MAX_PEERS:
            raise InvalidRequest(f"{count} splits of {len(region.peers)} peers are over {MAX_SPLIT_COUNT}, {MAX_PEERS}")
        known = self.region(region.id)
        if known is not None and known.version > region.region_epoch.version:
            raise StaleRegion(f"region {region.id} is at version {known.version} by now")
        each = 1 + len(region.peers)
        end = self.take_ids(count * each) + 1
        firsts = range(end - count * each, end, each)
        return [pdpb.SplitID(new_region_id=first, new_peer_ids=range(first + 1, first + each)) for first in firsts]

    def take_ids(self, count: int) -> int:
        """The last of `count` new consecutive ids. IdsExhausted if more must be made durable first."""
        last = self.ids.take(count)
        if last is None:
            raise IdsExhausted(f"{count} ids are not at hand")
        return last

    def learn(self, info: RegionInfo, now_ms: int) -> None:
        """Put a report into the tree, and on disk what a restarted PD would want to know. StaleRegion if it is old."""
        known = self.region(info.id)
        replaced = self.regions.put(info)
        for region_id in replaced:
            self.loads.forget(region_id)
            self.health.forget(region_id)
        self.conductor.region_changed(known, info, replaced, now_ms)
        self.health.note(info, self.conductor.wanted_peers(info))
        if known is None or replaced or known.peers is not info.peers or known.leader != info.leader:
            self._storage.save_region(pdpb.Region(region=info.meta, leader=info.leader_pb()), replaced)

    # --- doing something about it ---------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> list[pdpb.RegionHeartbeatResponse]:
        """Patrol some regions, balance stores, bury emptied ones; orders to send without waiting for heartbeats.
        Nothing until all regions are loaded."""
        if not self.is_loaded:
            return []
        orders = self.conductor.tick(now_ms)
        self.bury_empty_stores()
        return orders

    def split_orders(self, keys: list[bytes]) -> list[pdpb.RegionHeartbeatResponse]:
        """Orders to the leaders of the regions that hold `keys` (storage form, rising) to split there."""
        held: dict[int, list[bytes]] = {}
        for key in keys:
            info = self.regions.find(key)
            if info is not None and info.leader is not None:
                held.setdefault(info.id, []).append(key)
        return [self.conductor.split_order(region_id, inside[:MAX_SPLIT_COUNT]) for region_id, inside in held.items()]

    def scatter(
        self, region_ids: list[int], group: str, now_ms: int
    ) -> tuple[list[int], list[pdpb.RegionHeartbeatResponse]]:
        """Begin to spread regions: (those that cannot be touched now, orders for the others). Raises IdsExhausted."""
        if not self.ids.has(len(region_ids)):
            raise IdsExhausted(f"{len(region_ids)} ids are not at hand")
        return self.conductor.scatter(region_ids, group, now_ms)
