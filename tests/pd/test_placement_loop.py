"""Heartbeats in, orders out, orders obeyed, and again: every region ends up with three healthy peers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_stores import CONFIG, Toy

from rutile_pd.config import PdConfig
from rutile_pd.stores.registry import StoreTombstone
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb


def test_one_peer_becomes_three():
    toy = Toy(stores=3)
    toy.run(20)
    assert toy.is_whole()
    assert len(toy.pd.operators) == 0


def test_many_regions_spread_peers_and_leaders():
    toy = Toy(stores=4, regions=40)
    toy.run(120)
    assert toy.is_whole()
    peers = [toy.pd.regions.peer_count(id_) for id_ in toy.alive]
    leaders = [toy.pd.regions.leader_count(id_) for id_ in toy.alive]
    assert sum(peers) == 120
    assert max(leaders) - min(leaders) <= 1, leaders


def test_too_few_stores_take_what_there_is_and_later_more():
    toy = Toy(stores=2)
    toy.run(20)
    assert toy.is_whole(2)
    toy.start_store(3)
    toy.run(20)
    assert toy.is_whole()


def test_a_lost_store_is_replaced_after_its_time_and_not_before():
    toy = Toy(stores=4, regions=4)
    toy.run(40)
    victim = 1
    toy.alive[victim] = False
    toy.run(25)
    assert any(victim in toy.stores_of(region) for region in toy.regions.values())
    toy.run(60)
    assert toy.is_whole()
    assert toy.pd.regions.peer_count(victim) == 0


def test_without_a_spare_store_a_lost_peer_stays_and_is_good_again_when_the_store_returns():
    toy = Toy(stores=3)
    toy.run(20)
    toy.alive[2] = False
    toy.run(60)
    assert toy.stores_of(toy.regions[1]) == [1, 2, 3]
    toy.alive[2] = True
    toy.run(5)
    assert toy.is_whole()


def test_a_store_being_removed_is_emptied_led_regions_first_handed_over_and_buried():
    toy = Toy(stores=4, regions=3)
    toy.run(40)
    toy.pd.remove_store(1)
    toy.run(60)
    assert toy.is_whole()
    assert toy.pd.regions.peer_count(1) == 0
    assert toy.is_buried(1)
    with pytest.raises(StoreTombstone):
        toy.pd.put_store(toy.store(1), toy.now_ms)


def test_superfluous_peers_are_removed():
    toy = Toy(stores=4, config=PdConfig(max_replicas=1))
    region = toy.regions[1]
    region.peers.extend(metapb.Peer(id=30_000 + id_, store_id=id_) for id_ in (2, 3))
    region.peers.append(metapb.Peer(id=30_004, store_id=4, role=metapb.Learner))
    toy.run(20)
    assert toy.is_whole(1)


def test_a_joint_configuration_left_standing_is_left():
    toy = Toy(stores=3)
    region = toy.regions[1]
    region.peers.append(metapb.Peer(id=9_000, store_id=2, role=metapb.IncomingVoter))
    order = toy.pd.region_heartbeat(toy.report(region), 0)
    assert order.HasField("change_peer_v2")
    assert not order.change_peer_v2.changes


def test_an_operator_is_dropped_when_the_region_changes_by_itself():
    toy = Toy(stores=3)
    region = toy.regions[1]
    first = toy.pd.region_heartbeat(toy.report(region), 0)
    region.region_epoch.version += 1
    second = toy.pd.region_heartbeat(toy.report(region), 0)
    assert second.region_epoch.version == first.region_epoch.version + 1
    assert second.change_peer.peer.id != first.change_peer.peer.id


def test_a_transfer_that_does_not_happen_is_given_up_soon():
    toy = Toy(stores=2, regions=4)
    toy.run(10)
    for region in toy.regions.values():
        toy.leaders[region.id] = region.peers[0].id
    toy.obey = lambda order: None
    toy.run(2)
    moving = [operator.region_id for operator in toy.pd.operators.running()]
    assert moving
    later = toy.now_ms + round(CONFIG.quick_operator_timeout_s * 1000) + 1
    for id_ in (1, 2):
        toy.pd.stores.find(id_).seen_ms = later - round(CONFIG.store_disconnected_s * 1000)
    toy.pd.tick(later)
    assert toy.pd.operators.last(moving[0])[1] == pdpb.TIMEOUT


def test_an_overdue_operator_is_given_up():
    toy = Toy(stores=3)
    toy.pd.region_heartbeat(toy.report(toy.regions[1]), 0)
    assert toy.pd.operators.last(1)[1] == pdpb.RUNNING
    later = round(CONFIG.operator_timeout_s * 1000) + 1
    for id_ in (2, 3):
        toy.pd.stores.find(id_).seen_ms = -(10**6)  # nowhere to begin anew
    toy.pd.tick(later)
    assert toy.pd.operators.last(1)[1] == pdpb.TIMEOUT


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(3, 5), st.integers(1, 5))
def test_lost_orders_and_restarting_stores_only_delay(random, stores, regions):
    toy = Toy(stores=stores, regions=regions)
    toy.drop = lambda: random.random() < 0.4
    for _ in range(30):
        toy.round()
        if random.random() < 0.1:
            id_ = random.randint(2, stores)
            down = [each for each, alive in toy.alive.items() if not alive]
            toy.alive[id_] = bool(down)
    for id_ in toy.alive:
        toy.alive[id_] = True
    toy.drop = lambda: False
    toy.run(150)
    assert toy.is_whole()


@pytest.mark.parametrize("busy", [True, False])
def test_full_or_busy_stores_get_no_peers(busy):
    toy = Toy(stores=2)
    stats = pdpb.StoreStats(store_id=2, capacity=100, available=100 if busy else 5, is_busy=busy)
    toy.pd.store_heartbeat(stats, 0, 0)
    assert toy.pd.region_heartbeat(toy.report(toy.regions[1]), 0) is None
