"""Seeded runs of everything at once: writes, reads, splits, merges, moving members and leaders, lost and doubled
messages, partitions, power cuts. A failure prints its seed; the seed replays it.

Each key is written by one client, one number after the other. So a read must show at least the last number acknowledged
before it began and at most the last one sent before it ended, and never less than an earlier read showed.
"""

import pytest

from rutile_kv.raft.errors import RaftError
from rutile_kv.raftstore.events import ChangePeers, Merge, ReadIndex, SnapshotReceived, Split, TransferLeader, Write
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, ProposalInMergingMode, RegionError, UndeterminedResult

STEPS = ("before write", "after write", "after sync", "after messages", "after advance")
KEYS = [b"%x" % n for n in range(16)]
EXPECTED = (RegionError, InvalidRequest, UndeterminedResult, RaftError)


class Register:
    """What is known of one key."""

    def __init__(self) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.pending: int | None = None


class Chaos:
    """A cluster that everything happens to."""

    def __init__(self, cluster, merges=False):
        self.cluster = cluster
        self.random = cluster.random
        self.merges = merges
        self.registers = {key: Register() for key in KEYS}
        self.reads = {}
        self.answered = {"write": 0, "lease": 0, "index": 0, "split": 0, "merge": 0, "member": 0, "crash": 0}
        self.next_region = 2
        self.next_peer = 1000
        self.partition = ()
        cluster.drop = lambda sender, to: (sender in self.partition) != (to in self.partition)

    # --- what may happen ----------------------------------------------------------------------------------------------

    def act(self):
        actions = (
            (self.turn, 90), (self.deliver, 50), (self.tick, 12), (self.write, 30), (self.read, 15),
            (self.lease_read, 15), (self.split, 3 if self.merges else 1), (self.member, 0.5 if self.merges else 3),
            (self.merge, 6 * self.merges), (self.leader, 1), (self.cut, 0.4), (self.crash, 0.3), (self.restart, 4),
        )  # fmt: skip
        self.random.choices([action for action, _ in actions], [weight for _, weight in actions])[0]()

    def some_region(self, key, leaders_only=True):
        """Some store's idea of the region that covers a key, mostly of one that believes to lead it."""
        infos = [
            info
            for machine in self.cluster.machines.values()
            if machine.up and (region := machine.store.find_region(key)) is not None
            if (info := machine.store.region_info(region.id)) and (info.is_leader or not leaders_only)
        ]
        return self.random.choice(infos) if infos else None

    def write(self):
        key = self.random.choice(KEYS)
        register, info = self.registers[key], self.some_region(key)
        if register.pending is not None or info is None:
            return
        register.sent += 1
        register.pending = self.ask(
            info, lambda token, context: Write(token, context, [("default", key, b"%d" % register.sent)])
        )

    def read(self):
        key = self.random.choice(KEYS)
        info = self.some_region(key, leaders_only=False)
        if info is not None:
            context = self.cluster.context(info.peer.store_id, info.region.id, replica_read=True)
            token = self.cluster.ask(info.peer.store_id, lambda token: ReadIndex(token, context))
            self.reads[token] = (key, self.registers[key].acknowledged, context, info.peer.store_id)

    def lease_read(self):
        key = self.random.choice(KEYS)
        info = self.some_region(key)
        if info is None:
            return
        machine = self.cluster.machines[info.peer.store_id]
        context = self.cluster.context(info.peer.store_id, info.region.id)
        try:
            region = machine.store.read_now(context, machine.ticks)
        except ProposalInMergingMode:
            return
        if region is not None:
            self.check(key, self.registers[key].acknowledged, machine.engine, region)
            self.answered["lease"] += 1

    def check(self, key, at_least, engine, region):
        register = self.registers[key]
        shown = int(RegionReader(engine, region).get("default", key) or 0)
        assert at_least <= shown <= register.sent, f"{key}: read {shown}, acknowledged {at_least}, sent {register.sent}"
        register.acknowledged = max(register.acknowledged, shown)

    def ask(self, info, make):
        context = self.cluster.context(info.peer.store_id, info.region.id)
        return self.cluster.ask(info.peer.store_id, lambda token: make(token, context))

    def tick(self):
        for machine in self.cluster.machines.values():
            machine.step_tick()

    def deliver(self):
        network = self.cluster.network
        self.random.shuffle(network)
        for _ in range(min(len(network), 6)):
            sender, to, event = network.pop()
            fate = self.random.random()
            if fate < 0.03 and not isinstance(event, SnapshotReceived):
                continue
            if fate > 0.97 and not isinstance(event, SnapshotReceived):
                network.append((sender, to, event))
            if not self.cluster.drop(sender, to):
                self.cluster.machines[to].step(event)

    def turn(self):
        machine = self.random.choice(list(self.cluster.machines.values()))
        machine.turn()
        self.harvest()

    def split(self):
        key = self.random.choice(KEYS)
        info = self.some_region(key)
        if info is None or len(self.living()) > 4:
            return
        ids = [self.new_peer() for _ in info.region.peers]
        requests = [rutilepb.SplitRequest(split_key=key, new_region_id=self.next_region, new_peer_ids=ids)]
        self.next_region += 1
        self.ask(info, lambda token, context: Split(("split", token), context, requests))

    def living(self):
        """The regions that somebody has."""
        machines = (machine for machine in self.cluster.machines.values() if machine.up)
        return {info.region.id for machine in machines for info in machine.store.region_infos()}

    def merge(self):
        info = self.some_region(self.random.choice(KEYS))
        if info is None or not info.region.end_key:
            return
        target = self.cluster.machines[info.peer.store_id].store.find_region(info.region.end_key)
        if target is not None:
            self.ask(info, lambda token, context: Merge(("merge", token), context, target))

    def member(self):
        info = self.some_region(self.random.choice(KEYS))
        if info is None:
            return
        stores = {peer.store_id: peer for peer in info.region.peers}
        store_id = self.random.choice(list(self.cluster.machines))
        peer = stores.get(store_id)
        kind, others = eraftpb.ConfChangeType, [p for p in stores.values() if p.role == metapb.PeerRole.Voter]
        if peer is None:
            change = (kind.AddLearnerNode, metapb.Peer(id=self.new_peer(), store_id=store_id))
        elif peer.role == metapb.PeerRole.Learner:
            change = (self.random.choice([kind.AddNode, kind.AddNode, kind.RemoveNode]), peer)
        elif len(others) > 2 and self.random.random() < 0.5:
            change = (kind.RemoveNode, peer)
        else:
            return
        changes = [pdpb.ChangePeer(change_type=change[0], peer=change[1])]
        if self.random.random() < 0.3 and len(others) > 2 and change[0] == kind.AddNode:
            changes.append(pdpb.ChangePeer(change_type=kind.AddLearnerNode, peer=self.random.choice(others)))
        self.ask(info, lambda token, context: ChangePeers(("member", token), context, changes))

    def leader(self):
        info = self.some_region(self.random.choice(KEYS))
        if info is not None:
            peer = self.random.choice(list(info.region.peers))
            self.ask(info, lambda token, context: TransferLeader(token, context, peer.id))

    def cut(self):
        stores = list(self.cluster.machines)
        self.partition = () if self.partition else (self.random.choice(stores),)

    def crash(self):
        machine = self.random.choice(list(self.cluster.machines.values()))
        if machine.up and machine.crash_at is None:
            step, survivors = self.random.choice(STEPS), self.random.randrange(3)
            machine.crash_at = (machine.rounds + 1 + self.random.randrange(4), step, survivors)
            self.answered["crash"] += 1

    def restart(self):
        for machine in self.cluster.machines.values():
            if not machine.up:
                machine.restart()
                return

    def new_peer(self):
        self.next_peer += 1
        return self.next_peer

    # --- what came of it ----------------------------------------------------------------------------------------------

    def harvest(self):
        for token, completion in self.cluster.completions.items():
            if completion.error is not None:
                assert isinstance(completion.error, EXPECTED), completion.error
            elif isinstance(token, tuple):
                self.answered[token[0]] += 1
            if token in self.reads:
                self.finish_read(*self.reads.pop(token), completion.error)
        for register in self.registers.values():
            completion = self.cluster.completions.get(register.pending)
            if completion is not None:
                register.pending = None
                if completion.error is None:
                    self.answered["write"] += 1
                    register.acknowledged = register.sent
        self.cluster.completions.clear()

    def finish_read(self, key, at_least, context, store_id, error):
        machine = self.cluster.machines[store_id]
        if error is not None or not machine.up:
            return
        try:
            region = machine.store.read_again(context)
        except RegionError:
            return
        self.check(key, at_least, machine.engine, region)
        self.answered["index"] += 1

    def give_up_on_lost_requests(self):
        """Clients of a crashed or cut off store time out; the fate of what they asked stays open."""
        for register in self.registers.values():
            if register.pending is not None and self.random.random() < 0.5:
                register.pending = None

    def calm_down(self):
        self.partition = ()
        for machine in self.cluster.machines.values():
            machine.crash_at = None
            if not machine.up:
                machine.restart()
        self.cluster.tick(60)
        self.harvest()


def run_storm(cluster, merges):
    chaos = Chaos(cluster, merges)
    for step in range(5000):
        chaos.act()
        if step % 50 == 0:
            chaos.give_up_on_lost_requests()
    chaos.calm_down()
    leaders = {}
    for key in KEYS:
        cluster.wait(lambda key=key: leaders.update({key: chaos.some_region(key)}) or leaders[key])
        info = leaders[key]
        read = cluster.read(info.peer.store_id, key, info.region.id)
        register = chaos.registers[key]
        assert register.acknowledged <= int(read or 0) <= register.sent
    for region_id in sorted({info.region.id for info in leaders.values()}):
        cluster.caught_up(region_id)
    cluster.check_replicas()
    machines = cluster.machines.values()
    cluster.check_tiles(sorted({info.region.id for machine in machines for info in machine.store.region_infos()}))
    assert chaos.answered["write"] > 0, chaos.answered
    return chaos.answered


@pytest.mark.parametrize("seed", range(12))
def test_nothing_acknowledged_is_lost_whatever_happens(new_cluster, seed):
    run_storm(new_cluster(seed=seed).grow(), merges=False)


@pytest.mark.parametrize("seed", range(100, 106))
def test_nothing_acknowledged_is_lost_while_regions_come_and_go(new_cluster, seed):
    answered = run_storm(new_cluster(seed=seed).grow(), merges=True)
    assert answered["merge"] > 0, answered
