"""Heartbeats in, orders out, orders obeyed, and again: every region ends up with three healthy peers.

The stores are a toy: they do what the order says if its epoch is still theirs, and report.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.memory import MemoryEngine
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.storage import PdStorage
from rutile_pd.stores import StoreTombstone
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

HEARTBEAT_MS = 1_000
CONFIG = PdConfig(max_store_down_s=30, store_disconnected_s=10)


class Toy:
    """Some stores and regions, and a placement driver that hears of them."""

    def __init__(self, stores, regions=1, config=CONFIG):
        self.now_ms = 0
        self.alive = {}
        self.regions = {}
        self.leaders = {}
        self.pending = {}
        self.drop = lambda: False
        self.pd = Cluster(1, PdStorage(MemoryEngine()), config, 0)
        self.pd.ids.end_saved(10_000)
        for id_ in range(1, stores + 1):
            self.start_store(id_)
        self._found(regions)

    def start_store(self, id_):
        self.alive[id_] = True
        if self.pd.bootstrapped:
            self.pd.put_store(self.store(id_), self.now_ms)

    @staticmethod
    def store(id_):
        return metapb.Store(id=id_, address=f"s{id_}:1")

    def _found(self, count):
        whole = self.make_region(1, b"", b"")
        self.pd.bootstrap(self.store(1), whole, 0)
        for id_ in self.alive:
            self.pd.put_store(self.store(id_), 0)
        bounds = [b"", *(b"%04d" % n for n in range(1, count)), b""]
        for number in range(count):
            region = self.make_region(number + 1, bounds[number], bounds[number + 1], version=2)
            self.regions[region.id] = region
            self.leaders[region.id] = region.peers[0].id

    @staticmethod
    def make_region(id_, start, end, version=1):
        epoch = metapb.RegionEpoch(conf_ver=1, version=version)
        peer = metapb.Peer(id=20_000 + id_, store_id=1)
        return metapb.Region(id=id_, start_key=start, end_key=end, region_epoch=epoch, peers=[peer])

    # --- what stores do ---

    def obey(self, order):
        region = self.regions[order.region_id]
        if order.region_epoch != region.region_epoch or order.target_peer.id != self.leaders[region.id]:
            return
        if order.HasField("change_peer"):
            self.change(region, order.change_peer)
        if order.HasField("transfer_leader"):
            target = order.transfer_leader.peer
            assert target in region.peers
            assert target.role == metapb.Voter
            if self.alive[target.store_id]:
                self.leaders[region.id] = target.id

    def change(self, region, change):
        voters = [peer for peer in region.peers if peer.role == metapb.Voter]
        if sum(self.alive[peer.store_id] for peer in voters) * 2 <= len(voters):
            return  # no majority, nothing can be changed
        peer = change.peer
        match change.change_type:
            case eraftpb.AddLearnerNode:
                assert all(each.store_id != peer.store_id for each in region.peers)
                region.peers.append(peer)
                self.pending[peer.id] = 2
            case eraftpb.AddNode:
                learner = next(each for each in region.peers if each.id == peer.id)
                assert peer.id not in self.pending, "promoted before it caught up"
                if not self.alive[learner.store_id]:
                    return  # died since it was last reported: a leader refuses to lose its majority
                learner.role = metapb.Voter
            case eraftpb.RemoveNode:
                assert peer.id != self.leaders[region.id], "the leader cannot remove itself"
                kept = [each for each in region.peers if each.id != peer.id]
                del region.peers[:]
                region.peers.extend(kept)
        region.region_epoch.conf_ver += 1
        self.check_health(region)

    def check_health(self, region):
        voters = [peer for peer in region.peers if peer.role == metapb.Voter]
        alive = sum(self.alive[peer.store_id] for peer in voters)
        assert alive * 2 > len(voters), "a change took the majority away"

    def report(self, region):
        peers = {peer.id: peer for peer in region.peers}
        waiting = [peers[id_] for id_ in self.pending if id_ in peers]
        report = pdpb.RegionHeartbeatRequest(leader=peers[self.leaders[region.id]], pending_peers=waiting, term=6)
        report.region.CopyFrom(region)
        report.down_peers.extend(pdpb.PeerStats(peer=p) for p in region.peers if not self.alive[p.store_id])
        return report

    # --- time ---

    def round(self):
        """A second passes."""
        self.now_ms += HEARTBEAT_MS
        for id_ in [id_ for id_, alive in self.alive.items() if alive and not self.is_buried(id_)]:
            self.pd.store_heartbeat(pdpb.StoreStats(store_id=id_), self.now_ms, self.now_ms)
        self.pending = {id_: left - 1 for id_, left in self.pending.items() if left > 1}
        orders = self.pd.tick(self.now_ms)
        for region in self.regions.values():
            self.elect(region)
            if self.alive[self.leader(region).store_id]:
                orders.append(self.pd.region_heartbeat(self.report(region), self.now_ms))
        for order in orders:
            if order is not None and not self.drop():
                self.obey(order)

    def run(self, rounds):
        for _ in range(rounds):
            self.round()

    def leader(self, region):
        return next(peer for peer in region.peers if peer.id == self.leaders[region.id])

    def elect(self, region):
        """When the leader's store is dead, a living voter takes over."""
        voters = [peer for peer in region.peers if peer.role == metapb.Voter and self.alive[peer.store_id]]
        if not self.alive[self.leader(region).store_id] and voters:
            self.leaders[region.id] = voters[0].id

    # --- what is wanted ---

    def is_buried(self, id_):
        return self.pd.stores.get(id_).meta.state == metapb.Tombstone

    def stores_of(self, region):
        return sorted(peer.store_id for peer in region.peers)

    def is_whole(self, replicas=3):
        return all(
            len(region.peers) == replicas
            and all(peer.role == metapb.Voter and self.alive[peer.store_id] for peer in region.peers)
            and len(set(self.stores_of(region))) == replicas
            for region in self.regions.values()
        )


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


@settings(max_examples=40, deadline=None)
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
