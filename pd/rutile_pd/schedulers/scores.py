"""How loaded stores are, as numbers to compare, kept in order: the emptiest store is found without looking at all.

A store's leader score is the regions it will lead, its peer score the bytes that will lie on it, both divided by its
weight: with equal weights and room, balance means equal bytes. Each region counts a MiB on top, so that empty ones are
spread too. Above `high_space_ratio` the peer score grows faster the less space is left, and stores with less room get
less.

Sizes change with every heartbeat; scores follow at each tick, and at once when an operator begins, moves on or ends.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from rutile_pd.config import MIB, PdConfig
from rutile_pd.operators.controller import OperatorController
from rutile_pd.regions.tree import RegionTree
from rutile_pd.stores.registry import StoreInfo, StoreRegistry

_WEIGHTLESS = 1e18
"""Stores of weight 0 have this and their load: more than any other, and no part in the average."""
_STEEPNESS = 16
"""A full store counts as much as this many times the bytes on one with room."""


class SortedScores:
    """Stores in the order of a score."""

    def __init__(self) -> None:
        self._score: dict[int, float] = {}
        self._order: list[tuple[float, int]] = []
        self._total = 0.0
        self._counted = 0

    def __len__(self) -> int:
        return len(self._order)

    def get(self, store_id: int, default: float) -> float:
        """The score of a store, or the default for one that is no member."""
        return self._score.get(store_id, default)

    def __contains__(self, store_id: int) -> bool:
        return store_id in self._score

    def rising(self) -> Iterator[int]:
        """Stores, the least loaded first. A snapshot: scores may change meanwhile."""
        return (store_id for _, store_id in list(self._order))

    def falling(self) -> Iterator[int]:
        """Stores, the most loaded first."""
        return (store_id for _, store_id in reversed(list(self._order)))

    def average(self) -> float:
        """Of the stores that are to hold something; in constant time, for it is asked at each comparison."""
        return self._total / self._counted if self._counted else 0.0

    def set(self, store_id: int, score: float) -> None:
        """A store's score is this now."""
        old = self._score.get(store_id)
        if old == score:
            return
        if old is not None:
            del self._order[bisect_left(self._order, (old, store_id))]
            self._count(old, -1)
        self._score[store_id] = score
        insort(self._order, (score, store_id))
        self._count(score, +1)

    def replace(self, scores: dict[int, float]) -> None:
        """All scores at once."""
        self._score = scores
        self._order = sorted((score, store_id) for store_id, score in scores.items())
        self._total, self._counted = 0.0, 0
        for score in scores.values():
            self._count(score, +1)

    def _count(self, score: float, sign: int) -> None:
        if score < _WEIGHTLESS:
            self._total += sign * score
            self._counted += sign


class ScoreBoard:
    """Scores of all stores that are members and shall stay."""

    def __init__(self, stores: StoreRegistry, regions: RegionTree) -> None:
        self._stores = stores
        self._regions = regions
        self.leaders = SortedScores()
        self.peers = SortedScores()
        self._touched: dict[int, None] = {}

    def touch(self, store_ids: Iterable[int]) -> None:
        """What operators will change about these stores is another by now."""
        self._touched.update(dict.fromkeys(store_ids))

    def refresh(self, operators: OperatorController, config: PdConfig) -> None:
        """Work all scores out anew."""
        members = self._stores.up()
        self._touched.clear()
        self.leaders.replace({store.id: self._leader_score(store, operators) for store in members})
        self.peers.replace({store.id: self._peer_score(store, operators, config) for store in members})

    def catch_up(self, operators: OperatorController, config: PdConfig) -> None:
        """Work out those that were touched."""
        touched, self._touched = self._touched, {}
        for store_id in touched:
            if store_id in self.peers:
                store = self._stores.get(store_id)
                self.leaders.set(store_id, self._leader_score(store, operators))
                self.peers.set(store_id, self._peer_score(store, operators, config))

    def _leader_score(self, store: StoreInfo, operators: OperatorController) -> float:
        count = self._regions.leader_count(store.id) + operators.influence(store.id).leaders
        return _weighted(count, store.settings.leader_weight)

    def _peer_score(self, store: StoreInfo, operators: OperatorController, config: PdConfig) -> float:
        figures, coming = self._regions.figures(store.id), operators.influence(store.id)
        size = max(figures.peer_size_bytes + coming.peer_size_bytes, 0)
        counted = size / MIB + max(figures.peer_count + coming.peers, 0)
        return _weighted(counted * crowding(store, config), store.settings.region_weight)


def _weighted(load: float, weight: float) -> float:
    """Load by weight; a store of weight 0 is more loaded than any other, even when it holds nothing."""
    return load / weight if weight > 0 else _WEIGHTLESS + load


def crowding(store: StoreInfo, config: PdConfig) -> float:
    """What a store's load is multiplied by: 1 while it has room, more the less there is."""
    crowded = max(0.0, store.used_share() - config.high_space_ratio) / max(1e-9, 1 - config.high_space_ratio)
    return 1 + _STEEPNESS * crowded


def region_score(size_bytes: int) -> float:
    """What one region adds to the peer score of a store with room and weight 1."""
    return size_bytes / MIB + 1
