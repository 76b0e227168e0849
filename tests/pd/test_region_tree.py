"""The region tree against a dumb twin that looks at every region every time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_pd.regions.tree import RegionInfo, RegionTree, StaleRegion
from rutile_proto import metapb_pb2 as metapb

KEYS = [b"", b"b", b"c", b"d", b"e", b"f"]


def region(id_, start, end, version=1, conf_ver=1, term=1, leader_store=1, stores=(1, 2)):
    peers = [metapb.Peer(id=id_ * 10 + store, store_id=store) for store in stores]
    epoch = metapb.RegionEpoch(version=version, conf_ver=conf_ver)
    meta = metapb.Region(id=id_, start_key=start, end_key=end, region_epoch=epoch, peers=peers)
    return RegionInfo.of(meta, next((peer for peer in peers if peer.store_id == leader_store), None), term)


@st.composite
def regions(draw):
    start = draw(st.integers(0, len(KEYS) - 1))
    end = draw(st.integers(start + 1, len(KEYS)))
    return region(
        draw(st.integers(1, 4)),
        KEYS[start],
        KEYS[end] if end < len(KEYS) else b"",
        version=draw(st.integers(1, 3)),
        conf_ver=draw(st.integers(1, 2)),
        term=draw(st.integers(0, 2)),
        leader_store=draw(st.integers(0, 2)),
    )


class DumbTree:
    """A list, and the rules word for word."""

    def __init__(self):
        self.regions = []

    @staticmethod
    def meet(a, b):
        ends_before = a.end_key and a.end_key <= b.start_key
        return not ends_before and not (b.end_key and b.end_key <= a.start_key)

    def put(self, info):
        for old in self.regions:
            is_same = old.id == info.id
            older = info.version < old.version or info.conf_ver < old.conf_ver or 0 < info.term < old.term
            if (is_same and older) or (not is_same and self.meet(old, info) and old.version > info.version):
                raise StaleRegion("older")
        self.regions = [old for old in self.regions if old.id != info.id and not self.meet(old, info)] + [info]
        self.regions.sort(key=lambda each: each.start_key)

    def find(self, key):
        return next((each for each in self.regions if each.contains(key)), None)


@settings(max_examples=200)
@given(st.lists(regions(), max_size=15), st.sampled_from(KEYS), st.sampled_from(KEYS))
def test_tree_equals_its_dumb_twin(reports, start, end):
    tree, dumb = RegionTree(), DumbTree()
    for info in reports:
        outcomes = []
        for each in (tree, dumb):
            try:
                each.put(info)
                outcomes.append("taken")
            except StaleRegion:
                outcomes.append("stale")
        assert outcomes[0] == outcomes[1]
        assert list(tree) == dumb.regions
    for key in (*KEYS, b"a", b"cc", b"zz"):
        assert tree.find(key) == dumb.find(key)
        found = dumb.find(key)
        before = [each for each in dumb.regions if found and each.end_key == found.start_key != b""]
        assert tree.find_previous(key) == (before[0] if before else None)
    wanted = region(9, start, end)
    if not end or start < end:
        assert tree.scan(start, end) == [each for each in dumb.regions if dumb.meet(each, wanted)]
        assert tree.scan(start, end, 1) == tree.scan(start, end)[:1]
    for store in (1, 2):
        assert tree.peer_count(store) == len(dumb.regions)
        led = [each.id for each in dumb.regions if each.leader and each.leader.store_id == store]
        assert sorted(each.id for each in tree.led_by(store)) == sorted(led)
        assert tree.leader_count(store) == len(led)
    assert all(tree.by_id(each.id) == each for each in dumb.regions)


def test_a_split_replaces_the_old_range_whoever_reports_first():
    tree = RegionTree()
    tree.put(region(1, b"", b"", version=1))
    assert tree.put(region(2, b"", b"m", version=2)) == [1]
    tree.put(region(1, b"m", b"", version=2))
    with pytest.raises(StaleRegion, match="1"):
        tree.put(region(1, b"", b"", version=1))
    assert [each.id for each in tree] == [2, 1]


def test_an_older_leader_is_not_believed():
    tree = RegionTree()
    tree.put(region(1, b"", b"", term=5))
    with pytest.raises(StaleRegion, match="term 4"):
        tree.put(region(1, b"", b"", term=4, leader_store=2))


def test_a_patrol_walks_in_key_order():
    tree = RegionTree()
    for number, (start, end) in enumerate([(b"", b"c"), (b"c", b"e"), (b"e", b"")], start=1):
        tree.put(region(number, start, end))
    assert [each.id for each in tree.after(b"", 1)] == [2]
    assert [each.id for each in tree.after(b"c", 5)] == [3]
