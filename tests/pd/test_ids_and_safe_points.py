"""Ids are unique over crashes; safe points rise and are held back by claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutile_pd.allocation.ids import CHUNK, IdAllocator
from rutile_pd.allocation.safe_points import GC_WORKER, MAX_TTL_S, SafePoints
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


def test_a_claim_on_what_is_about_to_be_collected_is_refused():
    """The worker was told 100 and is ending old transactions: who comes now has come too late."""
    points = SafePoints(10)
    points.claim(GC_WORKER, 3_600, 100, wall_s=0)
    assert points.claim(b"reader", 60, 99, wall_s=0) is None
    assert points.lowest().safe_point == 100
    assert points.claim(b"reader", 60, 100, wall_s=0) is not None


def test_claims_are_free_between_the_safe_point_and_what_a_backup_holds():
    """The worker was told 50, and goes no further; nothing is reserved while there is no worker."""
    points = SafePoints(10)
    points.claim(b"backup", 60, 50, wall_s=0)
    assert points.claim(b"earlier", 1, 40, wall_s=0) is not None
    assert points.expire(1) == [b"earlier"]
    points.claim(GC_WORKER, 3_600, 100, wall_s=1)
    assert points.claim(b"reader", 60, 60, wall_s=1) is not None
    assert points.claim(b"reader", 60, 49, wall_s=1) is None


STEPS = st.one_of(
    st.tuples(st.just("claim"), st.integers(0, 3), st.integers(0, 30)),
    st.tuples(st.just("release"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("ask"), st.integers(0, 1), st.integers(0, 30)),
    st.tuples(st.just("raise"), st.integers(0, 1), st.just(0)),
)


@given(st.lists(STEPS, max_size=40))
def test_what_was_promised_is_kept_whenever_workers_raise_the_safe_point(steps):
    """Two workers, each of which first asks how far it may go and raises the safe point some time later."""
    points, promised, told = SafePoints(), dict[int, int](), dict[int, int]()
    for kind, who, safe_point in steps:
        if kind == "claim" and points.claim(b"service %d" % who, MAX_TTL_S, safe_point, wall_s=0):
            promised[who] = safe_point
        elif kind == "release":
            points.release(b"service %d" % who)
            promised.pop(who, None)
        elif kind == "ask":
            points.claim(GC_WORKER, MAX_TTL_S, safe_point, wall_s=0)
            told[who] = min(safe_point, points.lowest().safe_point) if points.lowest() else 0
        elif kind == "raise" and who in told:
            points.advance(told.pop(who))
        assert all(points.safe_point <= held for held in promised.values())
