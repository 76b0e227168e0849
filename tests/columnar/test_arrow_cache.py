"""The cache's budget, its eviction order, and what it does with indexes and logs."""

import pyarrow as pa
import pytest
from mirror_world import SCHEMA

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.delta import DeltaLog
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.pins import RegionPin
from rutile_kv.engine.api import CF_LOCK, CF_WRITE, Modify
from rutile_proto.keys import int_handle, record_key, storage_key, versioned_key

TABLE = 7


def base(index: int, *columns: int, rows: int = 8) -> TableBase:
    keys = [b"%04d" % row for row in range(rows)]
    return TableBase(index, 1, (keys,), {column: (pa.array(range(rows), pa.int64()),) for column in columns}, SCHEMA)


def key(region_id: int) -> BaseKey:
    return BaseKey(region_id, 1, TABLE, 0)


def followed(budget_bytes: int = 1 << 20) -> ArrowCache:
    cache = ArrowCache(budget_bytes)
    cache.follow()
    return cache


def pin(cache: ArrowCache, region_id: int, index: int) -> RegionPin:
    pinned = cache.pin(region_id, [TABLE], index)
    assert pinned is not None
    return pinned


def keep(cache: ArrowCache, region_id: int, index: int, *columns: int) -> None:
    cache.put(key(region_id), base(index, *columns), pin(cache, region_id, index))


def write(table_id: int, handle: int = 1, record: bytes | None = b"P...") -> Modify:
    return CF_WRITE, versioned_key(storage_key(record_key(table_id, int_handle(handle))), 5), record


def test_without_a_follower_there_are_no_pins() -> None:
    assert ArrowCache().pin(1, [TABLE], 5) is None


def test_a_base_goes_with_the_delta_up_to_the_pin() -> None:
    cache = followed()
    keep(cache, 1, 5, 1)
    cache.applied(1, 6, [write(TABLE), (CF_LOCK, b"k", b"l"), write(8), write(TABLE, 2, None)])
    cache.applied(2, 6, [write(TABLE)])
    early = pin(cache, 1, 6)
    cache.applied(1, 7, [write(TABLE), write(TABLE, 3)])
    for pinned, indexes in ((early, [6]), (pin(cache, 1, 7), [6, 7, 7])):
        held = cache.find(key(1), pinned, 100)
        assert held is not None
        assert held.delta.indexes == indexes


def test_an_older_pin_keeps_what_a_newer_base_replaced() -> None:
    cache = followed()
    keep(cache, 1, 5, 1)
    cache.applied(1, 6, [write(TABLE)])
    early = pin(cache, 1, 6)
    cache.applied(1, 7, [write(TABLE)])
    keep(cache, 1, 7, 1)
    held = cache.find(key(1), early, 100)
    assert held is not None
    assert (held.base.index, held.delta.indexes) == (5, [6])
    newest = cache.find(key(1), pin(cache, 1, 7), 100)
    assert newest is not None
    assert (newest.base.index, len(newest.delta)) == (7, 0)


def test_columns_of_one_index_join_in_the_chunks_of_the_first_and_a_stale_offer_changes_nothing() -> None:
    cache = followed()
    pinned = pin(cache, 1, 4)
    keep(cache, 1, 5, 1)
    halves = pa.array([0, 1, 2], pa.int64()), pa.array([3, 4, 5, 6, 7], pa.int64())
    keys = [b"%04d" % row for row in range(8)]
    cache.put(key(1), TableBase(5, 9, (keys[:3], keys[3:]), {2: halves}, SCHEMA), pin(cache, 1, 5))
    cache.put(key(1), base(4, 3), pinned)
    held = cache.find(key(1), pin(cache, 1, 5), 100)
    assert held is not None
    assert held.base.missing([1, 2, 3]) == [3]
    assert [array.to_pylist() for array in held.base.columns[2]] == [list(range(8))]
    assert (held.base.max_commit_ts, cache.size_bytes) == (9, held.base.size_bytes)


def test_least_recently_used_goes_first_when_the_budget_is_full_and_its_log_with_it() -> None:
    cache = followed(budget_bytes=2 * base(1, 1).size_bytes)
    for region_id in (1, 2):
        keep(cache, region_id, 1, 1)
    cache.find(key(1), pin(cache, 1, 1), 100)
    stale = pin(cache, 2, 1)
    keep(cache, 3, 1, 1)
    assert cache.find(key(2), pin(cache, 2, 1), 100) is None
    assert cache.find(key(1), pin(cache, 1, 1), 100) is not None
    assert cache.counters.evictions == 1
    cache.put(key(2), base(1, 1), stale)
    assert cache.find(key(2), pin(cache, 2, 1), 100) is None, "its log has a gap: it was gone for a while"


def test_logs_count_and_are_given_up_last() -> None:
    cache = followed(budget_bytes=base(1, 1).size_bytes + 400)
    keep(cache, 1, 1, 1)
    cache.applied(1, 2, [write(TABLE), write(TABLE)])
    assert cache.size_bytes > base(1, 1).size_bytes
    cache.applied(1, 3, [write(TABLE), write(TABLE), write(TABLE)])
    assert (len(cache), cache.size_bytes) == (0, 0)
    pin(cache, 1, 3)
    cache.applied(1, 4, [write(TABLE)] * 20)
    assert cache.size_bytes == 0


def test_what_is_larger_than_the_budget_is_not_kept() -> None:
    cache = followed(budget_bytes=10)
    keep(cache, 1, 1, 1)
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_region_can_be_forgotten_while_a_base_for_it_is_being_made() -> None:
    cache = followed()
    keep(cache, 2, 1, 1)
    pinned = pin(cache, 1, 1)
    cache.drop_region(1)
    cache.put(key(1), base(1, 1), pinned)
    assert cache.find(key(1), pin(cache, 1, 1), 100) is None
    assert cache.find(key(2), pin(cache, 2, 1), 100) is not None


def test_forgetting_leaves_handed_out_entries_whole() -> None:
    log = DeltaLog(1)
    for index in range(2, 6):
        log.append(index, b"v%d" % index, b"r")
    handed_out = log.entries
    log.forget(3)
    log.forget(2)
    assert (log.since, log.entries.indexes, handed_out.indexes) == (3, [4, 5], [2, 3, 4, 5])
    assert log.size_bytes == log.entries.size_bytes
    assert handed_out.between(2, 4).versions == [b"v3", b"v4"]


def test_bases_of_different_indexes_never_join() -> None:
    with pytest.raises(AssertionError, match="indexes"):
        base(1, 1).join(base(2, 2))
