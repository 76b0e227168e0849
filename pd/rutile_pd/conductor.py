"""Decides what is to be done, by asking the policies, and keeps what they go by.

Two things make it act. A heartbeat: the region's operator moves on, or the checkers look at the region. A tick: a
patrol checks the next few regions in key order, schedulers balance stores, and orders go out without waiting for
heartbeats.
"""

from typing import TYPE_CHECKING

from rutile_pd.config import PdConfig
from rutile_pd.operators.controller import OperatorController
from rutile_pd.operators.operator import Operator
from rutile_pd.placement.attainable import Attainable
from rutile_pd.placement.rule_book import RuleBook
from rutile_pd.regions.recent import RecentRegions
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers import CHECKERS, View, evict_leader, merge_checker
from rutile_pd.schedulers.dice import Dice
from rutile_pd.schedulers.scatter import Scatterer
from rutile_pd.schedulers.scheduler_book import SchedulerBook
from rutile_pd.schedulers.scores import ScoreBoard
from rutile_proto import pdpb_pb2 as pdpb

if TYPE_CHECKING:
    from rutile_pd.cluster import Cluster

PATROL_REGIONS = 256
"""Regions the patrol looks at in one tick; the others have their turn in the next ones."""


class Conductor:
    """What runs, and what runs it."""

    def __init__(self, cluster: "Cluster", config: PdConfig, now_ms: int) -> None:
        self._cluster = cluster
        self.scores = ScoreBoard(cluster.stores, cluster.regions)
        self.operators = OperatorController(config.timeout_ms, config.quick_timeout_ms, self.scores.touch)
        self.schedulers = SchedulerBook(cluster.settings.schedulers())
        self._scatterer = Scatterer()
        self._patrol_at = b""
        self._scores_version = -1
        self._view = View(
            stores=cluster.stores,
            regions=cluster.regions,
            operators=self.operators,
            ids=cluster.ids,
            config=config,
            rules=cluster.settings.rules(config),
            scores=self.scores,
            attainable=Attainable(),
            loads=cluster.loads,
            recent=RecentRegions(now_ms),
            dice=Dice(cluster.id),
            leaderless={},
            now_ms=now_ms,
        )

    # --- what it goes by ------------------------------------------------------------------------------------------

    @property
    def config(self) -> PdConfig:
        return self._view.config

    @property
    def rules(self) -> RuleBook:
        return self._view.rules

    def set_config(self, config: PdConfig, rules: RuleBook) -> None:
        """Go by these from now on."""
        self._view.config, self._view.rules = config, rules
        self.operators.timeout_ms, self.operators.quick_timeout_ms = config.timeout_ms, config.quick_timeout_ms
        self._scores_version = -1

    def wanted_peers(self, region: RegionInfo) -> int:
        """How many peers the rules want of the region."""
        return sum(rule.count for rule in self._view.rules_of(region))

    def view(self, now_ms: int) -> View:
        """The cluster as it is now."""
        view, version = self._view, self._cluster.stores.version
        view.now_ms = now_ms
        if version != self._scores_version:
            self._scores_version = version
            self.scores.refresh(self.operators, view.config)
        else:
            self.scores.catch_up(self.operators, view.config)
        return view

    def fresh_view(self, now_ms: int) -> View:
        """The same with all scores worked out anew, as at each tick."""
        self._scores_version = -1
        return self.view(now_ms)

    # --- what happens ---------------------------------------------------------------------------------------------

    def region_changed(self, known: RegionInfo | None, info: RegionInfo, replaced: list[int], now_ms: int) -> None:
        """A report was taken: `known` is what the region was before, `replaced` are regions it overlaps:
        they are no more, or were split and report later what is left of them."""
        for region_id in replaced:
            self.operators.region_replaced(region_id, info.id, now_ms)
        is_split = known is not None and known.version < info.version and not replaced
        if known is None or is_split:
            self._view.recent.note(info.id, now_ms)

    def order_for(self, info: RegionInfo, now_ms: int) -> pdpb.RegionHeartbeatResponse | None:
        """What the region's leader is to do now."""
        order = self.operators.order_for(info, now_ms)
        if self.operators.get(info.id) is None:
            self._check(info, self.view(now_ms))
            order = self.operators.order_for(info, now_ms)
        return None if order is None else addressed(order, info)

    def tick(self, now_ms: int) -> list[pdpb.RegionHeartbeatResponse]:
        """Patrol, balance; orders to send at once."""
        view = self.fresh_view(now_ms)
        view.leaderless = self._leaderless(now_ms)
        view.recent.forget_old(view.config.split_merge_interval_s * 1000, now_ms)
        self.operators.drop_overdue(now_ms, view.must_leave)
        looked_at = self._next_on_patrol()
        for info in looked_at:
            if self.operators.get(info.id) is None:
                self._check(info, self.view(now_ms))
        started = [operator.region_id for operator in self._schedule(now_ms)]
        return self.orders(dict.fromkeys([*(info.id for info in looked_at), *started]), now_ms)

    def _leaderless(self, now_ms: int) -> dict[int, None]:
        stopping = [store.id for store in self._cluster.stores.up() if store.stats.is_stopping]
        return dict.fromkeys(self.schedulers.evicted_stores(now_ms) + stopping)

    def _next_on_patrol(self) -> list[RegionInfo]:
        regions = self._cluster.regions.scan(self._patrol_at, b"", PATROL_REGIONS)
        self._patrol_at = regions[-1].end_key if len(regions) == PATROL_REGIONS else b""
        return regions

    def _check(self, info: RegionInfo, view: View) -> None:
        for checker in CHECKERS:
            operator = checker(info, view)
            if operator is not None:
                self.begin(operator)
                return
        for operator in merge_checker.check(info, view):
            self.begin(operator)

    def _schedule(self, now_ms: int) -> list[Operator]:
        begun: list[Operator] = []
        for schedule in (evict_leader.schedule, *self.schedulers.balancers(now_ms)):
            begun += [operator for operator in schedule(self.view(now_ms)) if self.begin(operator)]
        return begun

    # --- operators ------------------------------------------------------------------------------------------------

    def begin(self, operator: Operator) -> bool:
        """Let an operator run. False if its region is gone, or has something as urgent going on."""
        region = self._cluster.regions.by_id(operator.region_id)
        if region is None or not self.operators.add(operator, region):
            return False
        self._spend(operator)
        return True

    def _spend(self, operator: Operator) -> None:
        """Count the peers that come and go against the limits of their stores."""
        view = self._view
        for store_id in operator.target_stores():
            if (store := view.stores.find(store_id)) is not None:
                store.adding.take(view.add_limit(store), view.now_ms)
        for store_id in operator.source_stores():
            if (store := view.stores.find(store_id)) is not None:
                store.removing.take(view.remove_limit(store), view.now_ms)

    def orders(self, region_ids: dict[int, None] | list[int], now_ms: int) -> list[pdpb.RegionHeartbeatResponse]:
        """What the operators of these regions ask for now."""
        orders = []
        for region_id in region_ids:
            info = self._cluster.regions.by_id(region_id)
            order = None if info is None or info.leader is None else self.operators.order_for(info, now_ms)
            if info is not None and order is not None:
                orders.append(addressed(order, info))
        return orders

    def split_order(self, region_id: int, keys: list[bytes]) -> pdpb.RegionHeartbeatResponse:
        """An order to split a region that is known to be led."""
        info = self._cluster.regions.by_id(region_id)
        assert info is not None, "it was found a moment ago"
        split = pdpb.SplitRegion(policy=pdpb.USEKEY, keys=keys)
        return addressed(pdpb.RegionHeartbeatResponse(split_region=split), info)

    def scatter(
        self, region_ids: list[int], group: str, now_ms: int
    ) -> tuple[list[int], list[pdpb.RegionHeartbeatResponse]]:
        """Begin to spread regions: (those that cannot be touched now, orders for the others)."""
        failed, moved = [], []
        for region_id in region_ids:
            view, info = self.view(now_ms), self._cluster.regions.by_id(region_id)
            if info is None or not self._scatterer.can_touch(info, view):
                failed.append(region_id)
                continue
            operator = self._scatterer.operator(info, group, view)
            if operator is not None and self.begin(operator):
                moved.append(region_id)
        return failed, self.orders(moved, now_ms)


def addressed(order: pdpb.RegionHeartbeatResponse, info: RegionInfo) -> pdpb.RegionHeartbeatResponse:
    """The order with the region, its epoch and its leader: the store obeys only while these still hold."""
    order.region_id = info.id
    order.region_epoch.conf_ver, order.region_epoch.version = info.conf_ver, info.version
    if info.leader is not None:
        order.target_peer.CopyFrom(info.leader.to_pb())
    return order
