"""Timestamps only rise: whatever the clock does, however often the process dies, however large the batches are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_pd.allocation.tso import REFRESH_MS, WINDOW_MS, TimestampOracle
from rutile_proto.errors import InvalidRequest
from rutile_proto.timestamps import LOGICAL_LIMIT, logical, physical_ms

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.one_of(st.integers(1, 5), st.just(LOGICAL_LIMIT), st.just(LOGICAL_LIMIT - 1))),
        st.tuples(st.just("clock"), st.integers(-10_000, 10_000)),
        st.tuples(st.just("save"), st.booleans()),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(EVENTS)
def test_no_timestamp_is_given_twice_and_none_is_smaller_than_an_earlier_one(events):
    now_ms, on_disk, last = 1_000_000, 0, -1
    oracle = TimestampOracle()
    for kind, argument in events:
        match kind:
            case "take":
                largest = oracle.take(argument, now_ms)
                if largest is not None:
                    assert largest - argument + 1 > last
                    assert physical_ms(largest - argument + 1) == physical_ms(largest) < on_disk
                    last = largest
            case "clock":
                now_ms += argument
            case "save":
                wanted = oracle.limit_to_save(now_ms)
                if wanted is not None:
                    on_disk = max(on_disk, wanted)
                    if argument:  # else the process is slow to notice
                        oracle.limit_saved(wanted)
            case "crash":
                oracle = TimestampOracle(on_disk)


def ready(now_ms):
    oracle = TimestampOracle()
    oracle.limit_saved(oracle.limit_to_save(now_ms))
    return oracle


def test_timestamps_follow_the_clock():
    oracle = ready(5_000)
    ts = oracle.take(3, 5_000)
    assert (physical_ms(ts), logical(ts)) == (5_000, 2)
    assert logical(oracle.take(1, 5_000)) == 3
    assert oracle.take(1, 5_001) >> 18 == 5_001


def test_a_full_millisecond_borrows_from_the_next():
    oracle = ready(5_000)
    oracle.take(LOGICAL_LIMIT, 5_000)
    assert physical_ms(oracle.take(1, 5_000)) == 5_001


def test_the_limit_is_wanted_early_and_set_ahead():
    oracle = ready(5_000)
    assert oracle.limit_ms == 5_000 + WINDOW_MS
    assert oracle.limit_to_save(5_000 + WINDOW_MS - REFRESH_MS) is None
    assert oracle.limit_to_save(5_001 + WINDOW_MS - REFRESH_MS) == 5_001 + WINDOW_MS - REFRESH_MS + WINDOW_MS


def test_nothing_is_given_at_the_limit():
    oracle = ready(5_000)
    assert oracle.take(1, 5_000 + WINDOW_MS) is None
    assert oracle.take(1, 4_999 + WINDOW_MS) is not None


@pytest.mark.parametrize("count", [0, -1, LOGICAL_LIMIT + 1])
def test_batches_out_of_bounds_are_refused(count):
    with pytest.raises(InvalidRequest):
        ready(5_000).take(count, 5_000)
