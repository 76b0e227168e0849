"""The core of a store: many regions, one door.

    store.step(event)              anything that happened; nothing leaves the store here
    ready = store.ready()          the work of all regions as one batch; write it in the same turn
    store.advance(ready)           it is durable

Reads are asked directly: `read_now` for a leader with a lease, `read_again` for whoever waited for a `ReadIndex`.
"""

from dataclasses import dataclass
from typing import assert_never

from google.protobuf.message import DecodeError

from rutile_kv.engine.api import Engine
from rutile_kv.raft.config import Randomness
from rutile_kv.raft.messages import Message, MessageKind
from rutile_kv.raftstore import checks, upkeep
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import (
    ChangePeers,
    Event,
    RaftMessageReceived,
    ReadIndex,
    SnapshotInstalled,
    SnapshotReceived,
    SnapshotSent,
    Split,
    StoreReady,
    StoreUnreachable,
    Tick,
    TransferLeader,
    Write,
)
from rutile_kv.raftstore.installation import IncomingSnapshot
from rutile_kv.raftstore.observer import ApplyObserver
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.raft_codec import message_from_pb
from rutile_kv.raftstore.region_change import change_members, check_split, find_peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.routing import Gate, tombstone_message
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, ReadIndexNotReady, RegionNotFound, RutileError


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """One region as this store sees it."""

    region: metapb.Region
    peer: metapb.Peer
    leader: metapb.Peer | None
    is_leader: bool
    term: int
    applied_index: int
    truncated_index: int
    data_version: int
    """Another number whenever the data or the range changed; equal numbers mean equal data."""
    approximate_size_bytes: int
    approximate_keys: int


class Store:
    """See the module. One thread owns it."""

    def __init__(self, store_id: int, engine: Engine, config: StoreConfig, random: Randomness) -> None:
        """Bring back the store's regions from `engine`. Raises EngineCorrupt when they do not fit together."""
        self.store_id = store_id
        self.tick_count = 0
        self._engine = engine
        self._config = config
        self._registry = Registry(store_id, engine, config, random)
        self._gate = Gate(self._registry)
        self._round = Round(engine.batch())
        self._in_flight: Round | None = None
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
            case RaftMessageReceived():
                self._on_raft_message(event.message)
            case Write() | ReadIndex() | Split() | ChangePeers() | TransferLeader():
                self._on_request(event)
            case SnapshotReceived():
                self._on_snapshot(event)
            case SnapshotInstalled():
                self._on_installed(event)
            case SnapshotSent():
                self._on_snapshot_sent(event)
            case StoreUnreachable():
                self._on_unreachable(event.store_id)
            case _:
                assert_never(event)

    def ready(self) -> StoreReady | None:
        """The next round of work, or None if there is none. The last one must have been given back."""
        assert self._in_flight is None, "advance the last round first"
        round_, registry = self._round, self._registry
        self._bury_doomed(round_)
        touched, registry.dirty = registry.dirty, {}
        for region_id in touched:
            peer = registry.peers.get(region_id)
            if peer is not None:
                self._gather(peer, round_)
        for peer, _ in round_.taken:
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
        return bool(self._registry.dirty or self._gate.doomed) or not self._round.is_empty()

    # --- reads --------------------------------------------------------------------------------------------------------

    def read_now(self, context: kvrpcpb.Context, now_tick: int) -> metapb.Region | None:
        """The region to read from the live engine before anything else is stepped, or None: ask with `ReadIndex` first.

        `now_tick` is what the clock makes of `tick_count` now; it may be ahead if the ticks could not be stepped in
        time. Raises RegionError when the request came to the wrong place."""
        peer = self._peer(context)
        if not context.replica_read:
            checks.check_leader(peer)
        checks.check_term(context, peer)
        self._check_version(context, peer)
        return peer.region if peer.may_read_now(max(0, now_tick - self.tick_count)) else None

    def led_term(self, region_id: int) -> int:
        """The term in which this store leads the region; 0 if it does not."""
        peer = self._registry.peers.get(region_id)
        return peer.term if peer is not None and peer.is_leader else 0

    def read_again(self, context: kvrpcpb.Context) -> metapb.Region:
        """The region to read after a `ReadIndex` was completed: it may have changed in the meantime. Raises
        RegionError."""
        peer = self._peer(context)
        if peer.installation is not None:
            raise ReadIndexNotReady(peer.region_id, "a snapshot is being installed")
        self._check_version(context, peer)
        return peer.region

    # --- looking in ---------------------------------------------------------------------------------------------------

    def region_infos(self) -> list[RegionInfo]:
        """Every initialised region here, in key order."""
        return [self._info(self._registry.peers[region.id]) for region in self._registry.regions]

    def region_info(self, region_id: int) -> RegionInfo | None:
        """One region, or None if it is not here (or waits for its first snapshot)."""
        peer = self._registry.peers.get(region_id)
        return self._info(peer) if peer is not None and peer.is_initialised else None

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        """The region here that covers a key."""
        return self._registry.regions.find(storage_key)

    def data_version(self, region_id: int) -> int | None:
        """See `RegionInfo.data_version`; None if the region is not here."""
        peer = self._registry.peers.get(region_id)
        return None if peer is None else peer.applier.data_version

    def applied_index(self, region_id: int) -> int:
        """Of the data a reader sees. Raises RegionNotFound."""
        peer = self._registry.peers.get(region_id)
        if peer is None:
            raise RegionNotFound(region_id)
        return peer.storage.applied_index

    def is_installing(self, region_id: int, index: int) -> bool:
        """True while the data of that snapshot is still wanted."""
        peer = self._registry.peers.get(region_id)
        installation = peer.installation if peer is not None else None
        return installation is not None and installation.meta.index == index

    def peer_counts(self) -> tuple[int, int]:
        """(regions here, regions led from here)."""
        peers = self._registry.peers.values()
        return len(peers), sum(peer.is_leader for peer in peers)

    # --- requests -----------------------------------------------------------------------------------------------------

    def _on_request(self, event: Write | ReadIndex | Split | ChangePeers | TransferLeader) -> None:
        try:
            peer = self._peer(event.context)
            if not (isinstance(event, ReadIndex) and event.context.replica_read):
                checks.check_leader(peer)
            checks.check_term(event.context, peer)
            self._request(event, peer)
            self._registry.touch(peer.region_id)
        except RutileError as error:
            self._round.fail([event.token], error)

    def _request(self, event: Write | ReadIndex | Split | ChangePeers | TransferLeader, peer: Peer) -> None:
        match event:
            case Write():
                self._check_version(event.context, peer)
                checks.check_modifies(event.modifies, peer.region)
                peer.queue_write(event.token, event.modifies)
            case ReadIndex():
                self._check_version(event.context, peer)
                peer.reads.fresh.append(event.token)
            case Split():
                self._split(event, peer)
            case ChangePeers():
                self._change_peers(event, peer)
            case TransferLeader():
                peer.transfer_leader(event.to_peer_id)
                self._round.complete([event.token])
            case _:
                assert_never(event)

    def _split(self, event: Split, peer: Peer) -> None:
        self._check_epoch(event.context, peer)
        check_split(peer.region, event.requests)
        command = rutilepb.AdminCommand(batch_split=rutilepb.BatchSplit(requests=event.requests))
        peer.propose_admin([event.token], command)

    def _change_peers(self, event: ChangePeers, peer: Peer) -> None:
        self._check_epoch(event.context, peer)
        command = rutilepb.ConfChangeV2Cmd(changes=event.changes, leave_joint=not event.changes)
        after = change_members(peer.region, command)
        if find_peer(after, peer.id) is None:
            raise InvalidRequest(f"peer {peer.id} leads region {peer.region_id}: move the leader before removing it")
        peer.propose_conf_change([event.token], command)

    def _peer(self, context: kvrpcpb.Context) -> Peer:
        """The peer a request is for; the first half of TiKV's checks."""
        checks.check_store(context, self.store_id)
        peer = self._registry.peers.get(context.region_id)
        if peer is None or peer.region_id in self._gate.doomed:
            raise RegionNotFound(context.region_id)
        checks.check_peer(context, peer)
        return peer

    def _check_version(self, context: kvrpcpb.Context, peer: Peer) -> None:
        if not checks.is_version_current(context, peer.region):
            raise self._registry.epoch_not_match(peer.region)

    def _check_epoch(self, context: kvrpcpb.Context, peer: Peer) -> None:
        """Whoever changes a region must know it exactly."""
        if context.region_epoch != peer.region.region_epoch:
            raise self._registry.epoch_not_match(peer.region)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _on_raft_message(self, pb: raft_serverpb.RaftMessage) -> None:
        peer = self._gate.admit(pb, self._round)
        if peer is None:
            return
        message = message_from_pb(pb.message)
        if message.kind is MessageKind.SNAPSHOT:
            raise InvalidRequest(f"region {pb.region_id}: a snapshot message without its data")
        self._step_raft(peer, pb.from_peer, message)

    def _step_raft(self, peer: Peer, sender: metapb.Peer, message: Message) -> None:
        peer.step(sender, message)
        self._registry.touch(peer.region_id)

    def _on_snapshot(self, event: SnapshotReceived) -> None:
        try:
            message = message_from_pb(event.message.message)
            region = raft_serverpb.RaftSnapshotData.FromString(event.message.message.snapshot.data).region
        except (InvalidRequest, DecodeError) as cause:
            event.payload.close()
            raise InvalidRequest(f"region {event.message.region_id}: a malformed snapshot message: {cause}") from cause
        peer = self._gate.admit(event.message, self._round)
        if peer is None or message.snapshot is None or not self._may_install(peer, region):
            event.payload.close()
            return
        peer.incoming = IncomingSnapshot(region, message.snapshot.index, event.payload)
        self._registry.reserved[peer.region_id] = region
        self._step_raft(peer, event.message.from_peer, message)

    def _may_install(self, peer: Peer, region: metapb.Region) -> bool:
        """One snapshot at a time, only of this peer's region with this peer in it, and never over another region."""
        return (
            peer.incoming is None
            and peer.installation is None
            and region.id == peer.region_id
            and find_peer(region, peer.id) is not None
            and not self._registry.is_covered_by_other(region.id, region.start_key, region.end_key)
        )

    def _on_installed(self, event: SnapshotInstalled) -> None:
        if self.is_installing(event.region_id, event.index):
            self._registry.peers[event.region_id].data_written = True
            self._registry.touch(event.region_id)

    def _on_snapshot_sent(self, event: SnapshotSent) -> None:
        self._registry.quota.give_back()
        peer = self._registry.peers.get(event.region_id)
        if peer is not None:
            peer.node.report_snapshot(event.to_peer_id, event.ok)
            self._registry.touch(event.region_id)

    def _on_unreachable(self, store_id: int) -> None:
        for peer in self._registry.peers.values():
            if peer.is_leader:
                for member in peer.region.peers:
                    if member.store_id == store_id:
                        peer.node.report_unreachable(member.id)

    def _tick(self) -> None:
        self.tick_count += 1
        for peer in self._registry.peers.values():
            upkeep.on_tick(peer, self.tick_count, self._config, self._round)
            self._touch_if_busy(peer)

    def _touch_if_busy(self, peer: Peer) -> None:
        if peer.has_work():
            self._registry.touch(peer.region_id)

    # --- the round ----------------------------------------------------------------------------------------------------

    def _bury_doomed(self, round_: Round) -> None:
        doomed, self._gate.doomed = self._gate.doomed, {}
        for region_id, epoch in doomed.items():
            peer = self._registry.peers.get(region_id)
            if peer is not None:
                self._registry.destroy(peer, epoch, round_)

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
        if peer.applier.removed:
            self._registry.destroy(peer, peer.region.region_epoch, round_)
            return
        if peer.applier.left_members:
            self._tell_removed(peer, round_)
        if peer.heartbeat_due and peer.is_leader:
            round_.ready.heartbeats.append(upkeep.region_heartbeat(peer, self._engine, self._config))

    def _tell_removed(self, peer: Peer, round_: Round) -> None:
        """A removed peer does not hear of its removal through the log any more, so its leader says it once."""
        left, peer.applier.left_members = peer.applier.left_members, []
        if peer.is_leader:
            round_.ready.messages.extend(tombstone_message(peer.region, peer.meta, member) for member in left)

    def _info(self, peer: Peer) -> RegionInfo:
        return RegionInfo(
            region=peer.region,
            peer=peer.meta,
            leader=peer.leader,
            is_leader=peer.is_leader,
            term=peer.term,
            applied_index=peer.storage.applied_index,
            truncated_index=peer.storage.truncated_index,
            data_version=peer.applier.data_version,
            approximate_size_bytes=peer.applier.stats.size_bytes,
            approximate_keys=peer.applier.stats.keys,
        )
