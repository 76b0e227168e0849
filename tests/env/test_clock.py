"""Clocks: the system's moves by itself, the manual one only when told."""

import pytest

from rutile_kv.env.clock import ManualClock, SystemClock


def test_the_system_clock_does_not_go_back_and_is_in_this_century():
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert 1_600_000_000_000 < clock.wall_ms() < 4_000_000_000_000


def test_a_manual_clock_advances_both_kinds_together():
    clock = ManualClock(wall_ms=1_000)
    clock.advance(0.25)
    assert (clock.monotonic(), clock.wall_ms()) == (0.25, 1_250)


def test_setting_the_wall_leaves_the_monotonic_clock_alone():
    clock = ManualClock(wall_ms=1_000)
    clock.set_wall_ms(5)
    assert (clock.monotonic(), clock.wall_ms()) == (0.0, 5)


def test_time_does_not_pass_backwards():
    with pytest.raises(ValueError, match="-1"):
        ManualClock().advance(-1)
