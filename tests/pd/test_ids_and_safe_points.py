"""Ids are unique over crashes; safe points rise and are held back by claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_pd.allocation.ids import CHUNK, IdAllocator
from rutile_pd.allocation.safe_points import MAX_TTL_S, SafePoints
from rutile_proto.errors import InvalidRequest


@given(st.lists(st.one_of(st.integers(1, CHUNK), st.sampled_from(["crash", "save"])), max_size=40))
def test_ids_are_never_given_twice(events):
    on_disk, given_out = 0, 0
    allocator = IdAllocator(on_disk)
    for event in events:
        if event == "crash":
            allocator = IdAllocator(on_disk)
        elif event == "save":
            on_disk = allocator.end_to_save(CHUNK) or on_disk
            allocator.end_saved(on_disk)
        else:
            last = allocator.take(event)
            if last is not None:
                assert given_out < last - event + 1
                assert last < on_disk
                given_out = last


def test_a_refill_is_always_enough():
    allocator = IdAllocator()
    allocator.end_saved(allocator.end_to_save(CHUNK))
    allocator.take(1)
    assert allocator.take(CHUNK) is None
    allocator.end_saved(allocator.end_to_save(CHUNK))
    assert allocator.take(CHUNK) is not None


def test_too_many_ids_at_once_are_refused():
    with pytest.raises(InvalidRequest):
        IdAllocator().take(CHUNK + 1)


def test_the_safe_point_only_rises():
    points = SafePoints(10)
    assert points.advance(5) == 10
    assert points.advance(20) == 20


def test_the_lowest_claim_counts_until_it_expires_or_lets_go():
    points = SafePoints()
    points.claim(b"backup", 60, 50, wall_s=1_000)
    points.claim(b"feed", MAX_TTL_S, 70, wall_s=1_000)
    assert points.lowest().service_id == b"backup"
    assert points.lowest().ttl_s(1_010) == 50
    assert points.expire(1_060) == [b"backup"]
    assert (points.lowest().safe_point, points.lowest().ttl_s(9_999)) == (70, MAX_TTL_S)
    assert points.release(b"feed")
    assert points.lowest() is None
    assert not points.release(b"feed")


def test_a_claim_on_collected_versions_is_refused():
    points = SafePoints(100)
    assert points.claim(b"late", 60, 99, wall_s=0) is None
    assert points.lowest() is None
