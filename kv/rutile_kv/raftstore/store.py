"""The core of a store: many regions, one door.

    store.step(event)              anything that happened; nothing leaves the store here
    ready = store.ready()          the work of all regions as one batch; write it in the same turn
    store.advance(ready)           it is durable

Reads are asked directly: `read_now` for a leader with a lease, `read_again` for whoever waited for a `ReadIndex`.
"""

from typing import assert_never

from rutile_kv.engine.api import CF_RAFT, Engine
from rutile_kv.raft.codec import message_from_pb
from rutile_kv.raft.config import Randomness
from rutile_kv.raft.messages import Message, MessageKind
from rutile_kv.raftstore import local_keys, upkeep
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import (
    ChangePeers,
    CheckConsistency,
    Event,
    HashComputed,
    Merge,
    RaftMessageReceived,
    ReadIndex,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
    Split,
    SplitChecked,
    StoodStill,
    StoreReady,
    StoreUnreachable,
    Tick,
    TransferLeader,
    Write,
)
from rutile_kv.raftstore.hibernation import QUIET_KINDS, Hibernation
from rutile_kv.raftstore.merge_watch import MergeWatch
from rutile_kv.raftstore.observer import ApplyObserver
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.requests import Requests
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.routing import Gate, tombstone_message
from rutile_kv.raftstore.snapshot_desk import SnapshotDesk
from rutile_kv.raftstore.stats import RegionStats
from rutile_kv.raftstore.store_view import StoreView
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import InvalidRequest, RegionDamaged


class Store(StoreView):
    """See the module. One thread owns it."""

    def __init__(self, store_id: int, engine: Engine, config: StoreConfig, random: Randomness) -> None:
        """Bring back the store's regions from `engine`. Raises EngineCorrupt when they do not fit together."""
        self.store_id = store_id
        self.tick_count = 0
        self.late_ticks = 0
        """Ticks that have passed and are yet to be stepped. Whoever steps messages says so: what comes now came so much
        later than `tick_count` says."""
        self._engine = engine
        self.config = config
        self.random = random
        self._registry = Registry(store_id, engine, config, random)
        self._gate = Gate(self._registry)
        self._requests = Requests(self._registry, self._gate, self._wake)
        self.snapshots = SnapshotDesk(self._registry, self._gate, self._step_raft)
        self._round = Round(engine.batch())
        self._in_flight: Round | None = None
        self._hibernation = Hibernation(self._registry, config)
        self._merges = MergeWatch(self._registry, config)
        self._registry.on_forget = self._hibernation.forget
        self._registry.load()

    def observe(self, observer: ApplyObserver) -> None:
        """Let `observer` hear of everything applied from now on."""
        self._registry.observers.append(observer)

    # --- the door -----------------------------------------------------------------------------------------------------

    def step(self, event: Event) -> None:
        """Take an event. Requests that cannot be served fail with a completion in the next round. Raises
        InvalidRequest for a message that makes no sense; nothing happened then, and the store lives on."""
        match event:
            case Tick():
                self._tick()
            case StoodStill():
                self._stood_still(event.ticks)
            case RaftMessageReceived():
                self._on_raft_message(event.message)
            case Write() | ReadIndex() | Split() | ChangePeers() | CheckConsistency() | Merge() | TransferLeader():
                self._requests.take(event, self._round)
            case SnapshotReceived():
                self.snapshots.arrived(event, self._round)
            case SnapshotInstalled():
                self.snapshots.installed(event)
            case SnapshotSent():
                self.snapshots.sent(event)
            case SplitChecked():
                self._on_split_checked(event)
            case HashComputed():
                self._on_hash(event)
            case StoreUnreachable():
                self._on_unreachable(event.store_id)
            case _:
                assert_never(event)

    def ready(self) -> StoreReady | None:
        """The next round of work, or None if there is none. The last one must have been given back."""
        assert self._in_flight is None, "advance the last round first"
        round_, registry = self._round, self._registry
        self._bury_doomed(round_)
        resumed = self._merges.begin_round(round_)
        touched, registry.dirty = registry.dirty, {}
        for region_id in touched:
            peer = registry.peers.get(region_id)
            if peer is not None:
                self._gather(peer, round_)
        self._quarantine_damaged(round_)
        for peer in (*resumed, *(peer for peer, _ in round_.taken)):
            peer.storage.in_round = False
        if round_.is_empty():
            return None
        self._in_flight, self._round = round_, Round(self._engine.batch())
        return round_.ready

    def advance(self, ready: StoreReady) -> None:
        """Everything in `ready` is durable."""
        round_ = self._in_flight
        assert round_ is not None and round_.ready is ready, "not the round that was taken last"
        self._in_flight = None
        for peer, raft_ready in round_.taken:
            peer.node.advance(raft_ready)
            if self._registry.peers.get(peer.region_id) is peer:
                peer.after_advance()
                self._touch_if_busy(peer)

    def has_work(self) -> bool:
        """True if `ready` may have something to hand out."""
        return bool(self._registry.dirty or self._registry.stalled or self._gate.doomed) or not self._round.is_empty()

    # --- reads --------------------------------------------------------------------------------------------------------

    def read_now(self, context: kvrpcpb.Context, now_tick: int) -> metapb.Region | None:
        """The region to read from the live engine before anything else is stepped, or None: ask with `ReadIndex` first.

        `now_tick` is what the clock makes of `tick_count` now; it may be ahead if the ticks could not be stepped in
        time. Raises RegionError when the request came to the wrong place."""
        return self._requests.readable_now(context, max(0, now_tick - self.tick_count))

    def read_again(self, context: kvrpcpb.Context) -> metapb.Region:
        """The region to read after a `ReadIndex` was completed: it may have changed in the meantime. Raises
        RegionError."""
        return self._requests.readable_again(context)

    def data_destroyed(self, start: bytes, end: bytes) -> None:
        """[start, end) of the engine was emptied beside the log: what is known of the data there has to be found out
        anew."""
        registry = self._registry
        for region in registry.regions.overlapping(start, end):
            peer = registry.peers[region.id]
            peer.applier.stats = RegionStats.estimate(self._engine, region)
            peer.applier.consistency.paused_until_tick = self.tick_count + self.config.consistency_pause_ticks
            peer.applier.data_version = registry.next_data_version()
            for observer in registry.observers:
                observer.on_snapshot_installed(region, peer.storage.applied_index)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _on_raft_message(self, pb: raft_serverpb.RaftMessage) -> None:
        self._hibernation.heard_store(pb.from_peer.store_id)
        if self._hibernation.take(pb, self._round):
            return
        peer = self._gate.admit(pb, self._round)
        if peer is None:
            return
        message = message_from_pb(pb.message)
        if message.kind is MessageKind.SNAPSHOT:
            raise InvalidRequest(f"region {pb.region_id}: a snapshot message without its data")
        self._step_raft(peer, pb.from_peer, message)

    def _step_raft(self, peer: Peer, sender: metapb.Peer, message: Message) -> None:
        self._hibernation.wake_for(peer, message.kind, sender.id, self._round)
        peer.step(sender, message, self.late_ticks)
        if message.kind in QUIET_KINDS and not peer.is_leader:
            self._wake(peer)  # if it led when it fell asleep, it has just learnt of a later term
        self._registry.touch(peer.region_id)

    def _on_split_checked(self, event: SplitChecked) -> None:
        peer = self._registry.peers.get(event.region_id)
        if peer is None:
            return
        peer.split_check_running = False
        if peer.region.region_epoch.version == event.version:
            peer.applier.stats = peer.applier.stats.checked(event.size_bytes, event.keys)

    def _on_hash(self, event: HashComputed) -> None:
        peer = self._registry.peers.get(event.region_id)
        if peer is None:
            return
        if peer.applier.consistency.computed(event.index, event.value):
            self._registry.damaged(peer.region_id)
        if peer.is_leader:
            self._wake(peer)
            peer.propose_hash(event.index, event.value)
        self._registry.touch(peer.region_id)

    def _quarantine_damaged(self, round_: Round) -> None:
        """Whatever is damaged serves nobody and does not lead."""
        damaged, self._registry.damaged_regions = self._registry.damaged_regions, {}
        for region_id in damaged:
            peer = self._registry.peers.get(region_id)
            if peer is not None:
                self._wake(peer)
                peer.node.abstain()
                damage = peer.applier.consistency.damage
                round_.batch.put(CF_RAFT, local_keys.damage(region_id), damage.encode())
                round_.ready.must_sync = True
                error = RegionDamaged(region_id, damage)
                peer.refuse_waiting_reads(round_, error)
                round_.ready.alarms.append(f"{error} (store {self.store_id}, peer {peer.id})")

    def _on_unreachable(self, store_id: int) -> None:
        for peer in self._registry.awake.values():
            if peer.is_leader:
                for member in peer.region.peers:
                    if member.store_id == store_id:
                        peer.node.report_unreachable(member.id)

    def _tick(self) -> None:
        self.tick_count += 1
        self._hibernation.tick(self.tick_count, self._round)
        for peer in list(self._registry.awake.values()):
            upkeep.on_tick(peer, self.tick_count, self.config, self._round)
            if peer.is_leader:
                self._hibernation.consider(peer, self._round)
            self._touch_if_busy(peer)
        self._merges.tick(self.tick_count, self._round)

    def _stood_still(self, ticks: int) -> None:
        self.tick_count += ticks
        self._hibernation.stood_still(ticks)
        for peer in self._registry.awake.values():
            peer.stand_still(ticks)

    def _wake(self, peer: Peer) -> None:
        self._hibernation.wake(peer, self._round)

    def _touch_if_busy(self, peer: Peer) -> None:
        if peer.has_work():
            self._registry.touch(peer.region_id)

    # --- the round ----------------------------------------------------------------------------------------------------

    def _bury_doomed(self, round_: Round) -> None:
        doomed, self._gate.doomed = self._gate.doomed, {}
        for region_id, doom in doomed.items():
            peer = self._registry.peers.get(region_id)
            if peer is None:
                continue
            region = peer.region
            if doom.absorbed:
                peer.storage.absorbed = doom.absorbed
                self._registry.destroy_absorbed(doom.absorbed, region, round_)
            self._registry.destroy(peer, doom.epoch, round_, doom.merged_into)

    def _gather(self, peer: Peer, round_: Round) -> None:
        """Everything one peer has for this round."""
        if peer.data_written:
            before = peer.region
            peer.finish_install(round_)
            self._registry.snapshot_installed(peer, before)
        peer.flush(round_, self.tick_count)
        if peer.node.has_ready():
            peer.collect(round_)
        peer.release_reads(round_)
        if peer.incoming is not None:
            peer.drop_incoming()
            self._registry.reserved.pop(peer.region_id, None)
        if peer.is_leader and peer.asleep_since is not None and peer.rest.mark != (peer.term, peer.node.last_index):
            self._wake(peer)  # somebody proposed for it: a merge of its neighbour
        if peer.applier.removed:
            self._registry.destroy(peer, peer.region.region_epoch, round_)
            return
        if peer.applier.left_members:
            self._tell_removed(peer, round_)
        if peer.heartbeat_due and peer.is_leader:
            round_.ready.heartbeats.append(upkeep.region_heartbeat(peer, self._engine, self.config, self.tick_count))

    def _tell_removed(self, peer: Peer, round_: Round) -> None:
        """A removed peer does not hear of its removal through the log any more, so its leader says it once."""
        left, peer.applier.left_members = peer.applier.left_members, []
        if peer.is_leader:
            known = raft_serverpb.RegionLocalState(region=peer.region, absorbed_region_ids=peer.storage.absorbed)
            round_.ready.messages.extend(tombstone_message(known, peer.meta, member) for member in left)
