"""What makes a million regions cheap, against dumb twins: the ordered map, the indexed set, the figures of stores."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_pd.regions import ordered_map
from rutile_pd.regions.indexed_set import IndexedSet
from rutile_pd.regions.ordered_map import OrderedMap
from rutile_pd.regions.recent import RecentRegions
from rutile_pd.regions.tree import Peer, RegionInfo, RegionTree, StaleRegion
from rutile_pd.schedulers.dice import Dice
from rutile_pd.schedulers.scores import SortedScores
from rutile_pd.stores.store_limit import StoreLimit
from rutile_proto import metapb_pb2 as metapb

KEYS = st.binary(max_size=2)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of four keys: splitting and emptying them is what may go wrong."""
    monkeypatch.setattr(ordered_map, "MAX_CHUNK", 4)


@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=60), KEYS)
def test_the_ordered_map_equals_a_sorted_dict(changes, probe):
    found, dumb = OrderedMap[bytes](), dict[bytes, bytes]()
    for is_put, key in changes:
        if is_put:
            found.put(key, key + b"!")
            dumb[key] = key + b"!"
        elif key in dumb:
            found.delete(key)
            del dumb[key]
        else:
            with pytest.raises(KeyError):
                found.delete(key)
    assert len(found) == len(dumb)
    assert list(found) == [dumb[key] for key in sorted(dumb)]
    for key in (probe, *sorted(dumb)[:3], b"", b"\xff\xff\xff"):
        at_or_before = [each for each in sorted(dumb) if each <= key]
        before = [each for each in sorted(dumb) if each < key]
        assert found.at_or_before(key) == (dumb[at_or_before[-1]] if at_or_before else None)
        assert found.before(key) == (dumb[before[-1]] if before else None)
        assert list(found.from_key(key)) == [dumb[each] for each in sorted(dumb) if each >= key]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_the_indexed_set_equals_a_set(changes):
    found, dumb = IndexedSet(), set()
    for is_add, item in changes:
        (found.add if is_add else found.discard)(item)
        (dumb.add if is_add else dumb.discard)(item)
        assert sorted(found) == sorted(dumb)
        assert sorted(found[place] for place in range(len(found))) == sorted(dumb)
        assert (item in found) == (item in dumb)


def test_dice_are_fair_and_repeat():
    one, other = Dice(7), Dice(7)
    drawn = [one.below(10) for _ in range(10_000)]
    assert drawn == [other.below(10) for _ in range(10_000)]
    counts = [drawn.count(number) for number in range(10)]
    assert 900 < min(counts) <= max(counts) < 1100


@st.composite
def reports(draw):
    """A report of one of four regions in a key space of six."""
    start = draw(st.integers(0, 5))
    end = draw(st.integers(start + 1, 6))
    stores = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True))
    id_ = draw(st.integers(1, 4))
    roles = st.sampled_from([metapb.Voter, metapb.Learner])
    peers = tuple(Peer(id_ * 10 + store, store, draw(roles)) for store in stores)
    return RegionInfo(
        id_,
        b"%d" % start if start else b"",
        b"%d" % end if end < 6 else b"",
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        peers,
        draw(st.sampled_from([None, *peers])),
        pending=draw(st.sampled_from([(), (peers[0].id,)])),
        approximate_size_bytes=draw(st.integers(0, 9)),
        approximate_keys=draw(st.integers(0, 9)),
    )


@settings(max_examples=200)
@given(st.lists(reports(), max_size=20))
def test_figures_of_stores_are_those_of_the_regions(taken):
    tree = RegionTree()
    for info in taken:
        known = tree.by_id(info.id)
        if known is not None and known.peers == info.peers:
            info.peers = known.peers  # as of_heartbeat does
        try:
            tree.put(info)
        except StaleRegion:
            continue
    for store in range(1, 5):
        here = [(region, peer) for region in tree if (peer := region.peer_on(store))]
        figures = tree.figures(store)
        led = [region for region, peer in here if region.leads(peer)]
        assert sorted(figures.leaders) == sorted(region.id for region in led)
        not_led = [(region.id, peer.is_learner) for region, peer in here if not region.leads(peer)]
        assert sorted(figures.followers) == sorted(id_ for id_, is_learner in not_led if not is_learner)
        assert sorted(figures.learners) == sorted(id_ for id_, is_learner in not_led if is_learner)
        assert figures.peer_size_bytes == sum(region.approximate_size_bytes for region, _ in here)
        assert figures.leader_size_bytes == sum(region.approximate_size_bytes for region in led)
        assert figures.peer_keys == sum(region.approximate_keys for region, _ in here)
        assert figures.pending == sum(peer.id in region.pending for region, peer in here)
    for region in tree:
        assert tree.left_of(region) == next((each for each in tree if each.end_key == region.start_key != b""), None)
        assert tree.right_of(region) == next((each for each in tree if each.start_key == region.end_key != b""), None)


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 10)), max_size=30))
def test_scores_stay_in_order(changes):
    scores, dumb = SortedScores(), dict[int, float]()
    for store, score in changes:
        scores.set(store, score)
        dumb[store] = score
    by_score = sorted(dumb, key=lambda store: (dumb[store], store))
    assert list(scores.rising()) == by_score
    assert list(scores.falling()) == by_score[::-1]


def test_a_store_limit_is_a_minutes_worth_that_refills():
    limit = StoreLimit()
    for _ in range(6):
        assert limit.allows(6, 0)
        limit.take(6, 0)
    assert not limit.allows(6, 9_000)
    assert limit.allows(6, 10_000)
    assert not StoreLimit().allows(0, 0)
    assert StoreLimit().allows(0.5, 0)


def test_regions_are_recent_for_a_while_and_all_are_at_first():
    recent = RecentRegions(0)
    assert recent.is_recent(1, 100, 99)
    assert not recent.is_recent(1, 100, 100)
    recent.note(1, 150)
    assert recent.is_recent(1, 100, 249)
    recent.forget_old(100, 249)
    assert recent.is_recent(1, 100, 249)
    recent.forget_old(100, 250)
    assert not recent.is_recent(1, 100, 250)
