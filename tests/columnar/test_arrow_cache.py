"""The cache's budget, its eviction order, and what it does with versions."""

import pyarrow as pa
import pytest

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache, BaseKey


def base(version: int, *columns: int, rows: int = 8) -> TableBase:
    keys = [b"%04d" % row for row in range(rows)]
    return TableBase(version, 1, (keys,), {column: (pa.array(range(rows), pa.int64()),) for column in columns})


def key(region_id: int) -> BaseKey:
    return BaseKey(region_id, 1, 7, 0)


def test_another_data_version_is_a_miss_and_an_older_base_goes() -> None:
    cache = ArrowCache()
    cache.put(key(1), base(5, 1))
    assert cache.find(key(1), 4) is None
    assert cache.find(key(1), 5) is not None
    assert cache.find(key(1), 6) is None
    assert len(cache) == 0
    assert cache.size_bytes == 0
    assert (cache.counters.hits, cache.counters.misses) == (1, 2)


def test_columns_of_one_version_join_and_a_stale_offer_changes_nothing() -> None:
    cache = ArrowCache()
    cache.put(key(1), base(5, 1))
    cache.put(key(1), base(5, 2))
    cache.put(key(1), base(4, 3))
    held = cache.find(key(1), 5)
    assert held is not None
    assert held.missing([1, 2, 3]) == [3]
    assert cache.size_bytes == held.size_bytes


def test_least_recently_used_goes_first_when_the_budget_is_full() -> None:
    cache = ArrowCache(budget_bytes=2 * base(1, 1).size_bytes)
    for region_id in (1, 2):
        cache.put(key(region_id), base(1, 1))
    cache.find(key(1), 1)
    cache.put(key(3), base(1, 1))
    assert cache.find(key(2), 1) is None
    assert cache.find(key(1), 1) is not None
    assert cache.counters.evictions == 1


def test_what_is_larger_than_the_budget_is_not_kept() -> None:
    cache = ArrowCache(budget_bytes=10)
    cache.put(key(1), base(1, 1))
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_region_can_be_forgotten() -> None:
    cache = ArrowCache()
    cache.put(key(1), base(1, 1))
    cache.put(key(2), base(1, 1))
    cache.drop_region(1)
    assert cache.find(key(1), 1) is None
    assert cache.find(key(2), 1) is not None


def test_bases_of_different_versions_never_join() -> None:
    with pytest.raises(AssertionError, match="data versions"):
        base(1, 1).join(base(2, 2))
