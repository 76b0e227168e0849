"""What policies see of the cluster, and the questions they all ask."""

from collections.abc import Callable
from dataclasses import dataclass

from rutile_pd.allocation.ids import IdAllocator
from rutile_pd.config import PdConfig
from rutile_pd.operators.controller import OperatorController
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import Step
from rutile_pd.placement.attainable import Attainable
from rutile_pd.placement.fit import RegionFit, fit
from rutile_pd.placement.isolation import Labels
from rutile_pd.placement.rule_book import RuleBook
from rutile_pd.placement.rules import Role, Rule
from rutile_pd.regions.indexed_set import IndexedSet
from rutile_pd.regions.load_statistics import LoadStatistics
from rutile_pd.regions.recent import RecentRegions
from rutile_pd.regions.tree import Peer, RegionInfo, RegionTree
from rutile_pd.schedulers.dice import Dice
from rutile_pd.schedulers.scores import ScoreBoard
from rutile_pd.stores.registry import StoreInfo, StoreLife, StoreRegistry
from rutile_proto import metapb_pb2 as metapb

LimitOf = Callable[[PdConfig], int]
LIMITS: dict[Kind, LimitOf] = {
    Kind.LEADER: lambda config: config.leader_schedule_limit,
    Kind.REGION: lambda config: config.region_schedule_limit,
    Kind.REPLICA: lambda config: config.replica_schedule_limit,
    Kind.MERGE: lambda config: 2 * config.merge_schedule_limit,  # source and target have one each
    Kind.HOT_REGION: lambda config: config.hot_region_schedule_limit,
}
"""Operators of a kind that may run at a time; other kinds have no limit."""
STORES_A_LIMIT = 32
"""Leaders move between two stores at a time: so many stores may have as many transfers as the limit says, twice as many
stores twice as many. Otherwise a hundred thousand leaders would move one by one for hours."""
_WORST = 2e18
"""Above every score that a member can have."""


@dataclass(slots=True)
class View:
    """The cluster at `now_ms` (monotonic). Policies read; they change nothing but draw ids and dice.

    There is one, which the cluster keeps up to date: making one for each heartbeat would cost more than the checks.
    """

    stores: StoreRegistry
    regions: RegionTree
    operators: OperatorController
    ids: IdAllocator
    config: PdConfig
    rules: RuleBook
    scores: ScoreBoard
    attainable: Attainable
    loads: LoadStatistics
    recent: RecentRegions
    dice: Dice
    leaderless: dict[int, None]
    """Stores that are to lead nothing: evict-leader, and those that say they are stopping."""
    now_ms: int

    # --- stores ---------------------------------------------------------------------------------------------------

    def life(self, store_id: int) -> StoreLife:
        """The state of a store; one that never registered is as good as a tombstone."""
        store = self.stores.find(store_id)
        return StoreLife.TOMBSTONE if store is None else store.life(self.config, self.now_ms)

    def is_connected(self, store: StoreInfo) -> bool:
        """Whether the store is a member and was heard of lately."""
        return store.life(self.config, self.now_ms) is StoreLife.UP

    def must_leave(self, store_id: int) -> bool:
        """Whether peers on the store are to be replaced: gone for too long, being removed, or never registered."""
        return self.life(store_id) in (StoreLife.DOWN, StoreLife.OFFLINE, StoreLife.TOMBSTONE)

    def accepts_peer(self, store: StoreInfo) -> bool:
        """Whether the store may be given one more peer now."""
        return (
            self.is_connected(store)
            and store.has_room(self.config.low_space_ratio)
            and not store.stats.is_busy
            and store.settings.region_weight > 0
            and self.operators.coming_to(store.id) < self.config.max_operators_per_store
            and store.adding.allows(self.add_limit(store), self.now_ms)
        )

    def gives_peer(self, store_id: int) -> bool:
        """Whether one more peer may be taken from the store now, for balance."""
        store = self.stores.find(store_id)
        return store is not None and store.removing.allows(self.remove_limit(store), self.now_ms)

    def add_limit(self, store: StoreInfo) -> float:
        """Peers the store may be given in a minute."""
        own = store.settings.add_limit_per_minute
        return self.config.store_limit_per_minute if own is None else own

    def remove_limit(self, store: StoreInfo) -> float:
        """Peers the store may lose in a minute."""
        own = store.settings.remove_limit_per_minute
        return self.config.store_limit_per_minute if own is None else own

    def accepts_leader(self, store_id: int) -> bool:
        """Whether the store may be given one more leader now."""
        store = self.stores.find(store_id)
        return (
            store is not None
            and self.is_connected(store)
            and not store.stats.is_busy
            and store.settings.leader_weight > 0
            and store_id not in self.leaderless
        )

    # --- rules ----------------------------------------------------------------------------------------------------

    def rules_of(self, region: RegionInfo) -> tuple[Rule, ...]:
        """The placement rules that hold for the region."""
        return self.rules.at(region.start_key)

    def fit(self, region: RegionInfo) -> RegionFit:
        """Which of its peers serve which rules. A peer on a store that must go is unsound, as is one that is down."""

        def is_sound(peer: Peer) -> bool:
            return not self.must_leave(peer.store_id) and not region.is_down(peer.id)

        return fit(region, self.rules_of(region), self.labels, is_sound)

    def labels(self, store_id: int) -> Labels | None:
        """The labels of a store; None if no peer may count on it."""
        store = self.stores.find(store_id)
        return None if store is None or store.meta.state == metapb.Tombstone else store.labels

    def best_isolation(self, rule: Rule) -> int:
        """How far apart the replicas of the rule could be on the stores there are."""
        if not rule.location_labels:
            return 0
        labels = [store.labels for store in self.stores.up()]
        return self.attainable.score(rule, labels, self.stores.version)

    def may_lead(self, region: RegionInfo, peer: Peer) -> bool:
        """Whether the peer could take the lead now: a healthy voter, its store takes it, and no rule is against it."""
        return (
            peer.role == metapb.Voter
            and region.is_well(peer)
            and self.accepts_leader(peer.store_id)
            and self.rules_let_lead(region, peer)
        )

    def rules_let_lead(self, region: RegionInfo, peer: Peer) -> bool:
        """Whether the peer serves a rule whose peers may lead. Where a rule asks for the leader, only its peers may."""
        rules = self.rules_of(region)
        if all(rule.role in (Role.VOTER, Role.LEARNER) for rule in rules):
            return True
        if any(rule.role is Role.LEADER and rule.allows(self.labels(peer.store_id) or {}) for rule in rules):
            return True
        served = self.fit(region).serving(peer)
        is_elsewhere = any(rule.role is Role.LEADER for rule in rules)
        return not is_elsewhere and served is not None and served.rule.role is Role.VOTER

    def heirs(self, region: RegionInfo) -> tuple[int, ...]:
        """Stores that could take the lead, the least loaded first."""
        fit_ones = [peer.store_id for peer in region.peers if self.may_lead(region, peer)]
        return tuple(sorted(fit_ones, key=lambda store_id: (self.leader_score(store_id), store_id)))

    # --- scores and draws -----------------------------------------------------------------------------------------

    def leader_score(self, store_id: int) -> float:
        """See `scores`; a store that is to go is more loaded than any other."""
        return self.scores.leaders.get(store_id, _WORST)

    def peer_score(self, store_id: int) -> float:
        """See `scores`."""
        return self.scores.peers.get(store_id, _WORST)

    def is_free(self, region: RegionInfo) -> bool:
        """Whether schedulers may touch the region: led, in one configuration, healthy, nothing going on."""
        return (
            region.leader is not None
            and not region.in_joint
            and not region.down
            and not region.pending
            and self.operators.get(region.id) is None
        )

    def draw(self, region_ids: IndexedSet, count: int) -> list[RegionInfo]:
        """Up to `count` regions of the set at random, all of them if there are not more."""
        size = len(region_ids)
        ids = list(region_ids) if size <= count else [region_ids[self.dice.below(size)] for _ in range(count)]
        found = (self.regions.by_id(region_id) for region_id in ids)
        return [info for info in found if info is not None]

    def room_for(self, kind: Kind) -> int:
        """How many more operators of the kind may run."""
        limit = LIMITS[kind](self.config)
        if kind is Kind.LEADER:
            limit *= max(1, len(self.scores.leaders) // STORES_A_LIMIT)
        return limit - self.operators.count(kind)

    def operator(self, region: RegionInfo, reason: str, steps: tuple[Step, ...], kind: Kind) -> Operator:
        """An operator made now."""
        return Operator.on(region, reason, steps, self.now_ms, kind)
