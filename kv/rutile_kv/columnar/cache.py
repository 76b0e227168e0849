"""A byte-budgeted, least-recently-used store of table bases, shared by the event loop and the worker threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from rutile_kv.columnar.base import TableBase

DEFAULT_BUDGET_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BaseKey:
    """Which rows a base holds. A split or merge gives a region a new epoch version, and so a new key."""

    region_id: int
    epoch_version: int
    table_id: int
    layout_version: int


@dataclass(slots=True)
class CacheCounters:
    """What became of the look-ups since the start."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0


class ArrowCache:
    """Bases by key. A base that does not fit the budget is refused; when full, the least recently used ones go."""

    def __init__(self, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._budget_bytes = budget_bytes
        self._bases: OrderedDict[BaseKey, TableBase] = OrderedDict()
        self._size_bytes = 0
        self._mutex = threading.Lock()
        self.counters = CacheCounters()

    @property
    def size_bytes(self) -> int:
        """Bytes of Arrow buffers and keys held now; never above the budget."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._bases)

    def find(self, key: BaseKey, data_version: int) -> TableBase | None:
        """The base of exactly this data version, or None. A base of an older version is dropped on sight."""
        with self._mutex:
            base = self._bases.get(key)
            if base is not None and base.data_version == data_version:
                self._bases.move_to_end(key)
                self.counters.hits += 1
                return base
            if base is not None and base.data_version < data_version:
                self._remove(key)
            self.counters.misses += 1
            return None

    def put(self, key: BaseKey, base: TableBase) -> TableBase:
        """Keep `base`, joined with the columns already held for its data version; returns what a reader should use.

        A newer base in place is left alone: data versions only grow, so the offered one is already stale.
        """
        with self._mutex:
            held = self._bases.get(key)
            if held is not None and held.data_version > base.data_version:
                return base
            if held is not None and held.data_version == base.data_version:
                base = held.join(base)
            self._remove(key)
            if base.size_bytes <= self._budget_bytes:
                self._bases[key] = base
                self._size_bytes += base.size_bytes
                self._evict()
            return base

    def drop_region(self, region_id: int) -> None:
        """Forget all of a region: it left this store, or its bases are known to be of no more use."""
        with self._mutex:
            for key in [key for key in self._bases if key.region_id == region_id]:
                self._remove(key)

    def clear(self) -> None:
        with self._mutex:
            self._bases.clear()
            self._size_bytes = 0

    def _remove(self, key: BaseKey) -> None:
        base = self._bases.pop(key, None)
        if base is not None:
            self._size_bytes -= base.size_bytes

    def _evict(self) -> None:
        while self._size_bytes > self._budget_bytes:
            _, base = self._bases.popitem(last=False)
            self._size_bytes -= base.size_bytes
            self.counters.evictions += 1
