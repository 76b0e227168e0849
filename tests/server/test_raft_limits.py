"""Settings of a store, as its raftstore understands them."""

import pytest

from rutile_kv.raftstore.config import StoreConfig as RaftstoreConfig
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.raft_limits import raft_limits


def test_settings_become_limits_in_ticks_and_parts():
    config = StoreConfig(
        tick_seconds=0.05,
        region_max_bytes=9_000,
        region_max_keys=90,
        load_split_requests=7,
        hibernate_after_seconds=2.0,
        consistency_check_seconds=60.0,
        snapshot_bytes_per_second=1_000,
    )
    limits = raft_limits(config, RaftstoreConfig())
    assert (limits.region_max_bytes, limits.region_split_bytes) == (9_000, 6_000)
    assert (limits.region_max_keys, limits.region_split_keys) == (90, 60)
    assert (limits.load_split_requests, limits.snapshot_bytes_per_second) == (7, 1_000)
    assert (limits.hibernate_after_ticks, limits.consistency_check_ticks) == (40, 1_200)


def test_what_is_not_set_leaves_given_limits_alone():
    given = RaftstoreConfig(region_max_bytes=5, region_split_bytes=3, hibernate_after_ticks=2, load_split_requests=1)
    limits = raft_limits(StoreConfig(), given)
    assert (limits.region_max_bytes, limits.region_split_bytes) == (5, 3)
    assert (limits.hibernate_after_ticks, limits.load_split_requests) == (2, 1)
    assert raft_limits(StoreConfig(hibernate_after_seconds=0.0), given).hibernate_after_ticks == 0, "never"


def test_both_sides_have_the_same_defaults():
    default, limits = StoreConfig(), RaftstoreConfig()
    assert (default.region_max_bytes, default.region_max_keys) == (limits.region_max_bytes, limits.region_max_keys)
    assert default.load_split_requests == limits.load_split_requests
    assert default.snapshot_bytes_per_second == limits.snapshot_bytes_per_second
    assert default.hibernate_after_seconds == limits.hibernate_after_ticks * default.tick_seconds
    assert default.consistency_check_seconds == limits.consistency_check_ticks == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"region_max_bytes": 0},
        {"region_max_keys": 0},
        {"load_split_requests": -1},
        {"hibernate_after_seconds": -1.0},
        {"consistency_check_seconds": -1.0},
        {"snapshot_bytes_per_second": -1},
    ],
)
def test_senseless_settings_are_refused(setting):
    with pytest.raises(ValueError):
        StoreConfig(**setting)
