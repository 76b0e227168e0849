"""Who proposes the entries of a merge, and when.

PrepareMerge     the source's leader, when asked to, if every peer of the source is near the end of the log
CommitMerge      the target's leader, as soon as the source's peer on its store has applied PrepareMerge
RollbackMerge    the source's leader, once it is proved that CommitMerge can never take effect

The proof is what a store knows of the target. CommitMerge takes effect at the very epoch that the source was prepared
for, and when it does, the source is gone in the same moment: where the target applied it; where the target was replaced
by a snapshot from later (which names what the region has absorbed, `RaftSnapshotData.absorbed_region_ids`); and where
the store was told that its target peer is no member any more (the tombstone names it too). So a source that is still
there beside a target whose epoch has moved on was not taken over and never will be, on no replica. One peer that sees
it is enough; a follower tells its leader (MsgWantRollbackMerge).
"""

from collections.abc import Sequence

from rutile_kv.raft.messages import Entry, EntryKind
from rutile_kv.raft.ready import ProgressStatus
from rutile_kv.raftstore.commands import decode_command
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.merge import check_merge, is_refused
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.registry import Registry
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.takeover import entries_to_pb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import NotLeader, RaftEntryTooLarge, ServerIsBusy

_NO_ROOM = (NotLeader, ServerIsBusy, RaftEntryTooLarge)
"""Why a leader may not take a proposal now; it is tried again."""


# --- the source, when asked to merge ----------------------------------------------------------------------------------


def prepare_merge(source: Peer, target: metapb.Region, config: StoreConfig) -> rutilepb.AdminCommand:
    """The command that prepares the source. Raises InvalidRequest if the two do not fit, ServerIsBusy if a peer is too
    far behind now.

    What some peer may lack travels in CommitMerge, and is applied without Raft. So it must be short, and hold nothing
    but writes: a command about the region itself could change what CommitMerge relies on.
    """
    check_merge(source.region, target)
    min_index = _known_everywhere(source)
    if min_index < max(source.storage.truncated_index, source.storage.last_snapshot_index):
        raise ServerIsBusy(f"region {source.region_id}: a peer waits for a snapshot, merge after it")
    gap = source.node.entries_after(min_index)
    if len(gap) > config.max_merge_gap_entries or sum(len(e.data) for e in gap) > config.max_entry_bytes // 2:
        raise ServerIsBusy(f"region {source.region_id}: a peer is {len(gap)} entries behind, too many to merge")
    if any(_is_command_of_region(entry) for entry in gap):
        raise ServerIsBusy(f"region {source.region_id}: some peer has yet to hear of a change, merge after it")
    prepare = rutilepb.PrepareMerge(min_index=min_index, target=target)
    return rutilepb.AdminCommand(prepare_merge=prepare)


def _known_everywhere(source: Peer) -> int:
    """Up to here every peer has the log, durably."""
    status = source.node.status()
    others = (progress.match for progress in status.progress if progress.peer_id != source.id)
    return min(status.persisted, *others, status.last_index)


def _is_command_of_region(entry: Entry) -> bool:
    if entry.kind is EntryKind.CONF_CHANGE:
        return True
    return bool(entry.data) and not decode_command(entry).HasField("write")


# --- from then on, on every store -------------------------------------------------------------------------------------


def advance_merge(source: Peer, registry: Registry, round_: Round) -> None:
    """Do what this store can do for a merge that is prepared. Harmless when done again."""
    state = source.storage.merge_state
    assert state is not None, "the region is not prepared to merge"
    target = registry.peers.get(state.target.id)
    if source.rollback_wanted == state.commit or _is_refused_here(state, target, registry):
        _roll_back(source, state, round_)
    elif target is not None and _may_commit(state, target):
        _commit(source, state, target)


def _is_refused_here(state: raft_serverpb.MergeState, target: Peer | None, registry: Registry) -> bool:
    """Whether what this store knows of the target, alive or dead, proves that it will not take the source."""
    if target is not None and target.is_initialised:
        return is_refused(state.target, target.region.region_epoch)
    tombstone = registry.tombstones.get(state.target.id)
    return target is None and tombstone is not None and is_refused(state.target, tombstone.region.region_epoch)


def _may_commit(state: raft_serverpb.MergeState, target: Peer) -> bool:
    """The target's leader, at the epoch prepared for, with followers that all have a log: one that waits for its first
    snapshot may have been given it before, and would not know what to do."""
    if not target.is_leader or target.awaits_merge_entry() or target.is_merging:
        return False
    if target.region.region_epoch != state.target.region_epoch:
        return False
    return all(_has_log(progress, target) for progress in target.node.status().progress)


def _has_log(progress: ProgressStatus, target: Peer) -> bool:
    return progress.peer_id == target.id or progress.match >= target.storage.truncated_index


def _commit(source: Peer, state: raft_serverpb.MergeState, target: Peer) -> None:
    if source.storage.truncated_index > state.min_index:
        _move_to_longer_log(source, target)
        return
    entries: Sequence[Entry] = source.storage.entries(state.min_index + 1, state.commit + 1, None)
    command = rutilepb.CommitMerge(source=source.region, commit=state.commit, entries=entries_to_pb(entries))
    try:
        target.propose_admin((), rutilepb.AdminCommand(commit_merge=command))
    except _NO_ROOM:
        return


def _move_to_longer_log(source: Peer, target: Peer) -> None:
    """The log here begins with a snapshot, too late. It does not where the source is led: let the target be led there
    as well."""
    leader = source.leader
    heir = next((p for p in target.region.peers if leader is not None and p.store_id == leader.store_id), None)
    if heir is None or heir.id == target.id:
        return
    try:
        target.transfer_leader(heir.id)
    except _NO_ROOM:
        return


def _roll_back(source: Peer, state: raft_serverpb.MergeState, round_: Round) -> None:
    if not source.is_leader:
        if source.leader is not None:
            round_.ready.messages.append(_want_rollback(source, source.leader, state.commit))
    elif not source.awaits_merge_entry():
        command = rutilepb.RollbackMerge(commit=state.commit)
        try:
            source.propose_admin((), rutilepb.AdminCommand(rollback_merge=command))
        except _NO_ROOM:
            return


def _want_rollback(source: Peer, leader: metapb.Peer, commit: int) -> raft_serverpb.RaftMessage:
    return raft_serverpb.RaftMessage(
        region_id=source.region_id,
        from_peer=source.meta,
        to_peer=leader,
        region_epoch=source.region.region_epoch,
        extra_msg=raft_serverpb.ExtraMessage(
            type=raft_serverpb.ExtraMessageType.MsgWantRollbackMerge, premerge_commit=commit
        ),
    )
