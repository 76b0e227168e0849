"""Each policy with toy stores that obey: rules are reached and kept through losses, label changes and removals."""

import dataclasses
import json

import pytest
from toy_stores import CONFIG, LEARNER, VOTER, Toy

from rutile_pd.administration import Administration
from rutile_pd.operators.operator import Kind
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as admin
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.keys import record_key, storage_key

MIB = 1 << 20
ZONES = {number: {"zone": "abc"[number % 3], "host": str(number)} for number in range(1, 10)}
BY_ZONE = dataclasses.replace(CONFIG, location_labels=("zone", "host"))


def set_rules(toy, *rules):
    rules = [{"group_id": "pd", "location_labels": [], **rule} for rule in rules]
    Administration(toy.pd).change_rules(admin.ChangeRulesRequest(set_rules_json=json.dumps(rules)))


def set_labels(toy, store, **labels):
    request = admin.SetStoreRequest(store_id=store)
    for key, value in labels.items():
        request.labels.add(key=key, value=value)
    Administration(toy.pd).set_store(request)


def set_(toy, name, value):
    Administration(toy.pd).set_setting(name, json.dumps(value))


def zones_of(toy, region):
    return sorted(toy.pd.stores.get(store).labels["zone"] for store in toy.stores_of(region))


def in_every_zone(toy):
    return toy.is_whole() and all(zones_of(toy, region) == ["a", "b", "c"] for region in toy.regions.values())


def is_quiet(toy):
    return len(toy.pd.operators) == 0


# --- placement rules --------------------------------------------------------------------------------------------------


def test_replicas_spread_over_zones_and_stay_so_through_loss_relabelling_and_removal():
    toy = Toy(stores=7, regions=6, config=BY_ZONE, labels=ZONES)
    toy.run_until(lambda: in_every_zone(toy))
    toy.alive[3] = False  # store 3 is in zone a, as 6 is
    toy.run_until(lambda: in_every_zone(toy) and not toy.pd.regions.peer_count(3))
    toy.alive[3] = True
    set_labels(toy, 4, zone="c")  # only 1 and 7 are left in b
    toy.run_until(lambda: in_every_zone(toy) and is_quiet(toy))
    toy.pd.remove_store(1)
    toy.run_until(lambda: in_every_zone(toy) and toy.is_buried(1))
    toy.run(20)
    assert in_every_zone(toy)


def test_with_two_zones_three_replicas_are_two_and_one():
    labels = {number: {"zone": "ab"[number % 2], "host": str(number)} for number in range(1, 5)}
    toy = Toy(stores=4, regions=4, config=BY_ZONE, labels=labels)
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    assert all(len(set(zones_of(toy, region))) == 2 for region in toy.regions.values())


def test_an_isolation_level_would_rather_have_too_few():
    labels = {number: {"zone": "ab"[number % 2], "host": str(number)} for number in range(1, 5)}
    toy = Toy(stores=4, config=dataclasses.replace(BY_ZONE, isolation_level="zone"), labels=labels)
    toy.run(60)
    assert len(toy.regions[1].peers) == 2
    assert toy.pd.health.count("miss-peer") == 1


def test_leaders_by_rule_and_a_learner_far_away():
    labels = {1: {"dc": "near"}, 2: {"dc": "near"}, 3: {"dc": "mid"}, 4: {"dc": "mid"}, 5: {"dc": "far"}}
    toy = Toy(stores=5, regions=3, labels=labels)
    near, mid, far = ({"key": "dc", "op": "in", "values": [name]} for name in ("near", "mid", "far"))
    set_rules(
        toy,
        {"id": "default", "role": "voter", "count": 1, "label_constraints": [near]},
        {"id": "lead", "role": "leader", "count": 1, "label_constraints": [near], "index": -1},
        {"id": "mid", "role": "follower", "count": 1, "label_constraints": [mid]},
        {"id": "far", "role": "learner", "count": 1, "label_constraints": [far]},
    )

    def is_right():
        return all(
            toy.leader(region).store_id in (1, 2)
            and toy.roles_of(region) | {3: VOTER, 4: VOTER} == {1: VOTER, 2: VOTER, 3: VOTER, 4: VOTER, 5: LEARNER}
            and len(region.peers) == 4
            for region in toy.regions.values()
        )

    toy.run_until(is_right)
    for region in toy.regions.values():
        toy.leaders[region.id] = next(peer.id for peer in region.peers if peer.store_id in (3, 4))
    toy.run_until(is_right)
    toy.run(20)
    assert is_right(), "nobody balances leaders away from where the rules want them"


def test_a_voter_becomes_a_learner_and_one_again():
    toy = Toy(stores=3, regions=2)
    toy.run_until(toy.is_whole)
    set_rules(
        toy,
        {"id": "default", "role": "voter", "count": 2},
        {"id": "learn", "role": "learner", "count": 1},
    )
    roles = [LEARNER, VOTER, VOTER]
    toy.run_until(
        lambda: all(
            sorted(toy.roles_of(each).values(), reverse=True) == sorted(roles, reverse=True)
            for each in toy.regions.values()
        )
    )
    request = admin.ChangeRulesRequest(
        delete_rules=[admin.RuleName(group_id="pd", id=name) for name in ("default", "learn")]
    )
    Administration(toy.pd).change_rules(request)
    toy.run_until(toy.is_whole)


def test_regions_are_split_where_other_rules_begin():
    toy = Toy(stores=5, regions=1)
    toy.run_until(toy.is_whole)
    set_rules(toy, {"id": "five", "role": "voter", "count": 2, "start_key": b"f".hex(), "end_key": b"k".hex()})

    def is_right():
        found = sorted((region.start_key, region.end_key, len(region.peers)) for region in toy.regions.values())
        return found == [(b"", b"f", 3), (b"f", b"k", 5), (b"k", b"", 3)]

    toy.run_until(is_right)


def test_a_region_of_one_replica_moves_without_being_alone():
    toy = Toy(stores=2, regions=3, config=dataclasses.replace(CONFIG, max_replicas=1))
    toy.run(3)
    toy.pd.remove_store(1)
    toy.run_until(lambda: toy.is_buried(1))
    assert toy.is_whole(1)


def test_a_move_that_waits_for_a_store_that_died_is_given_up():
    toy = Toy(stores=4, regions=1)
    toy.run_until(toy.is_whole)
    (spare,) = (store for store in toy.alive if store not in toy.stores_of(toy.regions[1]))
    toy.drop = lambda: True
    toy.pd.remove_store(toy.stores_of(toy.regions[1])[-1])
    toy.run_until(lambda: toy.pd.operators.coming_to(spare) == 1)
    toy.alive[spare] = False
    toy.run(round(CONFIG.max_store_down_s) + 2)
    assert is_quiet(toy)
    assert toy.pd.operators.history()[-1].status == pdpb.CANCEL


# --- balance ----------------------------------------------------------------------------------------------------------


def sizes(toy):
    return [toy.pd.regions.figures(store).peer_size_bytes // MIB for store in toy.alive]


def test_a_new_store_gets_its_share_of_bytes():
    toy = Toy(stores=3, regions=30)
    toy.sizes = {id_: (10 + id_) * MIB for id_ in toy.regions}
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    toy.start_store(4)
    toy.run_until(lambda: max(sizes(toy)) - min(sizes(toy)) <= 45 and is_quiet(toy))
    toy.run(30)
    assert is_quiet(toy), "balance is kept, not sought for ever"
    assert toy.is_whole()
    leaders = [toy.pd.regions.leader_count(store) for store in toy.alive]
    assert max(leaders) - min(leaders) <= 1


def test_weights_shift_balance():
    toy = Toy(stores=4, regions=20)
    toy.sizes = dict.fromkeys(toy.regions, 10 * MIB)
    Administration(toy.pd).set_store(admin.SetStoreRequest(store_id=4, region_weight=0.25, leader_weight=0))
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    assert 0 < toy.pd.regions.peer_count(4) < 8
    assert toy.pd.regions.leader_count(4) == 0


def test_a_store_of_weight_0_keeps_nobody_from_balance():
    toy = Toy(stores=4, regions=24)
    toy.sizes = dict.fromkeys(toy.regions, 10 * MIB)
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    Administration(toy.pd).set_store(admin.SetStoreRequest(store_id=4, region_weight=0, leader_weight=0))
    toy.start_store(5)
    toy.run_until(lambda: toy.pd.regions.peer_count(4) == 0 and is_quiet(toy))
    leaders = [toy.pd.regions.leader_count(store) for store in (1, 2, 3, 5)]
    peers = [toy.pd.regions.peer_count(store) for store in (1, 2, 3, 5)]
    assert max(leaders) - min(leaders) <= 1
    assert max(peers) - min(peers) <= 2


def test_a_store_limit_slows_moves_down():
    took = []
    for limit in (600, 6):
        toy = Toy(stores=3, regions=20)
        toy.run_until(lambda toy=toy: toy.is_whole() and is_quiet(toy))
        set_(toy, "store_limit_per_minute", limit)
        toy.start_store(4)
        took.append(toy.run_until(lambda toy=toy: toy.pd.regions.peer_count(4) >= 12))
    assert took[0] < 30 < took[1]


def test_nearly_full_stores_get_nothing():
    toy = Toy(stores=3, regions=6)
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    toy.start_store(4)
    full = pdpb.StoreStats(store_id=4, capacity=100, available=5)
    hear = toy.pd.store_heartbeat
    toy.pd.store_heartbeat = lambda stats, *now: hear(full if stats.store_id == 4 else stats, *now)
    toy.run(30)
    assert toy.pd.regions.peer_count(4) == 0


def test_crowded_stores_come_to_rest():
    """Stores that share a disk with others: each is nearly as full as those that hold nothing."""
    toy = Toy(stores=4, regions=3)
    toy.sizes = dict.fromkeys(toy.regions, 50 * MIB)
    hear = toy.pd.store_heartbeat

    def crowded(stats, *now):
        return hear(pdpb.StoreStats(store_id=stats.store_id, capacity=1000 << 30, available=250 << 30), *now)

    toy.pd.store_heartbeat = crowded
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    toy.run(60)
    begun = toy.pd.operators.begun
    toy.run(60)
    assert toy.pd.operators.begun == begun
    peers = [toy.pd.regions.peer_count(store) for store in toy.alive]
    assert max(peers) - min(peers) <= 1


def test_leaders_are_evicted_and_come_back():
    toy = Toy(stores=3, regions=9)
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    change = admin.ChangeSchedulerRequest(name="evict-leader-scheduler", store_ids=[2])
    Administration(toy.pd).change_scheduler(change, toy.now_ms)
    toy.run_until(lambda: not toy.pd.regions.leader_count(2))
    toy.run(20)
    assert toy.pd.regions.leader_count(2) == 0
    change.change = admin.ChangeSchedulerRequest.REMOVE
    Administration(toy.pd).change_scheduler(change, toy.now_ms)
    toy.run_until(lambda: toy.pd.regions.leader_count(2) == 3)


def test_a_paused_balancer_rests_and_wakes_by_itself():
    toy = Toy(stores=3, regions=9)
    pause = admin.ChangeSchedulerRequest(
        name="balance-leader-scheduler", change=admin.ChangeSchedulerRequest.PAUSE, pause_seconds=60
    )
    Administration(toy.pd).change_scheduler(pause, 0)
    toy.run(50)
    assert [toy.pd.regions.leader_count(store) for store in toy.alive] == [9, 0, 0]
    toy.run_until(lambda: [toy.pd.regions.leader_count(store) for store in toy.alive] == [3, 3, 3])


@pytest.mark.parametrize("flow", ["write", "read"])
def test_load_is_spread_where_counts_are_even(flow):
    toy = Toy(stores=6 if flow == "write" else 3, regions=12)
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    home = 1
    hot = [id_ for id_, region in toy.regions.items() if home in toy.stores_of(region)][:3]
    for id_ in hot if flow == "read" else ():
        toy.leaders[id_] = next(peer.id for peer in toy.regions[id_].peers if peer.store_id == home)
    toy.flows = dict.fromkeys(hot, (60 * MIB, 0) if flow == "write" else (0, 60 * MIB))
    toy.run(40)
    assert any(ended.operator.kind is Kind.HOT_REGION for ended in toy.pd.operators.history())
    if flow == "read":
        assert len({toy.leader(toy.regions[id_]).store_id for id_ in hot}) >= 2
    assert toy.is_whole()


# --- scatter ----------------------------------------------------------------------------------------------------------


def test_a_group_of_regions_is_spread_evenly():
    toy = Toy(stores=5, regions=20, config=dataclasses.replace(CONFIG, tolerant_share=9.0, leader_tolerance=99))
    toy.pd.conductor.schedulers.remove("balance-region-scheduler", [])
    toy.run_until(lambda: toy.is_whole() and is_quiet(toy))
    failed, orders = toy.pd.scatter([*toy.regions, 99], "g", toy.now_ms)
    assert failed == [99]
    for order in orders:
        toy.obey(order)
    toy.run_until(lambda: is_quiet(toy))
    assert toy.is_whole()
    leaders = [toy.pd.regions.leader_count(store) for store in toy.alive]
    assert max(leaders) - min(leaders) <= 3
    peers = [toy.pd.regions.peer_count(store) for store in toy.alive]
    assert max(peers) - min(peers) <= 4


def test_sick_regions_are_not_scattered():
    toy = Toy(stores=3)
    toy.run_until(toy.is_whole)
    toy.alive[2] = False
    toy.run(2)
    assert toy.pd.scatter([1], "g", toy.now_ms) == ([1], [])


# --- merge ------------------------------------------------------------------------------------------------------------


def mergeable(**more):
    return dataclasses.replace(CONFIG, **{"split_merge_interval_s": 20.0, "enable_cross_table_merge": True} | more)


def test_small_neighbours_merge_after_a_while_and_big_ones_do_not():
    toy = Toy(stores=5, regions=12, config=mergeable())
    toy.sizes = {id_: (90 if id_ in (5, 6) else 1) * MIB for id_ in toy.regions}
    toy.run(15)
    assert toy.merged == [], "not so soon after a start"
    toy.run_until(lambda: len(toy.regions) == 4 and toy.is_whole())
    toy.run(60)
    assert sorted(toy.sizes[id_] // MIB for id_ in toy.regions) == [4, 6, 90, 90]
    merges = [ended for ended in toy.pd.operators.history() if ended.operator.kind is Kind.MERGE]
    assert {ended.status for ended in merges} == {pdpb.SUCCESS}
    assert toy.pd.regions.find(b"0003").contains(b"")


def test_nothing_merges_when_it_is_switched_off_or_after_a_split():
    toy = Toy(stores=3, regions=3, config=mergeable(max_merge_region_size_mib=0))
    toy.run(40)
    assert not toy.merged
    set_(toy, "max_merge_region_size_mib", 20)
    toy.split(toy.regions[2], [b"00015"])
    toy.run(15)
    assert all(toy.next_id not in pair for pair in toy.merged)


def test_regions_of_different_tables_or_rules_stay_apart():
    borders = [storage_key(record_key(table, b"")) for table in (1, 2)]
    toy = Toy(stores=3, regions=1, config=mergeable(enable_cross_table_merge=False))
    toy.split(toy.regions[1], borders)
    middle = storage_key(record_key(1, b"m"))
    toy.split(next(region for region in toy.regions.values() if region.start_key == borders[0]), [middle])
    toy.run(120)
    assert sorted(region.start_key for region in toy.regions.values()) == [b"", *borders], "halves of table 1 merged"
    set_(toy, "enable_cross_table_merge", True)
    rule = {"id": "two", "role": "learner", "count": 1, "start_key": borders[1].hex()}
    toy.start_store(4)
    set_rules(toy, rule)
    toy.run(120)
    assert sorted(region.start_key for region in toy.regions.values()) == [b"", borders[1]]


def test_a_merge_that_does_not_happen_ends_for_both():
    toy = Toy(stores=3, regions=2, config=mergeable(operator_timeout_s=30.0))
    toy.merge = lambda source, target: None
    toy.run_until(lambda: toy.pd.operators.count(Kind.MERGE) == 2)
    set_(toy, "max_merge_region_size_mib", 0)
    toy.run_until(lambda: is_quiet(toy), rounds=40)
    ended = [each.status for each in toy.pd.operators.history() if each.operator.kind is Kind.MERGE]
    assert sorted(ended) == [pdpb.TIMEOUT, pdpb.CANCEL]


# --- operators --------------------------------------------------------------------------------------------------------


def test_history_says_what_was_done_and_how_long_it_took():
    toy = Toy(stores=3)
    toy.run_until(toy.is_whole)
    toy.run(2)
    ended = toy.pd.operators.history()
    assert [(each.operator.reason, each.status) for each in ended] == [
        ("make up replicas", pdpb.CANCEL),  # made for what the first store had before it was split
        ("make up replicas", pdpb.SUCCESS),
        ("make up replicas", pdpb.SUCCESS),
    ]
    assert [each.duration_s for each in ended] == [0, 3, 3]


def test_limits_hold_operators_back():
    toy = Toy(stores=3, regions=9, config=dataclasses.replace(CONFIG, replica_schedule_limit=2))
    toy.obey = lambda order: None
    toy.run(3)
    assert toy.pd.operators.count(Kind.REPLICA) == 2


def test_a_store_being_removed_may_stay_after_all():
    toy = Toy(stores=4, regions=2)
    toy.run_until(toy.is_whole)
    toy.pd.remove_store(2)
    toy.pd.cancel_removal(2)
    toy.run(30)
    assert toy.pd.stores.get(2).meta.state == metapb.Up
