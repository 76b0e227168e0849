"""Peers that were removed behind their backs find out, whoever is left to tell them; the dead stay dead."""

import asyncio
import random

from driver_world import World

from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.bootstrap import bootstrap_store
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import RaftMessageReceived
from rutile_kv.raftstore.region_change import copy_region
from rutile_kv.raftstore.store import Store
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb


def replace(cluster, old_peer, old_store, new_store):
    """Move one replica: a learner, a voter, then the old one goes."""
    new_peer = 100 + 10 * new_store
    cluster.change(("AddLearnerNode", new_peer, new_store))
    cluster.wait(lambda: cluster.info(new_store))
    cluster.caught_up_among_the_living()
    cluster.change(("AddNode", new_peer, new_store))
    if cluster.leader().peer.store_id == old_store:
        cluster.move_leader(new_store)
    cluster.change(("RemoveNode", old_peer, old_store))
    cluster.wait(lambda: cluster.info(old_store) is None or not cluster.reachable(old_store))


def five_stores(new_cluster):
    """Region 1 on stores 1 to 3 of five."""
    cluster = new_cluster(stores=5)
    for store in (2, 3):
        cluster.change(("AddLearnerNode", 10 + store, store))
        cluster.wait(lambda store=store: cluster.info(store))
        cluster.change(("AddNode", 10 + store, store))
    cluster.caught_up()
    cut_off = []
    cluster.reachable = lambda store: store not in cut_off
    cluster.cut_off = cut_off.append
    cluster.caught_up_among_the_living = lambda: cluster.tick(5)
    return cluster


def test_a_peer_whose_whole_region_moved_away_learns_it_from_a_tombstone(new_cluster):
    """Its removal came first: the stores that held the region then still know it without this peer."""
    cluster = five_stores(new_cluster)
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.cut_off(3)
    cluster.isolate(3)
    cluster.change(("RemoveNode", 13, 3))
    replace(cluster, 11, 1, 4)
    replace(cluster, 12, 2, 5)
    assert cluster.info(1) is None and cluster.info(2) is None and cluster.info(3) is not None
    cluster.heal()
    cluster.wait(lambda: cluster.info(3) is None)
    assert sorted(peer.store_id for peer in cluster.region().peers) == [4, 5]


def test_a_tombstone_outlives_restarts_and_keeps_no_data(cluster):
    cluster.write((b"k", b"v"))
    if cluster.leader().peer.store_id == 3:
        cluster.move_leader(1)
    cluster.change(("RemoveNode", 13, 3))
    cluster.wait(lambda: cluster.info(3) is None)
    for _ in range(3):
        cluster.machines[3].crash()
        cluster.machines[3].restart()
    machine = cluster.machines[3]
    state = local_keys.load_region_state(machine.engine, 1)
    assert state.state == raft_serverpb.PeerState.Tombstone
    assert local_keys.load_raft_state(machine.engine, 1) is None
    assert local_keys.load_apply_state(machine.engine, 1) is None
    assert list(machine.engine.scan("default", b"", None)) == []


def test_a_question_from_the_past_is_answered_and_wakes_nobody(cluster):
    """A removed peer asks the store of another removed peer: both are tombstones."""
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    asked = raft_serverpb.RaftMessage(
        region_id=1,
        from_peer=cluster.info(3).peer,
        to_peer=cluster.info(2).peer,
        region_epoch=cluster.region().region_epoch,
        extra_msg=raft_serverpb.ExtraMessage(type=raft_serverpb.ExtraMessageType.MsgCheckStalePeer),
    )
    if cluster.leader().peer.store_id != 1:
        cluster.move_leader(1)
    for peer, store in ((13, 3), (12, 2)):
        cluster.change(("RemoveNode", peer, store))
        cluster.wait(lambda store=store: cluster.info(store) is None)
    before = len(cluster.sent)
    cluster.machines[2].step(RaftMessageReceived(asked))
    cluster.settle()
    answers = [message for message in cluster.sent[before:] if message.is_tombstone]
    assert [message.to_peer.store_id for message in answers] == [3]
    assert cluster.machines[2].store._registry.peers == {}


def test_a_living_member_is_told_nothing_when_it_asks(cluster):
    """Cut off for long enough to doubt itself, and still a member."""
    follower = cluster.leader().peer.store_id % 3 + 1
    cluster.isolate(follower)
    cluster.tick(200)
    cluster.heal()
    cluster.wait(lambda: cluster.leader())
    cluster.write((b"k", b"v"))
    cluster.caught_up()
    assert cluster.get(follower, b"k") == b"v"


def test_who_has_no_fellows_left_asks_pd():
    async def run():
        async with World(3, missing_leader_ticks=5) as world:
            await world.grow()
            forgotten = world.wires.drivers[3]
            for store in (1, 2):
                await world.wires.drivers.pop(store).stop()
            known = world.pd.regions[1] = copy_region(forgotten.region(1))
            await world.until(lambda: world.pd.asked >= 2)
            assert forgotten.region(1) is not None, "PD says that it is a member"
            del known.peers[:]
            known.peers.add(id=99, store_id=9)
            known.region_epoch.conf_ver += 3
            await world.until(lambda: forgotten.region(1) is None)

    asyncio.run(run())


def test_a_peer_that_was_buried_before_its_first_snapshot_calls_nobody_else_dead():
    """It knew no members, so of who asks it for a vote it cannot say that they are none. (Found by the simulation: a
    voter destroyed itself upon such a word, and could not come back.)"""
    engine = MemoryEngine()
    bootstrap_store(engine, 7, 6)
    store = Store(6, engine, StoreConfig(), random.Random(1))
    newcomer, member = metapb.Peer(id=20, store_id=6), metapb.Peer(id=8, store_id=5)

    def hear(conf_ver, **fields):
        epoch = metapb.RegionEpoch(conf_ver=conf_ver, version=4)
        store.step(
            RaftMessageReceived(
                raft_serverpb.RaftMessage(region_id=2, from_peer=member, to_peer=newcomer, region_epoch=epoch, **fields)
            )
        )
        answers = []
        while (ready := store.ready()) is not None:
            engine.write(ready.batch)
            answers += [*ready.messages, *ready.persisted_messages]
            store.advance(ready)
        return answers

    assert hear(7, message=eraftpb.Message(msg_type=eraftpb.MsgHeartbeat, to=20, term=7, **{"from": 8}))
    hear(8, is_tombstone=True)
    vote = eraftpb.Message(msg_type=eraftpb.MsgRequestVote, to=20, term=8, index=47, log_term=7, **{"from": 8})
    assert hear(7, message=vote) == []
