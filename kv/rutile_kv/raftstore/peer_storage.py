"""A peer's log and states: what Raft reads (`raft.storage.Storage`), and what a round writes.

Everything written goes into the round's batch and, at the same moment, into the fields here, so that nobody has to
read back what is not yet in the engine. The newest entries stay in memory; older ones are read from the engine.

A new region's log begins after index 5 of term 5 (`INITIAL_INDEX`, `INITIAL_TERM`), as in TiKV: a peer that knows
nothing is then always behind the log and gets the data it lacks with a snapshot.
"""

from collections.abc import Sequence

from rutile_kv.engine.api import CF_RAFT, Engine, Snapshot, WriteBatch
from rutile_kv.raft.errors import Compacted, SnapshotTemporarilyUnavailable, Unavailable
from rutile_kv.raft.messages import NO_PEER, ConfState, Entry, HardState, SnapshotMeta
from rutile_kv.raft.storage import limit_bytes
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.entry_cache import EntryCache
from rutile_kv.raftstore.region_change import conf_state_of
from rutile_kv.raftstore.snapshot_quota import SnapshotQuota
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import EngineCorrupt

INITIAL_INDEX = 5
INITIAL_TERM = 5


class PeerStorage:
    """The storage of one peer of `region`; uninitialised while the region has no members: it waits for a snapshot.

    `applied_index` and `region` are the state machine's, of the same moment as the data.
    """

    def __init__(self, engine: Engine, region: metapb.Region, cache_bytes: int, quota: SnapshotQuota) -> None:
        """What the engine holds for `region`. Nothing at all is the state of a peer just created by a message."""
        self.region = region
        self.hard_state = HardState()
        self.truncated_index = self.truncated_term = 0
        self.applied_index = self.applied_term = 0
        self.log_bytes = 0
        self.merge_state: raft_serverpb.MergeState | None = None
        """What the region is about to merge into, from PrepareMerge until it has merged or that is rolled back."""
        self.absorbed: tuple[int, ...] = ()
        """The regions that have merged into this one (see `merge.absorbed_with`)."""
        self.last_snapshot_index = 0
        """Of the newest snapshot given out: its receiver may yet install it."""
        self.in_round = False
        """True while a round is being put together: the engine and these fields do not agree then."""
        self._engine = engine
        self._quota = quota
        self._last_index = 0
        self._cache = EntryCache(cache_bytes)
        self._log_prefix = local_keys.log_prefix(region.id)
        self._snapshots: dict[int, list[tuple[Snapshot, raft_serverpb.RaftSnapshotData]]] = {}
        self._load()

    @property
    def is_initialised(self) -> bool:
        return bool(self.region.peers)

    @property
    def is_fresh(self) -> bool:
        """True for a peer that never voted nor followed anybody since its region was made."""
        return self.hard_state.term <= INITIAL_TERM

    # --- what Raft asks -----------------------------------------------------------------------------------------------

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, conf_state_of(self.region)

    def first_index(self) -> int:
        return self.truncated_index + 1

    def last_index(self) -> int:
        return self._last_index

    def term(self, index: int) -> int:
        if index == self.truncated_index:
            return self.truncated_term
        if index < self.truncated_index:
            raise Compacted(index)
        if index > self._last_index:
            raise Unavailable(index)
        return (self._cache.get(index) or self._read(index)).term

    def entries(self, low: int, high: int, max_bytes: int | None) -> list[Entry]:
        if low <= self.truncated_index:
            raise Compacted(low)
        if high > self._last_index + 1:
            raise Unavailable(high - 1)
        border = min(high, self._cache.first_index) if len(self._cache) else high
        older = self._read_range(low, border, max_bytes) if low < border else []
        if len(older) < border - low:
            return older
        return limit_bytes(older + self._cache.slice(max(low, border), high), max_bytes)

    def snapshot(self, request_index: int) -> SnapshotMeta:
        """Opens an engine snapshot that `take_snapshot` hands to whoever sends it."""
        if self.in_round or not self.is_initialised or self.applied_index < request_index:
            raise SnapshotTemporarilyUnavailable
        if self.merge_state is not None:
            raise SnapshotTemporarilyUnavailable  # a peer that would need one is brought up to date by the target
        if not self._quota.try_take():
            raise SnapshotTemporarilyUnavailable
        about = raft_serverpb.RaftSnapshotData(region=self.region, absorbed_region_ids=self.absorbed)
        self._snapshots.setdefault(self.applied_index, []).append((self._engine.snapshot(), about))
        self.last_snapshot_index = self.applied_index
        return SnapshotMeta(self.applied_index, self.applied_term, conf_state_of(self.region))

    def take_snapshot(self, index: int) -> tuple[Snapshot, raft_serverpb.RaftSnapshotData]:
        """The data that goes with a SnapshotMeta of `index`, and the region of that moment; the taker closes it, and
        gives the quota back when it is sent."""
        waiting = self._snapshots[index]
        taken = waiting.pop()
        if not waiting:
            del self._snapshots[index]
        return taken

    def snapshot_done(self) -> None:
        """A snapshot that was taken is closed."""
        self._quota.give_back()

    # --- what a round writes ------------------------------------------------------------------------------------------

    def append(self, batch: WriteBatch, entries: Sequence[Entry]) -> None:
        """Write entries; the log ends with the last of them."""
        prefix, put, encode = self._log_prefix, batch.put, local_keys.encode_entry
        for entry in entries:
            put(CF_RAFT, prefix + entry.index.to_bytes(8, "big"), encode(entry))
            self.log_bytes += len(entry.data)
        last = entries[-1].index
        for index in range(last + 1, self._last_index + 1):
            batch.delete(CF_RAFT, prefix + index.to_bytes(8, "big"))
        self._last_index = last
        self._cache.append(entries)

    def save_raft_state(self, batch: WriteBatch, hard_state: HardState | None) -> None:
        """Write the hard state (None: as it was) and where the log ends."""
        self.hard_state = hard_state or self.hard_state
        state = self.hard_state
        local = raft_serverpb.RaftLocalState(
            hard_state=eraftpb.HardState(term=state.term, vote=state.vote, commit=state.commit),
            last_index=self._last_index,
        )
        batch.put(CF_RAFT, local_keys.raft_state(self.region.id), local.SerializeToString())

    def note_commit(self, batch: WriteBatch, hard_state: HardState) -> None:
        """Take a hard state in which only the commit index has moved. What is applied says so too, in the same batch:
        it is written where the log is committed beyond that, or with the next entries."""
        self.hard_state = hard_state
        if hard_state.commit > self.applied_index:
            self.save_raft_state(batch, None)

    def save_apply_state(self, batch: WriteBatch) -> None:
        state = raft_serverpb.RaftApplyState(
            applied_index=self.applied_index,
            truncated_state=raft_serverpb.RaftTruncatedState(index=self.truncated_index, term=self.truncated_term),
        )
        batch.put(CF_RAFT, local_keys.apply_state(self.region.id), state.SerializeToString())

    def restore_merge(self, state: raft_serverpb.RegionLocalState) -> None:
        """Bring back what the engine knew of merges."""
        self.absorbed = tuple(state.absorbed_region_ids)
        if state.state == raft_serverpb.PeerState.Merging:
            self.merge_state = state.merge_state

    def save_region(self, batch: WriteBatch, region: metapb.Region) -> None:
        """Make `region` this peer's region, durably, with `merge_state` and `absorbed` as they are."""
        self.region = region
        merging = self.merge_state is not None
        write_region_state(
            batch,
            raft_serverpb.RegionLocalState(
                state=raft_serverpb.PeerState.Merging if merging else raft_serverpb.PeerState.Normal,
                region=region,
                merge_state=self.merge_state,
                absorbed_region_ids=self.absorbed,
            ),
        )

    def compact(self, batch: WriteBatch, index: int, term: int) -> None:
        """Forget the log up to and including `index`, which is applied."""
        assert self.truncated_index < index <= self.applied_index, "compaction outside of the applied log"
        kept = self._last_index - index
        self.log_bytes = self.log_bytes * kept // max(1, self._last_index - self.truncated_index)
        batch.delete_range(
            CF_RAFT, local_keys.log_key(self.region.id, 0), local_keys.log_key(self.region.id, index + 1)
        )
        self.truncated_index, self.truncated_term = index, term
        self._cache.forget_through(index)

    def start_install(self, batch: WriteBatch, region: metapb.Region, hard_state: HardState | None) -> None:
        """Throw the log away and mark the region as being installed."""
        batch.delete_range(CF_RAFT, self._log_prefix, local_keys.raft_state(self.region.id))
        batch.delete(CF_RAFT, local_keys.apply_state(self.region.id))
        write_region_state(batch, raft_serverpb.RegionLocalState(state=raft_serverpb.PeerState.Applying, region=region))
        self._last_index, self.log_bytes = 0, 0
        self._cache.clear()
        self.save_raft_state(batch, hard_state)

    def finish_install(
        self, batch: WriteBatch, region: metapb.Region, absorbed: tuple[int, ...], meta: SnapshotMeta
    ) -> None:
        """The data is in place: the log begins after the snapshot."""
        self.reset_log(meta.index, meta.term)
        self.merge_state, self.absorbed = None, absorbed
        self.save_region(batch, region)
        self.save_raft_state(batch, None)
        self.save_apply_state(batch)

    def abandon_install(self, batch: WriteBatch) -> None:
        """After a crash in the middle of an installation: only term and vote are kept."""
        batch.delete(CF_RAFT, local_keys.region_state(self.region.id))
        batch.delete(CF_RAFT, local_keys.apply_state(self.region.id))
        batch.delete_range(CF_RAFT, self._log_prefix, local_keys.raft_state(self.region.id))
        self._last_index = 0
        self.save_raft_state(batch, HardState(self.hard_state.term, self.hard_state.vote, 0))

    def start_new(self, batch: WriteBatch) -> None:
        """The region was made just now, by a split: begin its log. What an uninitialised peer promised before still
        binds."""
        self.hard_state = write_initial_states(batch, self.region, self.hard_state)
        self.reset_log(INITIAL_INDEX, INITIAL_TERM)

    def destroy(self, batch: WriteBatch, tombstone: raft_serverpb.RegionLocalState) -> None:
        """Forget log and states, and remember that this peer must not come back. The data is the caller's to delete."""
        batch.delete_range(CF_RAFT, self._log_prefix, local_keys.raft_state(self.region.id))
        batch.delete(CF_RAFT, local_keys.raft_state(self.region.id))
        batch.delete(CF_RAFT, local_keys.apply_state(self.region.id))
        batch.delete(CF_RAFT, local_keys.damage(self.region.id))
        write_region_state(batch, tombstone)
        self.close()

    def reset_log(self, index: int, term: int) -> None:
        """Make `index` both the applied and the last compacted entry, with nothing after it."""
        self.applied_index = self.truncated_index = self._last_index = index
        self.applied_term = self.truncated_term = term
        self._cache.clear()

    def close(self) -> None:
        """Let go of snapshots nobody took."""
        for waiting in self._snapshots.values():
            for snapshot, _ in waiting:
                snapshot.close()
                self.snapshot_done()
        self._snapshots.clear()

    # --- reading the engine -------------------------------------------------------------------------------------------

    def _load(self) -> None:
        raft_state = local_keys.load_raft_state(self._engine, self.region.id)
        apply_state = local_keys.load_apply_state(self._engine, self.region.id)
        if raft_state is not None:
            hard = raft_state.hard_state
            self.hard_state = HardState(hard.term, hard.vote, hard.commit)
            self._last_index = raft_state.last_index
        if apply_state is not None:
            self.applied_index = apply_state.applied_index
            self.truncated_index = apply_state.truncated_state.index
            self.truncated_term = apply_state.truncated_state.term
            self._check_loaded()
            self.applied_term = self.term(self.applied_index)

    def _check_loaded(self) -> None:
        """The commit index is written lazily, so it may be behind what is applied; nothing else may."""
        region_id, hard = self.region.id, self.hard_state
        if not self.truncated_index <= self.applied_index <= self._last_index:
            raise EngineCorrupt(
                f"region {region_id}: log ({self.truncated_index}, {self._last_index}], applied {self.applied_index}"
            )
        self.hard_state = HardState(hard.term, hard.vote, max(hard.commit, self.applied_index))

    def _read(self, index: int) -> Entry:
        return self._read_range(index, index + 1, None)[0]

    def _read_range(self, low: int, high: int, max_bytes: int | None) -> list[Entry]:
        found: list[Entry] = []
        size_bytes = 0
        for entry in local_keys.scan_log(self._engine, self.region.id, low, high):
            if entry.index != low + len(found):
                break
            size_bytes += entry.size_bytes
            if found and max_bytes is not None and size_bytes > max_bytes:
                return found
            found.append(entry)
        if len(found) < high - low:
            raise EngineCorrupt(f"region {self.region.id}: log entry {low + len(found)} is missing")
        return found


def write_region_state(batch: WriteBatch, state: raft_serverpb.RegionLocalState) -> None:
    batch.put(CF_RAFT, local_keys.region_state(state.region.id), state.SerializeToString())


def write_initial_states(batch: WriteBatch, region: metapb.Region, earlier: HardState) -> HardState:
    """Write what a peer of a new region starts from; `earlier` is what it may have promised before the region was here.
    Returns the hard state."""
    term = max(earlier.term, INITIAL_TERM)
    hard_state = HardState(term, earlier.vote if earlier.term == term else NO_PEER, INITIAL_INDEX)
    raft_state = raft_serverpb.RaftLocalState(
        hard_state=eraftpb.HardState(term=term, vote=hard_state.vote, commit=INITIAL_INDEX), last_index=INITIAL_INDEX
    )
    apply_state = raft_serverpb.RaftApplyState(
        applied_index=INITIAL_INDEX,
        truncated_state=raft_serverpb.RaftTruncatedState(index=INITIAL_INDEX, term=INITIAL_TERM),
    )
    write_region_state(batch, raft_serverpb.RegionLocalState(state=raft_serverpb.PeerState.Normal, region=region))
    batch.put(CF_RAFT, local_keys.raft_state(region.id), raft_state.SerializeToString())
    batch.put(CF_RAFT, local_keys.apply_state(region.id), apply_state.SerializeToString())
    return hard_state
