"""Where regions are cut: profiles against plain counting, tables, sizes, halves, load."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_RAW, CF_WRITE, DATA_CFS
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore import split_check
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.load import LoadMonitor, balanced_key
from rutile_kv.raftstore.region_profile import MAX_MARKS, ProfileScan, border_of, spans_tables, table_borders
from rutile_kv.raftstore.sampled_reader import SampledReader
from rutile_kv.raftstore.stats import RegionStats
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.boundaries import is_boundary
from rutile_proto.keys import int_handle, meta_key, record_key, storage_key, table_prefix, versioned_key

CONFIG = StoreConfig(
    region_max_bytes=9_000,
    region_split_bytes=6_000,
    region_max_keys=900,
    region_split_keys=600,
    table_split_bytes=2_000,
    load_split_requests=80,
    load_windows=3,
)
WHOLE = metapb.Region(id=1)


def region(start=b"", end=b""):
    return metapb.Region(id=1, start_key=start, end_key=end, region_epoch=metapb.RegionEpoch(version=1, conf_ver=1))


def engine_of(entries):
    engine = MemoryEngine()
    batch = engine.batch()
    for cf, key, value in entries:
        batch.put(cf, key, value)
    engine.write(batch)
    return engine


def versions(user_keys, value=b"v" * 80, stamps=(7,)):
    return [(CF_WRITE, versioned_key(storage_key(key), ts), value) for key in user_keys for ts in stamps]


def rows(table, count, value=b"v" * 80):
    return versions([record_key(table, int_handle(n)) for n in range(count)], value)


def profile(engine, of=WHOLE, slice_entries=7):
    scan = ProfileScan(engine, of)
    while scan.advance(slice_entries):
        pass
    return scan.profile()


def left_of(engine, border):
    """(bytes, counted keys) below a border, entry by entry."""
    entries = [(cf, key, value) for cf in DATA_CFS for key, value in engine.scan(cf, b"", border)]
    counted = sum(cf in (CF_WRITE, CF_RAW) for cf, _, _ in entries)
    return sum(len(key) + len(value) for _, key, value in entries), counted


# --- profiles ---------------------------------------------------------------------------------------------------------

some_keys = st.lists(st.binary(min_size=1, max_size=12), max_size=30, unique=True)


@given(some_keys, some_keys, some_keys, st.integers(1, 5), st.data())
def test_a_profile_against_counting(committed, locked, raw, slice_entries, data):
    engine = engine_of(
        [
            *versions(committed, b"value", stamps=(3, 9)),
            *[(CF_DEFAULT, versioned_key(storage_key(key), 2), b"long value") for key in committed[::2]],
            *[(CF_LOCK, storage_key(key), b"lock") for key in locked],
            *[(CF_RAW, key, b"raw value") for key in raw],
        ]
    )
    bounds = sorted(data.draw(st.lists(st.sampled_from([*map(storage_key, committed), b""]), min_size=2, max_size=2)))
    of = region(*bounds) if bounds[0] != bounds[1] else WHOLE
    found = profile(engine, of, slice_entries)
    low, high = left_of(engine, of.start_key), left_of(engine, of.end_key or None)
    assert (found.size_bytes, found.keys) == (high[0] - low[0], high[1] - low[1])
    assert [mark.border for mark in found.marks] == sorted({mark.border for mark in found.marks})
    for mark in found.marks:
        assert is_boundary(mark.border), "a region cannot begin there"
        assert of.start_key < mark.border and (not of.end_key or mark.border < of.end_key)
        assert 0 < mark.size_bytes < found.size_bytes


def test_marks_are_bounded_and_near_the_truth():
    engine = engine_of(versions([b"%07d" % n for n in range(5_000)], b"x" * 20))
    found = profile(engine, slice_entries=1_000)
    assert MAX_MARKS // 4 < len(found.marks) <= MAX_MARKS
    for mark in found.marks[:: len(found.marks) // 10]:
        size_bytes, keys = left_of(engine, mark.border)
        assert abs(mark.size_bytes - size_bytes) <= found.size_bytes / 100
        assert abs(mark.keys - keys) <= found.keys / 100


def test_versions_of_a_key_are_never_parted():
    engine = engine_of(versions([b"hot"], stamps=range(1, 200)))
    assert profile(engine).marks == []
    assert split_check.in_half(profile(engine)) == []
    assert split_check.split_keys(profile(engine), CONFIG) == [], "one key cannot be cut, however big"


def test_raw_keys_give_borders_that_transactional_clients_can_read():
    engine = engine_of([(CF_RAW, b"user:%04d" % n, b"v" * 100) for n in range(9_990, 10_010)])
    cut = split_check.in_half(profile(engine))
    assert cut and all(is_boundary(key) for key in cut)
    assert border_of(CF_RAW, b"\0" * 9) is None


# --- tables -----------------------------------------------------------------------------------------------------------


def test_tables_are_found_by_their_rows():
    entries = [*versions([meta_key("tables")]), *rows(5, 2), *rows(9, 1), *versions([b"u-someone"])]
    engine = engine_of(entries)
    assert list(table_borders(engine, WHOLE)) == [
        storage_key(table_prefix(5)),
        storage_key(table_prefix(9)),
        storage_key(table_prefix(10)),
    ]
    assert spans_tables(engine, WHOLE)
    assert not spans_tables(engine, region(storage_key(table_prefix(5)), storage_key(table_prefix(6))))
    assert not spans_tables(engine_of(versions([b"test:00000001", b"tesu:00000002"])), WHOLE), "no table's keys"


def test_a_big_table_gets_a_region_of_its_own_small_ones_stay_together():
    small = [entry for table in (1, 2, 3) for entry in rows(table, 2)]
    later = [entry for table in (21, 22) for entry in rows(table, 2)]
    found = profile(engine_of([*small, *rows(20, 30), *later]))
    assert split_check.split_keys(found, CONFIG) == [storage_key(table_prefix(20)), storage_key(table_prefix(21))]


def test_many_small_tables_are_cut_into_groups():
    found = profile(engine_of([entry for table in range(40) for entry in rows(table, 1)]))
    cuts = split_check.at_tables(found, CONFIG)
    assert 3 <= len(cuts) <= 5
    assert not split_check.at_tables(found, StoreConfig()), "below the limit they stay together"


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "parts"), [(60, 1), (110, 2), (300, 5)])
def test_parts_are_equal(count, parts):
    engine = engine_of(versions([b"k%04d" % n for n in range(count)]))
    found = profile(engine)
    cuts = [b"", *split_check.split_keys(found, CONFIG), None]
    assert len(cuts) - 1 == parts
    sizes = [left_of(engine, high)[0] - left_of(engine, low)[0] for low, high in pairwise(cuts)]
    assert max(sizes) < CONFIG.region_max_bytes
    assert max(sizes) - min(sizes) <= 300


def test_many_tiny_keys_are_cut_by_count():
    found = profile(engine_of(versions([b"%04d" % n for n in range(1_000)], b"")))
    wide = StoreConfig(region_max_bytes=1 << 30, region_max_keys=900, region_split_keys=600, table_split_bytes=1 << 30)
    assert len(split_check.split_keys(found, wide)) == 1


def test_checks_are_due_for_big_regions_that_have_grown():
    config = StoreConfig(region_max_bytes=100, table_split_bytes=50, split_check_growth_bytes=20)
    assert not split_check.is_check_due(RegionStats(size_bytes=49), config)
    assert split_check.is_check_due(RegionStats(size_bytes=50), config)
    assert not split_check.is_check_due(RegionStats(size_bytes=69, checked_bytes=50), config)
    assert split_check.is_check_due(RegionStats(size_bytes=70, checked_bytes=50), config)


def test_counters_are_shared_by_what_the_parts_hold():
    engine = engine_of([*versions([b"a"], b"v" * 300), *versions([b"z"], b"v" * 100)])
    border = storage_key(b"m")
    left, right = RegionStats(size_bytes=8_000, keys=80).shares(engine, [region(b"", border), region(border)])
    assert left.size_bytes + right.size_bytes in (7_999, 8_000)
    assert 2.5 < left.size_bytes / right.size_bytes < 3.0
    assert left.keys > right.keys
    halves = RegionStats(size_bytes=8_000).shares(MemoryEngine(), [region(b"", border), region(border)])
    assert [half.size_bytes for half in halves] == [4_000, 4_000]


# --- load -------------------------------------------------------------------------------------------------------------


def points(*keys):
    return [(key, key) for key in keys]


def test_a_hot_region_is_told_after_some_windows_in_a_row():
    monitor = LoadMonitor(CONFIG, random.Random(1))

    def window(writes):
        for n in range(writes):
            monitor.wrote(1, [(CF_LOCK, storage_key(b"%04d" % n), b"v")])
        return monitor.roll()

    assert [window(100), window(100), window(10), window(100), window(100)] == [[]] * 5
    ((region_id, spans),) = window(100)
    assert region_id == 1 and len(spans) >= 30
    key = balanced_key(spans, WHOLE)
    assert storage_key(b"0030") < key < storage_key(b"0070")
    assert window(100) == [], "the count begins anew"


def test_nothing_is_hot_when_switched_off():
    monitor = LoadMonitor(StoreConfig(load_split_requests=0, load_windows=1), random.Random(1))
    for _ in range(100_000):
        monitor.wrote(1, [(CF_LOCK, b"k", b"v" * 1000)])
    assert monitor.roll() == []


def test_the_cut_balances_and_avoids_scans():
    keys = [storage_key(b"%02d" % n) for n in range(100)]
    assert balanced_key(points(*keys), WHOLE) == keys[50]
    assert balanced_key(points(*keys), region(keys[70])) is None, "nothing inside the region is balanced"
    scans = [(keys[40], keys[60])] * 40 + [(keys[0], keys[40])] * 30 + [(keys[60], keys[99])] * 70
    assert balanced_key(scans, WHOLE) == keys[60]
    assert balanced_key([(b"", None)] * 50, WHOLE) is None, "scans of everything need both sides wherever it is cut"


def test_one_hot_row_is_not_cut():
    hot = storage_key(b"hot")
    assert balanced_key(points(*[hot] * 90, *(storage_key(b"%02d" % n) for n in range(10))), WHOLE) is None
    assert balanced_key(points(hot), WHOLE) is None, "too few to say"


def test_a_sampled_view_tells_requests_and_bytes():
    monitor = LoadMonitor(CONFIG, random.Random(1))
    engine = engine_of([*versions([b"a", b"b"]), (CF_LOCK, storage_key(b"a"), b"lock")])
    views = [monitor.is_sampled(1) for _ in range(16)]
    assert sum(views) == 2
    view = SampledReader(engine, WHOLE, monitor)
    view.get(CF_LOCK, storage_key(b"a"))
    assert len(list(view.scan(CF_WRITE, b"", None))) == 2
    list(view.scan(CF_LOCK, storage_key(b"a"), None))
    monitor.roll()
    read_bytes, reads = monitor.take_reads(1)
    assert reads == 2 * 8
    assert read_bytes > 8 * 160
    assert monitor.take_reads(1) == (0, 0)
