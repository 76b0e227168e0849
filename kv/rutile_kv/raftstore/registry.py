"""The peers of one store: who is here, which keys they cover, who was here and must not come back.

A peer comes into being in three ways: from the engine at start, by a split of its parent, or by a message from a
leader that counts on it. It ends in one: `destroy`, which leaves a tombstone. Two rules keep zombies away: a region is
never created over keys that another region here still covers, and never under a peer id that a tombstone names or that
is older.
"""

from collections.abc import Callable, Sequence

from rutile_kv.engine.api import Engine, WriteBatch
from rutile_kv.raft.codec import message_from_pb
from rutile_kv.raft.config import Randomness
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.apply import Applier
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.data_ranges import clear_region
from rutile_kv.raftstore.observer import ApplyObserver
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.region_change import copy_region, find_peer, find_peer_on_store
from rutile_kv.raftstore.region_map import RegionMap
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.snapshot_quota import SnapshotQuota
from rutile_kv.raftstore.stats import RegionStats
from rutile_kv.raftstore.takeover import finish_source, is_source_ready
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EngineCorrupt, EpochNotMatch, RegionError, RegionNotFound

INSTALLING, TOMBSTONE = raft_serverpb.PeerState.Applying, raft_serverpb.PeerState.Tombstone


class Registry:
    """All peers of `store_id`, by region. Iterate `peers` only by region id order or insertion: it is a dict."""

    def __init__(self, store_id: int, engine: Engine, config: StoreConfig, random: Randomness) -> None:
        self.store_id = store_id
        self.engine = engine
        self.config = config
        self.peers: dict[int, Peer] = {}
        self.awake: dict[int, Peer] = {}
        """Those that tick; the others hibernate."""
        self.on_forget: Callable[[Peer], None] = lambda peer: None
        """Told of every peer that goes away."""
        self.regions = RegionMap()
        self.tombstones: dict[int, raft_serverpb.RegionLocalState] = {}
        self.buried_as_of: dict[int, metapb.RegionEpoch] = {}
        """The epoch of which a tombstone's members are; not kept over restarts."""
        """What each destroyed region was, this store's peer included, and what it merged into, if it did."""
        self.reserved: dict[int, metapb.Region] = {}
        """Ranges of snapshots on their way in."""
        self.pending_votes: dict[int, raft_serverpb.RaftMessage] = {}
        """First messages for regions that a split has yet to create here."""
        self.merging: dict[int, None] = {}
        """Regions that are about to merge."""
        self.fresh_merges: dict[int, None] = {}
        """Those of them that nothing has been done for yet."""
        self.damaged_regions: dict[int, None] = {}
        """Found to differ from their leader since anybody looked."""
        self.stalled: dict[int, None] = {}
        """Regions that wait with applying until another region has a round behind it."""
        self.dirty: dict[int, None] = {}
        """Regions that may have something for the next round, in the order they were touched."""
        self.observers: list[ApplyObserver] = []
        self.quota = SnapshotQuota(config.max_snapshots)
        self._random = random
        self._data_version = 0
        self._first_comparison = 0
        """The tick until when peers that were here before take no part in comparisons."""

    # --- coming -------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Bring back what the engine holds. A region whose snapshot was half installed gives up its data and its log,
        but not its vote, and waits for another one: nothing of the snapshot was acknowledged."""
        half_installed = []
        if local_keys.was_data_destroyed(self.engine):  # perhaps a moment ago, and not yet by the others
            self._first_comparison = self.config.consistency_pause_ticks
        for state in local_keys.scan_region_states(self.engine):
            if state.state == TOMBSTONE:
                self.tombstones[state.region.id] = state
            elif state.state == INSTALLING:
                half_installed.append(state.region)
            else:
                self._add_initialised(state)
        for region in half_installed:
            self._take_back(region)

    def create_uninitialised(self, region_id: int, meta: metapb.Peer) -> Peer:
        """A peer that knows nothing but its name, and waits for a snapshot."""
        return self._add(meta, self._storage(metapb.Region(id=region_id)))

    def share_stats(self, stats: RegionStats, regions: Sequence[metapb.Region]) -> list[RegionStats]:
        return stats.shares(self.engine, regions)

    def add_split_region(
        self, region: metapb.Region, before: metapb.Region, parent: Applier, stats: RegionStats, round_: Round
    ) -> None:
        """Start the peer of a region that was cut off, unless it has come and gone (or come again) already."""
        meta = find_peer_on_store(region, self.store_id)
        assert meta is not None, "a parent on this store splits into regions on this store"
        existing = self.peers.get(region.id)
        vote = self.pending_votes.pop(region.id, None)
        if self._is_outdated(region.id, meta, existing):
            self.clear_data(region, round_.batch)
            return
        storage = self._storage(region)
        if existing is not None:
            storage.hard_state = existing.storage.hard_state
            self._forget(existing, round_)
        storage.start_new(round_.batch)
        peer = self._add(meta, storage)
        peer.applier.stats = stats
        peer.applier.consistency.paused_until_tick = parent.consistency.paused_until_tick
        self.regions.put(region)
        for observer in self.observers:
            observer.on_region_changed(region, before)
        if parent.is_leader:
            peer.node.campaign()
        elif vote is not None and vote.to_peer.id == peer.id:
            peer.step(vote.from_peer, message_from_pb(vote.message))

    # --- changing -----------------------------------------------------------------------------------------------------

    def region_changed(self, before: metapb.Region, after: metapb.Region) -> None:
        self.regions.remove(before)
        self.regions.put(after)
        peer = self.peers[after.id]
        peer.meta = find_peer(after, peer.id) or peer.meta
        peer.heartbeat_due = peer.is_leader
        for observer in self.observers:
            observer.on_region_changed(after, before)

    def snapshot_installed(self, peer: Peer, before: metapb.Region) -> None:
        """The peer's region and data are now those of a snapshot."""
        self.reserved.pop(peer.region_id, None)
        self.tombstones.pop(peer.region_id, None)
        if before.peers:
            self.regions.remove(before)
        self.regions.put(peer.region)
        peer.applier.stats = RegionStats.estimate(self.engine, peer.region)
        peer.applier.data_version = self.next_data_version()
        for observer in self.observers:
            observer.on_snapshot_installed(peer.region, peer.storage.applied_index)

    def touch(self, region_id: int) -> None:
        self.dirty[region_id] = None

    def next_data_version(self) -> int:
        self._data_version += 1
        return self._data_version

    # --- going --------------------------------------------------------------------------------------------------------

    def destroy(
        self, peer: Peer, epoch: metapb.RegionEpoch, round_: Round, merged_into: metapb.Region | None = None
    ) -> None:
        """Remove the peer with its data, and remember that it must not come back before an epoch newer than `epoch`; or
        never, if it merged into another region elsewhere."""
        region = peer.region
        if peer.is_initialised:
            self.clear_data(region, round_.batch)
        if peer.installation is not None:
            self.clear_data(peer.installation.incoming.region, round_.batch)
        self._bury(peer, epoch, round_, merged_into)
        self._forget(peer, round_)
        if peer.is_initialised:
            self.regions.remove(region)
            for observer in self.observers:
                observer.on_region_destroyed(region)

    def destroy_absorbed(self, region_ids: Sequence[int], target: metapb.Region, round_: Round) -> None:
        """Remove what is left here of regions that have merged into `target` while this store was not looking."""
        for region_id in region_ids:
            peer = self.peers.get(region_id)
            if peer is not None and region_id != target.id:
                self.destroy(peer, peer.region.region_epoch, round_, target)

    def hand_over(self, source: Peer, target: metapb.Region, index: int, round_: Round) -> None:
        """The peer's region is a part of `target` from log entry `index` of that on: the data stays, the peer goes.
        Whoever waits for it hears who has its keys now; none of its proposals can come to pass any more."""
        region = source.region
        self._bury(source, region.region_epoch, round_, target)
        source.refuse_waiting(round_, EpochNotMatch(region.id, [target]))
        self._forget(source, round_)
        self.regions.remove(region)
        for observer in self.observers:
            observer.on_region_merged(region, target, index)

    def damaged(self, region_id: int) -> None:
        self.damaged_regions[region_id] = None

    def stall(self, region_id: int) -> None:
        self.stalled[region_id] = None

    def merge_state_changed(self, region_id: int, merging: bool) -> None:
        if merging:
            self.merging[region_id] = self.fresh_merges[region_id] = None
        else:
            self.merging.pop(region_id, None)

    def is_source_ready(self, command: rutilepb.CommitMerge) -> bool:
        return is_source_ready(self, command)

    def finish_source(self, command: rutilepb.CommitMerge, round_: Round) -> Peer:
        return finish_source(self, command, round_)

    def _bury(self, peer: Peer, epoch: metapb.RegionEpoch, round_: Round, merged_into: metapb.Region | None) -> None:
        """Leave a tombstone. That of a merged region is of a later version than any it ever had. The members in it
        are those the peer knew, which may have been told of its end by others and be far behind: `buried_as_of`."""
        tombstone = raft_serverpb.RegionLocalState(
            state=TOMBSTONE, region=peer.region, absorbed_region_ids=peer.storage.absorbed
        )
        self.buried_as_of.pop(peer.region_id, None)
        if peer.is_initialised:
            self.buried_as_of[peer.region_id] = copy_region(peer.region).region_epoch
        tombstone.region.region_epoch.CopyFrom(epoch)
        if merged_into is not None:
            tombstone.region.region_epoch.version += 1
            tombstone.merge_state.target.CopyFrom(merged_into)
        if find_peer(tombstone.region, peer.id) is None:
            tombstone.region.peers.append(peer.meta)
        peer.storage.destroy(round_.batch, tombstone)
        self.tombstones[peer.region_id] = tombstone
        round_.ready.must_sync = True

    def clear_data(self, region: metapb.Region, batch: WriteBatch) -> None:
        if region.peers:
            clear_region(batch, self.engine, region)

    # --- asking -------------------------------------------------------------------------------------------------------

    def epoch_not_match(self, region: metapb.Region) -> EpochNotMatch:
        """The region, and those to its left that a split of the same version cut off."""
        version = region.region_epoch.version
        siblings = []
        for left in self.regions.left_neighbours(region, self.config.max_siblings):
            if left.region_epoch.version != version:
                break
            siblings.append(left)
        return EpochNotMatch(region.id, [region, *siblings])

    def region_gone(self, region_id: int) -> RegionError:
        """The error for who asks for a region that is not here: who has its keys, if it merged into one that is."""
        tombstone = self.tombstones.get(region_id)
        heir = self.peers.get(tombstone.merge_state.target.id) if tombstone is not None else None
        return EpochNotMatch(region_id, [heir.region]) if heir is not None else RegionNotFound(region_id)

    def is_covered_by_other(self, region_id: int, start: bytes, end: bytes, absorbed: Sequence[int] = ()) -> bool:
        """True if another region here, or a snapshot on its way in, covers a key of [start, end); those `absorbed` by
        this one do not count."""
        own = (region_id, *absorbed)
        if any(region.id not in own for region in self.regions.overlapping(start, end)):
            return True
        incoming = RegionMap()
        for region in self.reserved.values():
            if region.id not in own:
                incoming.put(region)
        return bool(incoming.overlapping(start, end))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _storage(self, region: metapb.Region) -> PeerStorage:
        return PeerStorage(self.engine, region, self.config.entry_cache_bytes, self.quota)

    def _add(self, meta: metapb.Peer, storage: PeerStorage) -> Peer:
        peer = Peer(meta, storage, self.config, self._random, self)
        self.peers[storage.region.id] = self.awake[storage.region.id] = peer
        self.touch(storage.region.id)
        return peer

    def _add_initialised(self, state: raft_serverpb.RegionLocalState) -> None:
        region = state.region
        meta = find_peer_on_store(region, self.store_id)
        if meta is None:
            raise EngineCorrupt(f"region {region.id} is kept here, but has no peer on store {self.store_id}")
        peer = self._add(meta, self._storage(region))
        peer.storage.restore_merge(state)
        if peer.storage.merge_state is not None:
            self.merging[region.id] = None
        peer.applier.stats = RegionStats.estimate(self.engine, region)
        peer.applier.consistency.damage = local_keys.load_damage(self.engine, region.id)
        peer.applier.consistency.paused_until_tick = self._first_comparison
        if peer.applier.consistency.damage:
            peer.node.abstain()
        self.regions.put(region)
        if len(region.peers) == 1:
            peer.node.campaign()

    def _take_back(self, region: metapb.Region) -> None:
        meta = find_peer_on_store(region, self.store_id)
        if meta is None:
            raise EngineCorrupt(f"region {region.id} was being installed without a peer on store {self.store_id}")
        batch = self.engine.batch()
        self.clear_data(region, batch)
        storage = self._storage(metapb.Region(id=region.id))
        storage.abandon_install(batch)
        self.engine.write(batch)
        self.engine.sync()
        self._add(meta, storage)

    def _forget(self, peer: Peer, round_: Round) -> None:
        peer.close(round_, RegionNotFound(peer.region_id))
        peer.storage.close()
        self.peers.pop(peer.region_id, None)
        self.awake.pop(peer.region_id, None)
        self.on_forget(peer)
        self.reserved.pop(peer.region_id, None)
        self.pending_votes.pop(peer.region_id, None)
        self.merging.pop(peer.region_id, None)
        self.stalled.pop(peer.region_id, None)
        self.dirty.pop(peer.region_id, None)

    def _is_outdated(self, region_id: int, meta: metapb.Peer, existing: Peer | None) -> bool:
        """True if this store knows of a later life of the region than the split that creates it."""
        if existing is not None:
            assert not existing.is_initialised, "a region inside the range of its parent"
            return existing.id > meta.id
        tombstone = self.tombstones.get(region_id)
        buried = None if tombstone is None else find_peer_on_store(tombstone.region, self.store_id)
        return buried is not None and buried.id >= meta.id
