"""Where whole queries go: to the mirror that is there, past a store without a free slot, by leaders at first."""

from __future__ import annotations

from collections import Counter

import pytest

from rutile_kv.client.mirror_sites import SLOTS, MirrorSites

LEADERS = Counter({1: 2, 2: 5, 3: 2})


def test_the_first_query_goes_where_most_regions_are_led() -> None:
    assert MirrorSites().choose({1, 2, 3}, [10, 11], LEADERS) == 2


def test_later_ones_go_where_the_first_has_been_however_leaders_move() -> None:
    sites = MirrorSites()
    with sites.reading(2, [10, 11]):
        pass
    with sites.reading(3, [12]):
        pass
    assert sites.choose({1, 2, 3}, [10, 11, 12], Counter({1: 3})) == 2
    assert sites.choose({1, 3}, [10, 11, 12], Counter({1: 3})) == 3


def test_a_store_without_a_free_slot_is_passed_by_until_it_has_one() -> None:
    sites = MirrorSites()
    running = [sites.reading(2, [10]) for _ in range(SLOTS)]
    for each in running:
        each.__enter__()
    assert sites.choose({1, 2}, [10], LEADERS) == 1
    running[0].__exit__(None, None, None)
    assert sites.choose({1, 2}, [10], LEADERS) == 2


def test_what_a_lost_store_had_does_not_count() -> None:
    sites = MirrorSites()
    with sites.reading(3, [10]):
        pass
    sites.forget(3)
    assert sites.choose({1, 2, 3}, [10], LEADERS) == 2


def test_a_read_that_failed_leaves_no_mirror_and_takes_none_away() -> None:
    sites = MirrorSites()
    with sites.reading(3, [10, 11]):
        pass
    for store in (1, 3):
        with pytest.raises(OSError), sites.reading(store, [10, 11, 12]):
            raise OSError("no")
    assert (sites.is_site(1, [10, 11, 12]), sites.is_site(3, [10, 11, 12])) == (False, True)
    assert not sites.is_site(3, [10, 12]), "half of them is not most"
