"""Stores that are a toy: they do what an order says if its epoch is still theirs, and report.

Whatever they are told, the toy asserts: nobody votes before it has caught up, no region has two peers on a store, the
leader is not removed, no change takes the majority away, and a merge finds all peers of both regions side by side.
"""

from rutile_kv.engine.memory import MemoryEngine
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import PdStorage
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

HEARTBEAT_MS = 1_000
FLOW_SECONDS = 60
"""In what time the `flows` of a region come."""
CONFIG = PdConfig(max_store_down_s=30, store_disconnected_s=10)
VOTER, LEARNER = metapb.Voter, metapb.Learner
INCOMING, DEMOTING = metapb.IncomingVoter, metapb.DemotingVoter


class Toy:
    """Some stores and regions, and a placement driver that hears of them."""

    def __init__(self, stores, regions=1, config=CONFIG, labels=None):
        """`labels`: by store, {label: value}."""
        self.now_ms = 0
        self.alive = {}
        self.labels = labels or {}
        self.regions = {}
        self.leaders = {}
        self.pending = {}
        self.sizes = {}
        self.flows = {}
        self.merged = []
        self.reported_down = {}
        self.drop = lambda: False
        self.next_id = 50_000
        self.pd = Cluster(1, PdStorage(MemoryEngine()), config, 0)
        self.pd.ids.end_saved(10_000)
        for id_ in range(1, stores + 1):
            self.start_store(id_)
        self._found(regions)

    def start_store(self, id_):
        self.alive[id_] = True
        if self.pd.bootstrapped:
            self.pd.put_store(self.store(id_), self.now_ms)

    def store(self, id_):
        labels = [metapb.StoreLabel(key=key, value=value) for key, value in self.labels.get(id_, {}).items()]
        return metapb.Store(id=id_, address=f"s{id_}:1", labels=labels)

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
        region = self.regions.get(order.region_id)
        if region is None:
            return
        if order.region_epoch != region.region_epoch or order.target_peer.id != self.leaders[region.id]:
            return
        if order.HasField("change_peer"):
            self.change(region, [order.change_peer])
        if order.HasField("change_peer_v2"):
            self.change(region, order.change_peer_v2.changes)
        if order.HasField("transfer_leader"):
            target = order.transfer_leader.peer
            assert target in region.peers
            assert target.role == VOTER
            if self.alive[target.store_id]:
                self.leaders[region.id] = target.id
        if order.HasField("split_region"):
            self.split(region, list(order.split_region.keys))
        if order.HasField("merge"):
            self.merge(region, order.merge.target)

    def change(self, region, changes):
        if not self.has_majority(region):
            return  # nothing can be changed
        before = metapb.Region()
        before.CopyFrom(region)
        if not changes:
            self.leave_joint(region)
        for change in changes:
            self.change_one(region, change, len(changes) > 1)
        leader = next((peer for peer in region.peers if peer.id == self.leaders[region.id]), None)
        assert leader is not None, "the leader cannot remove itself"
        assert leader.role == VOTER, "the leader is demoted"
        if not self.has_majority(region):  # died since it was last reported: a leader refuses to lose its majority
            dead = [peer for peer in region.peers if not self.alive[peer.store_id] and not self.seems_down(peer)]
            assert dead, "a change took the majority away"
            region.CopyFrom(before)

    def seems_down(self, peer):
        return peer.id in self.reported_down

    def change_one(self, region, change, is_joint):
        peer = next((each for each in region.peers if each.id == change.peer.id), None)
        match change.change_type:
            case eraftpb.AddLearnerNode if peer is None:
                assert all(each.store_id != change.peer.store_id for each in region.peers)
                region.peers.add(id=change.peer.id, store_id=change.peer.store_id, role=LEARNER)
                self.pending[change.peer.id] = 2
            case eraftpb.AddLearnerNode:
                assert peer.role == VOTER
                peer.role = DEMOTING if is_joint else LEARNER
            case eraftpb.AddNode:
                assert peer.role == LEARNER
                assert peer.id not in self.pending, "promoted before it caught up"
                peer.role = INCOMING if is_joint else VOTER
            case eraftpb.RemoveNode:
                assert not is_joint
                assert peer.id != self.leaders[region.id], "the leader cannot remove itself"
                region.peers.remove(peer)
        region.region_epoch.conf_ver += 1

    @staticmethod
    def leave_joint(region):
        for peer in region.peers:
            if peer.role in (INCOMING, DEMOTING):
                peer.role = VOTER if peer.role == INCOMING else LEARNER
                region.region_epoch.conf_ver += 1

    def has_majority(self, region):
        """In both sets of voters, if there are two."""
        for roles in ((VOTER, INCOMING), (VOTER, DEMOTING)):
            voters = [peer for peer in region.peers if peer.role in roles]
            if sum(self.alive[peer.store_id] for peer in voters) * 2 <= len(voters):
                return False
        return True

    def split(self, region, keys):
        """The region keeps its last part, as in the store."""
        for key in keys:
            if not region.start_key < key or (region.end_key and key >= region.end_key):
                continue
            region.region_epoch.version += 1
            self.next_id += 10
            left = metapb.Region()
            left.CopyFrom(region)
            left.id, left.end_key, region.start_key = self.next_id, key, key
            for number, peer in enumerate(left.peers, start=1):
                if peer.id == self.leaders[region.id]:
                    self.leaders[left.id] = left.id + number
                peer.id = left.id + number
            self.regions[left.id] = left
            self.pd.report_split([left, region], self.now_ms)

    def merge(self, source, target):
        known = self.regions[target.id]
        if known.region_epoch != target.region_epoch:
            return
        places = [sorted((peer.store_id, peer.role) for peer in region.peers) for region in (source, known)]
        assert places[0] == places[1], "a merge of regions that do not lie side by side"
        assert source.end_key == known.start_key, "the source is the left one"
        known.start_key = source.start_key
        known.region_epoch.version = max(known.region_epoch.version, source.region_epoch.version) + 1
        self.sizes[known.id] = self.sizes.get(known.id, 0) + self.sizes.get(source.id, 0)
        self.merged.append((source.id, known.id))
        del self.regions[source.id], self.leaders[source.id]

    def report(self, region):
        peers = {peer.id: peer for peer in region.peers}
        waiting = [peers[id_] for id_ in self.pending if id_ in peers]
        report = pdpb.RegionHeartbeatRequest(leader=peers[self.leaders[region.id]], pending_peers=waiting, term=6)
        report.region.CopyFrom(region)
        report.down_peers.extend(pdpb.PeerStats(peer=p) for p in region.peers if not self.alive[p.store_id])
        report.approximate_size = self.sizes.get(region.id, 0)
        report.approximate_keys = report.approximate_size // 100
        report.bytes_written, report.bytes_read = self.flows.get(region.id, (0, 0))
        report.interval.end_timestamp = FLOW_SECONDS
        self.reported_down |= {down.peer.id: None for down in report.down_peers}
        return report

    # --- time ---

    def round(self):
        """A second passes."""
        self.now_ms += HEARTBEAT_MS
        for id_ in [id_ for id_, alive in self.alive.items() if alive and not self.is_buried(id_)]:
            self.pd.store_heartbeat(pdpb.StoreStats(store_id=id_), self.now_ms, self.now_ms)
        self.pending = {id_: left - 1 for id_, left in self.pending.items() if left > 1}
        for region in self.regions.values():
            self.elect(region)
            if region.region_epoch.conf_ver % 2 and self.has_majority(region):
                self.leave_joint(region)  # stores do that by themselves; here about every other time
        for order in self.pd.tick(self.now_ms):
            self.hear(order)
        self.reported_down = {}
        for region in list(self.regions.values()):
            if region.id in self.regions and self.alive[self.leader(region).store_id]:
                self.hear(self.pd.region_heartbeat(self.report(region), self.now_ms))

    def hear(self, order):
        if order is not None and not self.drop():
            self.obey(order)

    def run(self, rounds):
        for _ in range(rounds):
            self.round()

    def run_until(self, condition, rounds=300):
        """Let time pass until it holds; the seconds that took."""
        for number in range(rounds):
            if condition():
                return number
            self.round()
        raise AssertionError(f"not reached in {rounds} s: {[str(each) for each in self.pd.operators.running()]}")

    def leader(self, region):
        return next(peer for peer in region.peers if peer.id == self.leaders[region.id])

    def elect(self, region):
        """When the leader's store is dead, a living voter takes over."""
        voters = [peer for peer in region.peers if peer.role in (VOTER, INCOMING) and self.alive[peer.store_id]]
        if not self.alive[self.leader(region).store_id] and voters:
            self.leaders[region.id] = voters[0].id

    # --- what is wanted ---

    def is_buried(self, id_):
        return self.pd.stores.get(id_).meta.state == metapb.Tombstone

    def stores_of(self, region):
        return sorted(peer.store_id for peer in region.peers)

    def roles_of(self, region):
        return {peer.store_id: peer.role for peer in region.peers}

    def is_whole(self, replicas=3):
        return all(
            len(region.peers) == replicas
            and all(peer.role == VOTER and self.alive[peer.store_id] for peer in region.peers)
            and len(set(self.stores_of(region))) == replicas
            for region in self.regions.values()
        )
