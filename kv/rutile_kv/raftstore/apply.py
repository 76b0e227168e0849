"""Committed entries become data, region changes, and answers.

Everything an entry does goes into the round's batch together with the applied index, so after a crash either both are
there or neither, and no entry is applied twice. Whether an entry takes effect depends only on the log and on the
region as the entries before it left it: every replica decides alike. An entry whose epoch is stale does nothing and
fails its proposer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rutile_kv.engine.api import Cf
from rutile_kv.engine.table_file import TableFile
from rutile_kv.raft.messages import ConfChange, Entry
from rutile_kv.raft.node import RawNode
from rutile_kv.raftstore.commands import FIRST_FILE_KIND, decode_command, decode_modifies, take_files
from rutile_kv.raftstore.consistency import Consistency
from rutile_kv.raftstore.events import HashRegion, RegionSplit, Result
from rutile_kv.raftstore.merge import absorbed_with, check_merge, merged, prepared, rolled_back
from rutile_kv.raftstore.observer import ApplyObserver
from rutile_kv.raftstore.peer_storage import PeerStorage
from rutile_kv.raftstore.proposals import ProposalQueue
from rutile_kv.raftstore.region_change import change_members, check_split, conf_state_of, find_peer, split_region
from rutile_kv.raftstore.region_profile import COUNTED_CFS
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.stats import RegionStats
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EngineCorrupt, EpochNotMatch, InvalidRequest, RegionError, StaleCommand

if TYPE_CHECKING:
    from rutile_kv.raftstore.peer import Peer


class ApplyHost(Protocol):
    """What applying asks of the store."""

    observers: list[ApplyObserver]

    def epoch_not_match(self, region: metapb.Region) -> EpochNotMatch:
        """The error that teaches a caller what covers the region's old range now."""

    def next_data_version(self) -> int:
        """A number never given out before by this store."""

    def damaged(self, region_id: int) -> None:
        """The region's data here is not what it should be."""

    def region_changed(self, before: metapb.Region, after: metapb.Region) -> None:
        """A region has other members or another range from this entry on."""

    def share_stats(self, stats: RegionStats, regions: Sequence[metapb.Region]) -> list[RegionStats]:
        """What each of the parts of a region has of its counters."""

    def add_split_region(
        self, region: metapb.Region, before: metapb.Region, parent: "Applier", stats: RegionStats, round_: Round
    ) -> None:
        """A region was cut off from what was `before`: start its peer here."""

    def merge_state_changed(self, region_id: int, merging: bool) -> None:
        """A region has prepared to merge, or will not merge after all."""

    def is_source_ready(self, command: rutilepb.CommitMerge) -> bool:
        """True if `finish_source` can be called in this round."""

    def finish_source(self, command: rutilepb.CommitMerge, round_: Round) -> "Peer":
        """The peer here of a region that is to merge, brought to the end of its log."""

    def hand_over(self, source: "Peer", target: metapb.Region, index: int, round_: Round) -> None:
        """The finished source's keys belong to `target` from log entry `index` of that on."""


class Applier:
    """Applies one peer's log."""

    def __init__(
        self, peer_id: int, storage: PeerStorage, node: RawNode, proposals: ProposalQueue, host: ApplyHost
    ) -> None:
        self.peer_id = peer_id
        self.stats = RegionStats()
        self.data_version = host.next_data_version()
        self.consistency = Consistency()
        self.removed = False
        """True once this peer's own removal was applied: it destroys itself at the end of the round."""
        self.left_members: list[metapb.Peer] = []
        """Peers removed by what was applied since the leader last told them."""
        self._storage = storage
        self._node = node
        self._proposals = proposals
        self._host = host

    @property
    def region(self) -> metapb.Region:
        return self._storage.region

    @property
    def is_leader(self) -> bool:
        return self._node.is_leader

    def apply(self, entries: Sequence[Entry], round_: Round, *, to_the_end: bool = False) -> Sequence[Entry]:
        """Apply `entries`, up to this peer's own removal if that is among them. Returns those that have to wait for
        another round: from a CommitMerge on whose source is not ready, or behind a ComputeHash, unless the log has to
        be applied `to_the_end` now."""
        storage = self._storage
        waiting: Sequence[Entry] = ()
        for position, entry in enumerate(entries):
            command = decode_command(entry) if entry.data else None
            if command is not None and self._has_to_wait(command):
                waiting = entries[position:]
                break
            storage.applied_index, storage.applied_term = entry.index, entry.term
            tokens, lost = self._proposals.resolve(entry.index, entry.term)
            for proposal in lost:
                round_.fail(proposal.tokens, StaleCommand(f"another leader's entry took its place at {proposal.index}"))
            try:
                result = None if command is None else self._apply_command(entry, command, round_)
            except (RegionError, InvalidRequest) as error:
                round_.fail(tokens, error)
            else:
                round_.complete(tokens, result)
            if self.removed:
                break
            if command is not None and command.admin.HasField("compute_hash") and not to_the_end:
                self._hash(entry.index, round_)
                waiting = entries[position + 1 :]
                break
        storage.save_apply_state(round_.batch)
        return waiting

    def _has_to_wait(self, command: rutilepb.RaftCommand) -> bool:
        """True for a CommitMerge that takes effect and cannot do so in this round."""
        if not command.HasField("admin") or not command.admin.HasField("commit_merge"):
            return False
        takes_effect = command.epoch == self.region.region_epoch
        return takes_effect and not self._host.is_source_ready(command.admin.commit_merge)

    def _apply_command(self, entry: Entry, command: rutilepb.RaftCommand, round_: Round) -> Result:
        if command.HasField("write"):
            self._write(entry.index, command, round_)
            return None
        kind = command.admin.WhichOneof("cmd")
        match kind:
            case "batch_split":
                return self._split(command, round_)
            case "compact_log":
                self._compact_log(entry.index, command.admin.compact_log, round_)
                return None
            case "conf_change":
                return self._change_members(entry, command, round_)
            case "compute_hash":
                return None
            case "verify_hash":
                self._verify_hash(command, round_)
                return None
            case "prepare_merge":
                return self._prepare_merge(entry.index, command, round_)
            case "commit_merge":
                return self._commit_merge(entry.index, command, round_)
            case "rollback_merge":
                return self._rollback_merge(command, round_)
            case _:
                raise EngineCorrupt(f"log entry {entry.index} of region {self.region.id} holds no known command")

    def _check_epoch(self, epoch: metapb.RegionEpoch, with_members: bool) -> None:
        current = self.region.region_epoch
        if epoch.version != current.version or (with_members and epoch.conf_ver != current.conf_ver):
            raise self._host.epoch_not_match(self.region)

    # --- writes -------------------------------------------------------------------------------------------------------

    def _write(self, index: int, command: rutilepb.RaftCommand, round_: Round) -> None:
        self._check_epoch(command.epoch, with_members=False)
        changes = modifies = decode_modifies(command.write)
        if max(command.write.kinds, default=0) >= FIRST_FILE_KIND:
            changes, files = take_files(modifies)
            self._load(files, round_)
        round_.batch.extend(changes)
        size_bytes = new_keys = 0
        for cf, key, value in changes:
            if value is None:
                size_bytes -= len(key)
                new_keys -= cf in COUNTED_CFS
            else:
                size_bytes += len(key) + len(value)
                new_keys += cf in COUNTED_CFS
        self.stats.wrote(size_bytes, len(changes), new_keys)
        self.data_version = self._host.next_data_version()
        for observer in self._host.observers:
            observer.on_applied(self.region, index, modifies)

    def _load(self, files: Sequence[tuple[Cf, TableFile]], round_: Round) -> None:
        for cf, table in files:
            round_.batch.ingest(cf, table)
            self.stats.wrote(table.size_bytes, table.entries, table.entries if cf in COUNTED_CFS else 0)

    # --- admin --------------------------------------------------------------------------------------------------------

    def _split(self, command: rutilepb.RaftCommand, round_: Round) -> list[metapb.Region]:
        self._check_epoch(command.epoch, with_members=True)
        requests = command.admin.batch_split.requests
        before = self.region
        check_split(before, requests)
        children, rest = split_region(before, requests)
        shares = self._host.share_stats(self.stats, [*children, rest])
        self.stats = shares.pop()
        self.data_version = self._host.next_data_version()
        self._storage.save_region(round_.batch, rest)
        self._host.region_changed(before, rest)
        for child, stats in zip(children, shares, strict=True):
            self._host.add_split_region(child, before, self, stats, round_)
        regions = [*children, rest]
        if self.is_leader:
            round_.ready.splits.append(RegionSplit(regions))
            self._node.announce_commit()  # the new regions' leaders can only be elected once the others have them too
        return regions

    def _compact_log(self, index: int, command: rutilepb.CompactLog, round_: Round) -> None:
        """Harmless when late: what is already cut stays cut. A region about to merge keeps its log: some peer may lack
        the end of it."""
        storage = self._storage
        if storage.merge_state is None and storage.truncated_index < command.index <= storage.applied_index:
            for observer in self._host.observers:
                observer.on_log_cut(self.region, index)
            storage.compact(round_.batch, command.index, command.term)

    def _change_members(self, entry: Entry, command: rutilepb.RaftCommand, round_: Round) -> metapb.Region:
        self._check_epoch(command.epoch, with_members=True)
        before = self.region
        after = change_members(before, command.admin.conf_change)
        conf_state = self._node.apply_conf_change(ConfChange.from_bytes(entry.data))
        assert conf_state == conf_state_of(after), f"raft holds {conf_state}, the region says {conf_state_of(after)}"
        self._storage.save_region(round_.batch, after)
        self.left_members += [peer for peer in before.peers if find_peer(after, peer.id) is None]
        self.removed = find_peer(after, self.peer_id) is None
        self._host.region_changed(before, after)
        return after

    def _hash(self, index: int, round_: Round) -> None:
        """Whatever the epoch: every replica hashes what the region is at this entry."""
        round_.hashed[self.region.id] = None
        if not self.consistency.paused_until_tick:
            round_.ready.hashes.append(HashRegion(self.region, index))

    def _verify_hash(self, command: rutilepb.RaftCommand, round_: Round) -> None:
        verify = command.admin.verify_hash
        if self.consistency.expect(verify.index, verify.hash):
            self._host.damaged(self.region.id)

    # --- merging ------------------------------------------------------------------------------------------------------

    def _prepare_merge(self, index: int, command: rutilepb.RaftCommand, round_: Round) -> metapb.Region:
        self._check_epoch(command.epoch, with_members=True)
        prepare, before, storage = command.admin.prepare_merge, self.region, self._storage
        check_merge(before, prepare.target)
        storage.merge_state = raft_serverpb.MergeState(min_index=prepare.min_index, target=prepare.target, commit=index)
        after = prepared(before)
        self._change_merge_state(before, after, round_)
        if self.is_leader:
            self._node.announce_commit()  # the target's leader can only go on once its store has this entry too
        return after

    def _rollback_merge(self, command: rutilepb.RaftCommand, round_: Round) -> metapb.Region:
        self._check_epoch(command.epoch, with_members=True)
        before, storage = self.region, self._storage
        if storage.merge_state is None or storage.merge_state.commit != command.admin.rollback_merge.commit:
            raise InvalidRequest(f"region {before.id} has no such merge to roll back")
        storage.merge_state = None
        after = rolled_back(before)
        self._change_merge_state(before, after, round_)
        return after

    def _change_merge_state(self, before: metapb.Region, after: metapb.Region, round_: Round) -> None:
        self._storage.save_region(round_.batch, after)
        self._host.region_changed(before, after)
        self._host.merge_state_changed(after.id, self._storage.merge_state is not None)

    def _commit_merge(self, index: int, command: rutilepb.RaftCommand, round_: Round) -> metapb.Region:
        """Everything in the round's batch: the end of the source's log, the source's end, the larger range."""
        self._check_epoch(command.epoch, with_members=True)
        source = self._host.finish_source(command.admin.commit_merge, round_)
        before, storage = self.region, self._storage
        after = merged(before, source.region)
        storage.absorbed = absorbed_with(storage.absorbed, source.region_id, source.storage.absorbed)
        self.stats = self.stats.joined(source.applier.stats)
        self.data_version = self._host.next_data_version()
        self._host.hand_over(source, after, index, round_)
        storage.save_region(round_.batch, after)
        self._host.region_changed(before, after)
        if self.is_leader:
            self._node.announce_commit()
        return after
