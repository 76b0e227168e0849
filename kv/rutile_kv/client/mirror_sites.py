"""`MirrorSites`: which stores are likely to have the columnar mirror of which regions, as far as this client caused it.

A store builds the mirror of a region when a whole query first reads it there, which takes much longer than any query
on it. So whole queries over the same tables should meet at the same store, however the leaders move about; unless that
one is busy, for then another one's mirror is worth its price. A store that was killed and started again has its mirror
from files: it is given time to come back (`FragmentRun`) before it is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

SLOTS = 2
"""Fragments a store runs at once unless it is configured otherwise; more only wait there."""
MAX_REGIONS = 100_000
"""Regions remembered; then everything is forgotten, and learnt again by and by."""


class MirrorSites:
    """Belongs to one client, and to its event loop."""

    def __init__(self) -> None:
        self._stores: dict[int, dict[int, None]] = {}
        """Per region, where it was read."""
        self._running: Counter[int] = Counter()

    def choose(self, stores: Iterable[int], region_ids: Sequence[int], leaders: Counter[int]) -> int:
        """The store of `stores` with a free slot, the most of the regions mirrored, and the most of their leaders."""
        warm = Counter(store for region_id in region_ids for store in self._stores.get(region_id, ()))
        return min(sorted(stores), key=lambda store: (self._running[store] >= SLOTS, -warm[store], -leaders[store]))

    @contextmanager
    def reading(self, store_id: int, region_ids: Sequence[int]) -> Iterator[None]:
        """A store reads the regions, and has their mirror then; unless it fails to, and had none before."""
        if len(self._stores) > MAX_REGIONS:
            self._stores.clear()
        fresh = [each for each in region_ids if store_id not in self._stores.get(each, ())]
        for region_id in fresh:
            self._stores.setdefault(region_id, {})[store_id] = None
        self._running[store_id] += 1
        try:
            yield
        except Exception:
            for region_id in fresh:
                self._stores.get(region_id, {}).pop(store_id, None)
            raise
        finally:
            self._running[store_id] -= 1

    def is_site(self, store_id: int, region_ids: Sequence[int]) -> bool:
        """Whether most of the regions were read there."""
        known = sum(store_id in self._stores.get(each, ()) for each in region_ids)
        return 2 * known > len(region_ids)

    def forget(self, store_id: int) -> None:
        """It does not answer: what it had may be lost."""
        for stores in self._stores.values():
            stores.pop(store_id, None)
