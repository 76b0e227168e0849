"""A cluster of store cores in one thread: a network that is a list, disks that forget what was not synced, no clock."""

import io
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rutile.testing.disk import ForgetfulDisk
from rutile_kv.engine.api import Modify
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, bootstrap_store, first_region
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import (
    ChangePeers,
    Completion,
    Event,
    InstallSnapshot,
    RaftMessageReceived,
    ReadIndex,
    SendSnapshot,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
    Split,
    StoreReady,
    Tick,
    TransferLeader,
    Write,
)
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raftstore.region_reader import RegionReader
from rutile_kv.raftstore.snapshot import SpooledSnapshot, encode_snapshot
from rutile_kv.raftstore.store import Store
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RutileError

sys.path.append(str(Path(__file__).parent))  # driver_world: --import-mode=importlib puts no folder on the path

CLUSTER_ID = 7
REGION_ID = 1
SMALL = StoreConfig(log_gap_entries=8, log_limit_entries=24, region_heartbeat_ticks=20, missing_leader_ticks=40)


class Crashed(Exception):
    """The power went at a step of a round."""


STEPS = ("before write", "after write", "after sync", "after messages", "after advance")


class Machine:
    """A store, its disk, and its place in the network."""

    def __init__(self, cluster: "Cluster", store_id: int, engine: ForgetfulDisk) -> None:
        self.cluster = cluster
        self.store_id = store_id
        self.engine = engine
        self.up = True
        self.inbox: list[Event] = []
        self.rounds = 0
        self.ticks = 0
        """Since the last boot, whether or not the store has seen them yet."""
        self.crash_at: tuple[int, str, int] | None = None
        """(number of the round, step of it to crash at, how many unsynced batches survive)."""
        self.store = self._boot()

    def _boot(self) -> Store:
        seed = self.cluster.random.getrandbits(32)
        return Store(self.store_id, self.engine, self.cluster.config, random.Random(seed))

    def crash(self, survivors: int = 0) -> None:
        self.engine = self.engine.reboot(survivors)
        self.up = False
        self.inbox.clear()

    def restart(self) -> None:
        self.up = True
        self.ticks = 0
        self.crash_at = None
        self.store = self._boot()

    def step(self, event: Event) -> None:
        if self.up:
            self.inbox.append(event)
            self.ticks += isinstance(event, Tick)

    def step_tick(self) -> None:
        self.step(Tick())

    def turn(self) -> bool:
        """Take what came, make one round. False if there was nothing to do."""
        if not self.up:
            return False
        events, self.inbox = self.inbox, []
        for event in events:
            self.store.step(event)
        ready = self.store.ready()
        if ready is not None:
            try:
                self._round(ready)
            except Crashed:
                assert self.crash_at is not None
                self.crash(self.crash_at[2])
        return bool(events) or ready is not None

    def _round(self, ready: StoreReady) -> None:
        self.rounds += 1
        for message in ready.messages:
            self.cluster.send(self.store_id, message)
        self._maybe_crash("before write")
        self.engine.write(ready.batch)
        for completion in ready.completions:
            self.cluster.completions[completion.token] = completion
        self._maybe_crash("after write")
        if ready.must_sync:
            self.engine.sync()
        self._maybe_crash("after sync")
        for message in ready.persisted_messages:
            self.cluster.send(self.store_id, message)
        self._maybe_crash("after messages")
        self.store.advance(ready)
        self._effects(ready)
        self._maybe_crash("after advance")

    def _maybe_crash(self, step: str) -> None:
        if self.crash_at is not None and self.crash_at[:2] == (self.rounds, step):
            raise Crashed

    def _effects(self, ready: StoreReady) -> None:
        for send in ready.snapshots_to_send:
            self.cluster.send_snapshot(self, send)
        for install in ready.installs:
            self._install(install)
        self.cluster.heartbeats += ready.heartbeats
        self.cluster.splits += ready.splits

    def _install(self, install: InstallSnapshot) -> None:
        records = list(install.payload.records())
        for at in range(0, max(1, len(records)), 3):
            if not self.store.is_installing(install.region.id, install.meta.index):
                return
            batch = self.engine.batch()
            for cf, key, value in records[at : at + 3]:
                batch.put(cf, key, value)
            self.engine.write(batch)
        self.step(SnapshotInstalled(install.region.id, install.meta.index))


class Cluster:
    """Stores 1..n; region 1 begins on store 1 alone with peer 11. Peer ids are 10 * region + store by habit."""

    def __init__(self, stores: int = 3, seed: int = 1, config: StoreConfig = SMALL) -> None:
        self.random = random.Random(seed)
        self.config = config
        self.network: list[tuple[int, int, Event]] = []
        """(from store, to store, event) on their way."""
        self.drop: Callable[[int, int], bool] = lambda sender, to: False
        self.completions: dict[object, Completion] = {}
        self.heartbeats: list[pdpb.RegionHeartbeatRequest] = []
        self.splits: list[object] = []
        self.sent: list[raft_serverpb.RaftMessage] = []
        self.snapshots_sent = 0
        self._tokens = 0
        self.machines = {store_id: self._machine(store_id) for store_id in range(1, stores + 1)}

    def _machine(self, store_id: int) -> Machine:
        engine = ForgetfulDisk()
        bootstrap_store(engine, CLUSTER_ID, store_id)
        if store_id == 1:
            bootstrap_first_region(engine, first_region(REGION_ID, 11, 1))
        return Machine(self, store_id, engine)

    # --- the network --------------------------------------------------------------------------------------------------

    def send(self, sender: int, message: raft_serverpb.RaftMessage) -> None:
        self.sent.append(message)
        to = message.to_peer.store_id
        if not self.drop(sender, to):
            self.network.append((sender, to, RaftMessageReceived(message)))

    def send_snapshot(self, machine: Machine, send: SendSnapshot) -> None:
        payload = SpooledSnapshot(io.BytesIO())
        for chunk in encode_snapshot(send.data, send.region, chunk_bytes=64):
            payload.write(chunk)
        payload.verify(send.region)
        send.data.close()
        to = send.message.to_peer
        lost = self.drop(machine.store_id, to.store_id) or not self.machines[to.store_id].up
        machine.step(SnapshotSent(send.region.id, to.id, not lost))
        if lost:
            payload.close()
        else:
            self.snapshots_sent += 1
            self.network.append((machine.store_id, to.store_id, SnapshotReceived(send.message, payload)))

    def isolate(self, *stores: int) -> None:
        """Cut these stores off from all others."""
        self.drop = lambda sender, to: (sender in stores) != (to in stores)

    def heal(self) -> None:
        self.drop = lambda sender, to: False

    # --- time ---------------------------------------------------------------------------------------------------------

    def settle(self, turns: int = 500) -> None:
        """Let everything happen that needs no time."""
        for _ in range(turns):
            moving, self.network = self.network, []
            for _, to, event in moving:
                self.machines[to].step(event)
            if not sum(machine.turn() for machine in self.machines.values()) and not self.network:
                return
        raise AssertionError("the cluster does not come to rest")

    def tick(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            for machine in self.machines.values():
                machine.step_tick()
            self.settle()

    def wait(self, condition: Callable[[], object], ticks: int = 300) -> None:
        """Tick until `condition` holds."""
        self.settle()
        for _ in range(ticks):
            if condition():
                return
            self.tick()
        raise AssertionError("waited in vain")

    # --- looking in ---------------------------------------------------------------------------------------------------

    def info(self, store_id: int, region_id: int = REGION_ID) -> RegionInfo | None:
        machine = self.machines[store_id]
        return machine.store.region_info(region_id) if machine.up else None

    def leader(self, region_id: int = REGION_ID) -> RegionInfo | None:
        """The leader of the newest term, if any."""
        infos = [info for store_id in self.machines if (info := self.info(store_id, region_id)) and info.is_leader]
        return max(infos, key=lambda info: info.term, default=None)

    def region(self, region_id: int = REGION_ID) -> metapb.Region:
        leader = self.leader(region_id)
        assert leader is not None
        return leader.region

    def context(self, store_id: int, region_id: int = REGION_ID, **fields: object) -> kvrpcpb.Context:
        info = self.info(store_id, region_id)
        assert info is not None
        return kvrpcpb.Context(region_id=region_id, region_epoch=info.region.region_epoch, peer=info.peer, **fields)

    def get(self, store_id: int, key: bytes, region_id: int = REGION_ID) -> bytes | None:
        """What a store has applied, whether or not anybody should read it."""
        info = self.info(store_id, region_id)
        assert info is not None
        return RegionReader(self.machines[store_id].engine, info.region).get("default", key)

    # --- requests -----------------------------------------------------------------------------------------------------

    def token(self) -> int:
        self._tokens += 1
        return self._tokens

    def ask(self, store_id: int, make: Callable[[int], Event]) -> int:
        """Step a request into a store; returns its token."""
        token = self.token()
        self.machines[store_id].step(make(token))
        return token

    def ask_leader(self, make: Callable[[int, kvrpcpb.Context], Event], region_id: int = REGION_ID) -> int:
        self.wait(lambda: self.leader(region_id))
        leader = self.leader(region_id)
        assert leader is not None
        store_id = leader.peer.store_id
        context = self.context(store_id, region_id)
        return self.ask(store_id, lambda token: make(token, context))

    def result(self, token: int, ticks: int = 300) -> object:
        """What became of a request; raises its error."""
        self.wait(lambda: token in self.completions, ticks)
        completion = self.completions[token]
        if completion.error is not None:
            raise completion.error
        return completion.result

    def error(self, token: int) -> RutileError | None:
        self.wait(lambda: token in self.completions)
        return self.completions[token].error

    def start_write(self, pairs: Iterable[tuple[bytes, bytes]], region_id: int = REGION_ID) -> int:
        modifies: list[Modify] = [("default", key, value) for key, value in pairs]
        return self.ask_leader(lambda token, context: Write(token, context, modifies), region_id)

    def write(self, *pairs: tuple[bytes, bytes], region_id: int = REGION_ID) -> None:
        self.result(self.start_write(pairs, region_id))

    def read(self, store_id: int, key: bytes, region_id: int = REGION_ID, **fields: object) -> bytes | None:
        """A linearizable read by ReadIndex at that store."""
        context = self.context(store_id, region_id, **fields)
        self.result(self.ask(store_id, lambda token: ReadIndex(token, context)))
        region = self.machines[store_id].store.read_again(context)
        return RegionReader(self.machines[store_id].engine, region).get("default", key)

    def change(self, *changes: tuple[str, int, int], region_id: int = REGION_ID) -> metapb.Region:
        """Changes are (AddNode, AddLearnerNode or RemoveNode; peer id; store id)."""
        wanted = [
            pdpb.ChangePeer(
                change_type=eraftpb.ConfChangeType.Value(kind), peer=metapb.Peer(id=peer_id, store_id=store_id)
            )
            for kind, peer_id, store_id in changes
        ]
        token = self.ask_leader(lambda token, context: ChangePeers(token, context, wanted), region_id)
        region = self.result(token)
        assert isinstance(region, metapb.Region)
        return region

    def split(self, *cuts: tuple[bytes, int], region_id: int = REGION_ID) -> list[metapb.Region]:
        """Cuts are (key, id of the new region left of it)."""
        peers = self.region(region_id).peers
        requests = [
            rutilepb.SplitRequest(
                split_key=key, new_region_id=new_id, new_peer_ids=[10 * new_id + peer.store_id for peer in peers]
            )
            for key, new_id in cuts
        ]
        regions = self.result(self.ask_leader(lambda token, context: Split(token, context, requests), region_id))
        assert isinstance(regions, list)
        return regions

    def move_leader(self, store_id: int, region_id: int = REGION_ID) -> None:
        peer = next(peer for peer in self.region(region_id).peers if peer.store_id == store_id)
        self.result(self.ask_leader(lambda token, context: TransferLeader(token, context, peer.id), region_id))
        self.wait(lambda: (leader := self.leader(region_id)) and leader.peer.store_id == store_id)

    def grow(self) -> "Cluster":
        """Region 1 with a voter on every store."""
        for store_id in list(self.machines)[1:]:
            self.change(("AddLearnerNode", 10 + store_id, store_id))
            self.wait(lambda store_id=store_id: self.info(store_id))
            self.change(("AddNode", 10 + store_id, store_id))
        self.caught_up()
        return self

    def caught_up(self, region_id: int = REGION_ID) -> None:
        """Wait until every member has applied what the leader has."""

        def equal() -> bool:
            leader = self.leader(region_id)
            if leader is None:
                return False
            infos = [self.info(peer.store_id, region_id) for peer in leader.region.peers]
            return all(info is not None and info.applied_index == leader.applied_index for info in infos)

        self.wait(equal)

    def check_replicas(self) -> None:
        """Replicas that applied equally far hold equal data; regions of a store do not overlap."""
        states: dict[tuple[int, int], object] = {}
        for machine in self.machines.values():
            if not machine.up:
                continue
            border = b""
            for info in machine.store.region_infos():
                assert border is not None and info.region.start_key >= border, "regions overlap"
                border = info.region.end_key or None
                state = (info.region, machine.engine.contents(info.region))
                assert states.setdefault((info.region.id, info.applied_index), state) == state

    def check_tiles(self, region_ids: Iterable[int]) -> None:
        """The leaders' regions cover all keys without gap or overlap."""
        regions = sorted((self.region(region_id) for region_id in region_ids), key=lambda region: region.start_key)
        borders = [region.start_key for region in regions] + [b""]
        assert borders[0] == b""
        assert [region.end_key for region in regions] == borders[1:]


@pytest.fixture
def new_cluster() -> type[Cluster]:
    return Cluster


@pytest.fixture
def cluster() -> Cluster:
    """Three stores, region 1 on all of them."""
    return Cluster().grow()
