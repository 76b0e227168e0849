"""Rules against stores: JSON, what holds where, and the best fit against one that tries every assignment."""

import json
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_pd.config import PdConfig
from rutile_pd.placement.attainable import best_score
from rutile_pd.placement.fit import fit, serves
from rutile_pd.placement.isolation import distance, is_isolated, score
from rutile_pd.placement.rule_book import RuleBook
from rutile_pd.placement.rules import LabelConstraint, Op, Role, Rule, RuleGroup
from rutile_pd.regions.tree import Peer, RegionInfo
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest

ZONES = ("zone", "host")
STORES = {
    1: {"zone": "a", "host": "1", "disk": "ssd"},
    2: {"zone": "a", "host": "2"},
    3: {"zone": "b", "host": "3", "disk": "ssd"},
    4: {"zone": "b", "host": "4"},
    5: {"zone": "c", "host": "5", "disk": "hdd"},
    6: {"zone": "c", "host": "5"},
}


def rule(role=Role.VOTER, count=3, **more):
    return Rule("g", more.pop("id_", "r"), role, count, **more)


# --- one rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "values", "allowed"),
    [
        (Op.IN, ("ssd",), [1, 3]),
        (Op.NOT_IN, ("ssd",), [2, 4, 5, 6]),
        (Op.EXISTS, (), [1, 3, 5]),
        (Op.NOT_EXISTS, (), [2, 4, 6]),
    ],
)
def test_constraints_choose_stores(op, values, allowed):
    wanted = rule(label_constraints=(LabelConstraint("disk", op, values),))
    assert [store for store, labels in STORES.items() if wanted.allows(labels)] == allowed


def test_exclusive_stores_serve_only_who_asks_for_them():
    assert not rule().allows({"engine": "columns"})
    assert rule(label_constraints=(LabelConstraint("engine", Op.IN, ("columns",)),)).allows({"engine": "columns"})


def test_a_rule_comes_back_from_its_json():
    wanted = rule(
        role=Role.LEARNER,
        count=2,
        start_key=b"\x01",
        end_key=b"\xff",
        label_constraints=(LabelConstraint("disk", Op.IN, ("ssd",)),),
        location_labels=ZONES,
        isolation_level="host",
    )
    assert Rule.from_json(wanted.to_json()) == wanted
    assert json.loads(wanted.to_json())["start_key"] == "01"
    group = RuleGroup("g", 4, True)
    assert RuleGroup.from_json(group.to_json()) == group


@pytest.mark.parametrize(
    "change",
    [
        {"count": 0},
        {"count": "3"},
        {"count": True},
        {"role": "king"},
        {"role": "leader", "count": 2},
        {"start_key": "zz"},
        {"start_key": "02", "end_key": "01"},
        {"isolation_level": "zone"},
        {"label_constraints": [3]},
        {"location_labels": [3]},
        {"group_id": None},
        {"group_id": "a/b"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(change):
    given_ = {"group_id": "g", "id": "r", "role": "voter", "count": 3} | change
    with pytest.raises(InvalidRequest):
        Rule.from_json(json.dumps(given_))


# --- all rules --------------------------------------------------------------------------------------------------------


def names(rules):
    return [each.id for each in rules]


def test_rules_apply_in_order_and_override():
    book = RuleBook(
        PdConfig(),
        [
            rule(id_="late", index=2),
            rule(id_="early", index=1),
            rule(id_="middle", start_key=b"m", index=3, override=True),
            Rule("top", "only", Role.VOTER, 5, start_key=b"x"),
        ],
        [RuleGroup("top", 9, True), RuleGroup("g", 1)],
    )
    assert names(book.at(b"a")) == ["default", "early", "late"]
    assert names(book.at(b"m")) == ["default", "middle"]
    assert names(book.at(b"z")) == ["only"]
    assert book.borders_within(b"", b"") == [b"m", b"x"]
    assert book.borders_within(b"m", b"x") == []
    assert book.borders_within(b"a", b"m") == []


def test_borders_between_equal_lists_are_none():
    book = RuleBook(PdConfig(), [rule(id_="left", end_key=b"m", role=Role.LEARNER)])
    assert book.borders_within(b"", b"") == [b"m"]
    assert RuleBook(PdConfig()).borders_within(b"", b"") == []


def test_a_book_changes_as_a_whole_or_not_at_all():
    book = RuleBook(PdConfig(max_replicas=2), [rule(id_="extra", role=Role.LEARNER, count=1)])
    assert [each.count for each in book.at(b"")] == [1, 2]
    assert [each.count for each in book.with_config(PdConfig()).at(b"")] == [1, 3]
    assert names(book.changed(deleted_rules=[("g", "extra")]).at(b"")) == ["default"]
    assert names(book.changed(deleted_groups=["g"]).at(b"")) == ["default"]
    with pytest.raises(InvalidRequest, match="no rule g/nothing"):
        book.changed(deleted_rules=[("g", "nothing")])
    learners = Rule("pd", "default", Role.LEARNER, 3)
    with pytest.raises(InvalidRequest, match="voter"):
        book.changed(rules=[learners])
    followers = Rule("pd", "default", Role.FOLLOWER, 3)
    with pytest.raises(InvalidRequest, match="lead"):
        book.changed(rules=[followers])
    leaders = [Rule("pd", name, Role.LEADER, 1) for name in ("default", "second")]
    with pytest.raises(InvalidRequest, match="two rules"):
        book.changed(rules=leaders)


# --- isolation --------------------------------------------------------------------------------------------------------


def test_isolation_counts_the_widest_difference():
    assert [distance(STORES[1], STORES[other], ZONES) for other in (1, 2, 3)] == [0, 1, 100]
    assert distance({}, STORES[1], ZONES) == 100, "a store without the label differs from all"
    assert score([STORES[1], STORES[2], STORES[3]], ZONES) == 201
    assert is_isolated(STORES[1], [STORES[2]], ZONES, "host")
    assert not is_isolated(STORES[1], [STORES[2]], ZONES, "zone")
    assert not is_isolated(STORES[5], [STORES[6]], ZONES, "host")


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from("12")), max_size=7),
    st.integers(1, 4),
)
def test_choosing_far_stores_one_by_one_is_best(places, count):
    labels = [{"zone": zone, "rack": rack, "host": host} for zone, rack, host in places]
    every = [score(chosen, ("zone", "rack", "host")) for chosen in combinations(labels, min(count, len(labels)))]
    assert best_score(labels, count, ("zone", "rack", "host")) == max(every)


# --- fits -------------------------------------------------------------------------------------------------------------

RULES = (
    rule(Role.VOTER, 3, location_labels=ZONES),
    rule(Role.VOTER, 2, location_labels=ZONES, label_constraints=(LabelConstraint("disk", Op.IN, ("ssd",)),)),
    rule(Role.LEADER, 1, label_constraints=(LabelConstraint("zone", Op.IN, ("a", "b")),)),
    rule(Role.FOLLOWER, 1, label_constraints=(LabelConstraint("zone", Op.NOT_IN, ("a",)),)),
    rule(Role.LEARNER, 1),
)


@st.composite
def regions(draw):
    stores = draw(st.lists(st.sampled_from([*STORES, 9]), unique=True, min_size=1, max_size=5))
    peers = tuple(
        Peer(store * 10, store, draw(st.sampled_from([metapb.Voter, metapb.Voter, metapb.Learner]))) for store in stores
    )
    return RegionInfo(1, b"", b"", 1, 1, peers, draw(st.sampled_from(peers)))


def rank_of(region, rules, groups, is_sound):
    """The order of fits, word for word."""
    return [
        (
            len(group),
            sum(map(is_sound, group)),
            sum(serves(region, peer, rule.role) for peer in group),
            score([STORES[peer.store_id] for peer in group], rule.location_labels),
        )
        for rule, group in zip(rules, groups, strict=True)
    ]


def every_assignment(region, rules):
    """All ways to give each peer to one rule or to none that respect constraints and counts."""
    for choice in product([None, *range(len(rules))], repeat=len(region.peers)):
        groups = [[p for p, at in zip(region.peers, choice, strict=True) if at == n] for n in range(len(rules))]
        if all(
            len(group) <= rule.count and all(rule.allows(STORES.get(p.store_id, {"$": "none"})) for p in group)
            for rule, group in zip(rules, groups, strict=True)
        ):
            yield groups


@settings(max_examples=150)
@given(regions(), st.lists(st.sampled_from(RULES), min_size=1, max_size=3, unique=True), st.sampled_from([0, 1, 2]))
def test_the_fit_is_as_good_as_the_best_of_all(region, rules, unsound_store):
    def is_sound(peer):
        return peer.store_id != unsound_store

    found = fit(region, rules, STORES.get, is_sound)
    groups = [each.peers for each in found.rules]
    best = max(rank_of(region, rules, each, is_sound) for each in every_assignment(region, rules))
    assert rank_of(region, rules, groups, is_sound) == best
    placed = [peer for group in groups for peer in group]
    assert sorted([*placed, *found.orphans]) == sorted(region.peers), "each peer serves once, or is an orphan"
    for each in found.rules:
        assert list(each.misplaced) == [peer for peer in each.peers if not serves(region, peer, each.rule.role)]
        assert each.isolation == score([STORES[peer.store_id] for peer in each.peers], each.rule.location_labels)
