"""The cluster as PD knows it: bootstrap, stores, regions, and what is to be done about them.

A plain object: requests in, answers out, and whatever must outlive the process written to storage on the way. `now_ms`
is a monotonic clock's. Refusals are exceptions, which the service turns into header errors.
"""

import contextlib

from rutile_pd.config import PdConfig
from rutile_pd.ids import IdAllocator
from rutile_pd.operators import Operator, OperatorController
from rutile_pd.regions import RegionInfo, RegionTree, StaleRegion
from rutile_pd.schedulers import CHECKERS, SCHEDULERS, View, scatter
from rutile_pd.storage import PdStorage
from rutile_pd.stores import StoreInfo, StoreRegistry
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError

PATROL_REGIONS = 256
"""Regions the patrol looks at in one tick; the others have their turn in the next ones."""
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

    def __init__(self, cluster_id: int, storage: PdStorage, config: PdConfig, now_ms: int) -> None:
        self.id = cluster_id
        self.ids = IdAllocator(storage.id_end())
        self.stores = StoreRegistry(storage.stores(), now_ms)
        self.regions = RegionTree()
        self.operators = OperatorController(
            round(config.operator_timeout_s * 1000), round(config.quick_operator_timeout_s * 1000)
        )
        self._storage = storage
        self._config = config
        self._bootstrapped = storage.bootstrapped()
        self._scatterer = scatter.Scatterer()
        self._patrol_at = b""
        for saved in storage.regions():
            self._restore(saved)

    def _restore(self, saved: pdpb.Region) -> None:
        """A region as it was when this PD last ran; a crash may have left one that a newer one replaced."""
        leader = saved.leader if saved.leader.id else None
        try:
            self.regions.put(RegionInfo(saved.region, leader))
        except StaleRegion:
            return

    # --- bootstrap and stores -------------------------------------------------------------------------------------

    @property
    def bootstrapped(self) -> bool:
        """Whether the first region was founded."""
        return self._bootstrapped

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
        info = RegionInfo(region, region.peers[0])
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

    def store_heartbeat(self, stats: pdpb.StoreStats, now_ms: int, wall_ms: int) -> StoreInfo:
        """A store lives. UnknownStore or StoreTombstone if it should not."""
        return self.stores.heartbeat(stats, now_ms, wall_ms)

    # --- regions --------------------------------------------------------------------------------------------------

    def region_heartbeat(self, report: pdpb.RegionHeartbeatRequest, now_ms: int) -> pdpb.RegionHeartbeatResponse | None:
        """A leader's report; what it is to do, if anything. StaleRegion if the report is older than what is known."""
        info = RegionInfo.of_heartbeat(report)
        if info.leader is None:
            raise InvalidRequest(f"heartbeat of region {info.id} without a leader")
        self._accept(info)
        order = self.operators.order_for(info, now_ms)
        if self.operators.get(info.id) is None:
            self._check(info, self._view(now_ms))
            order = self.operators.order_for(info, now_ms)
        return None if order is None else _addressed(order, info)

    def report_split(self, metas: list[metapb.Region]) -> None:
        """What a split made, before heartbeats tell: each is believed to be led from where the split region was."""
        led_from = next((known.leader.store_id for meta in metas if (known := self._led(meta.id)) and known.leader), 0)
        for meta in metas:
            leader = next((peer for peer in meta.peers if peer.store_id == led_from), None)
            known = self.regions.by_id(meta.id)
            info = RegionInfo(meta, leader, term=known.term if known is not None else 0)
            if known is None or known.version < info.version:
                with contextlib.suppress(StaleRegion):  # a heartbeat after yet another split was quicker
                    self._accept(info)

    def ask_split(self, region: metapb.Region, count: int) -> list[pdpb.SplitID]:
        """Ids for `count` new regions with as many peers as `region`. StaleRegion if it has changed already."""
        if not 1 <= count <= MAX_SPLIT_COUNT or not 1 <= len(region.peers) <= MAX_PEERS:
            raise InvalidRequest(f"{count} splits of {len(region.peers)} peers are over {MAX_SPLIT_COUNT}, {MAX_PEERS}")
        known = self.regions.by_id(region.id)
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

    def _led(self, region_id: int) -> RegionInfo | None:
        info = self.regions.by_id(region_id)
        return info if info is not None and info.leader is not None else None

    def _accept(self, info: RegionInfo) -> None:
        """Put the report into the tree, and on disk if it says anything a restarted PD would want to know."""
        known = self.regions.by_id(info.id)
        replaced = self.regions.put(info)
        for region_id in replaced:
            self.operators.forget(region_id)
        if known is None or replaced or known.meta != info.meta or known.leader != info.leader:
            self._storage.save_region(pdpb.Region(region=info.meta, leader=info.leader), replaced)

    # --- on request ---------------------------------------------------------------------------------------------------

    def split_orders(self, keys: list[bytes]) -> list[pdpb.RegionHeartbeatResponse]:
        """Orders to the leaders of the regions that hold `keys` (storage form, rising) to split there."""
        held: dict[int, list[bytes]] = {}
        for key in keys:
            info = self.regions.find(key)
            if info is not None and info.leader is not None:
                held.setdefault(info.id, []).append(key)
        orders = []
        for region_id, inside in held.items():
            split = pdpb.SplitRegion(policy=pdpb.USEKEY, keys=inside[:MAX_SPLIT_COUNT])
            info = self.regions.by_id(region_id)
            assert info is not None, "it was found a moment ago"
            orders.append(_addressed(pdpb.RegionHeartbeatResponse(split_region=split), info))
        return orders

    def scatter(
        self, region_ids: list[int], group: str, now_ms: int
    ) -> tuple[list[int], list[pdpb.RegionHeartbeatResponse]]:
        """Begin to spread regions: (those that cannot be touched now, orders for the others). Raises IdsExhausted."""
        last_id = self.take_ids(len(region_ids))
        view, failed, moved = self._view(now_ms), [], []
        for peer_id, region_id in zip(range(last_id - len(region_ids) + 1, last_id + 1), region_ids, strict=True):
            info = self.regions.by_id(region_id)
            steps = None if info is None else self._scatterer.steps(info, group, peer_id, view)
            if info is None or steps is None:
                failed.append(region_id)
            elif steps:
                self.operators.add(scatter.operator(info, steps, view))
                moved.append(region_id)
        return failed, self._orders(moved, now_ms)

    # --- doing something about it ---------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> list[pdpb.RegionHeartbeatResponse]:
        """Patrol some regions, balance stores, bury emptied ones; orders to send without waiting for heartbeats."""
        self.operators.drop_overdue(now_ms)
        view = self._view(now_ms)
        looked_at = self._next_on_patrol()
        for info in looked_at:
            if self.operators.get(info.id) is None:
                self._check(info, view)
        started = [operator.region_id for operator in self._schedule(view)]
        self._bury_empty_stores()
        return self._orders([*(info.id for info in looked_at), *started], now_ms)

    def _next_on_patrol(self) -> list[RegionInfo]:
        if not len(self.regions):
            return []
        first = self.regions.scan(b"", b"", 1) if not self._patrol_at else []
        regions = first + self.regions.after(self._patrol_at, PATROL_REGIONS - len(first))
        self._patrol_at = regions[-1].meta.start_key if len(regions) == PATROL_REGIONS else b""
        return regions

    def _check(self, info: RegionInfo, view: View) -> None:
        for checker in CHECKERS:
            operator = checker(info, view)
            if operator is not None:
                self.operators.add(operator)
                return

    def _schedule(self, view: View) -> list[Operator]:
        made = [operator for scheduler in SCHEDULERS for operator in scheduler(view)]
        for operator in made:
            self.operators.add(operator)
        return made

    def _orders(self, region_ids: list[int], now_ms: int) -> list[pdpb.RegionHeartbeatResponse]:
        orders = []
        for region_id in dict.fromkeys(region_ids):
            info = self.regions.by_id(region_id)
            order = self.operators.order_for(info, now_ms) if info is not None else None
            if info is not None and order is not None:
                orders.append(_addressed(order, info))
        return orders

    def _bury_empty_stores(self) -> None:
        for store in self.stores.all():
            if store.meta.state == metapb.Offline and not self.regions.peer_count(store.id):
                self._storage.save_store(self.stores.set_state(store.id, metapb.Tombstone, metapb.Removed))

    def _view(self, now_ms: int) -> View:
        return View(self.stores, self.regions, self.operators, self.ids, self._config, now_ms)


def _addressed(order: pdpb.RegionHeartbeatResponse, info: RegionInfo) -> pdpb.RegionHeartbeatResponse:
    """The order with the region, its epoch and its leader: the store obeys only while these still hold."""
    order.region_id = info.id
    order.region_epoch.CopyFrom(info.meta.region_epoch)
    order.target_peer.CopyFrom(info.leader or metapb.Peer())
    return order
