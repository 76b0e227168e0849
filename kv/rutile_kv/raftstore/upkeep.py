"""What a peer does for itself from time to time: cut its log, report to PD, look for lost reads and forgotten
membership.

Called on ticks. Each check has its own rhythm, shifted by the region's id so that a thousand regions do not all check
in the same tick.
"""

from rutile_kv.engine.api import Engine
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.events import CheckSplit, MembershipDoubt
from rutile_kv.raftstore.log_compaction import compact_log, is_heavy
from rutile_kv.raftstore.peer import Peer
from rutile_kv.raftstore.round import Round
from rutile_kv.raftstore.split_check import is_check_due
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import NotLeader, ReadIndexNotReady, ServerIsBusy

TICK_SECONDS = 0.1
"""What a tick lasts, for the seconds PD wants. The driver keeps to it."""
LEAST_WINDOW_TICKS = 30
"""What was written and read is told for windows of at least this length, or of the reports' own rhythm: a report that
something changed may follow the last one at once, and a rate over no time would be none."""


def on_tick(peer: Peer, tick: int, config: StoreConfig, round_: Round) -> None:
    """Let a tick pass for a peer, with the checks that are due."""
    peer.node.tick()
    turn = tick + peer.region_id
    if len(peer.reads):
        _watch_reads(peer, tick, round_)
    if turn % config.peer_check_ticks == 0:
        _check_peers(peer, config, round_)
        if tick >= peer.applier.consistency.paused_until_tick:
            peer.applier.consistency.paused_until_tick = 0
    if peer.is_leader:
        if turn % config.compact_check_ticks == 0 or is_heavy(peer, config):
            compact_log(peer, config)
        if config.consistency_check_ticks and turn % config.consistency_check_ticks == 0:
            _check_consistency(peer)
        if turn % config.split_check_ticks == 0:
            _check_size(peer, config, round_)
        if turn % config.region_heartbeat_ticks == 0:
            peer.heartbeat_due = True


def region_heartbeat(peer: Peer, engine: Engine, config: StoreConfig, tick: int) -> pdpb.RegionHeartbeatRequest:
    """What PD hears of a region from its leader. `interval`, in ticks, is there if the report tells what was written:
    the shell makes seconds of it, and adds what was read meanwhile."""
    if peer.applier.stats.is_drifting():
        peer.applier.stats = peer.applier.stats.measured(engine, peer.region)
    down, pending = _health(peer, config)
    peer.reported_health = (tuple(sorted(down)), pending)
    peer.heartbeat_due = False
    stats = peer.applier.stats
    request = pdpb.RegionHeartbeatRequest(
        region=peer.region,
        leader=peer.meta,
        term=peer.term,
        approximate_size=stats.size_bytes,
        approximate_keys=stats.keys,
        pending_peers=[member for member in peer.region.peers if member.id in pending],
    )
    for member in peer.region.peers:
        if member.id in down:
            request.down_peers.add(peer=member, down_seconds=int(down[member.id] * TICK_SECONDS))
    _close_window(peer, tick, min(LEAST_WINDOW_TICKS, config.region_heartbeat_ticks), request)
    return request


def _close_window(peer: Peer, tick: int, least_ticks: int, request: pdpb.RegionHeartbeatRequest) -> None:
    """Tell what was written since the last window ended, if that is long enough ago. The first begins here: what was
    written under other leaders they have told."""
    began, stats = peer.window_began_tick, peer.applier.stats
    if began is not None and tick - began < least_ticks:
        return
    if began is not None:
        request.interval.start_timestamp, request.interval.end_timestamp = began, tick
        request.bytes_written, request.keys_written = stats.written_bytes, stats.written_keys
    peer.window_began_tick = tick
    stats.reset_window()


def _health(peer: Peer, config: StoreConfig) -> tuple[dict[int, int], tuple[int, ...]]:
    """(silent ticks of the peers that seem down, ids of those that still wait for a snapshot)."""
    down, pending = {}, []
    for progress in peer.node.status().progress:
        if progress.peer_id == peer.id:
            continue
        if progress.silent_ticks >= config.down_peer_ticks:
            down[progress.peer_id] = progress.silent_ticks
        if progress.match < peer.storage.truncated_index:
            pending.append(progress.peer_id)
    return down, tuple(pending)


def _check_peers(peer: Peer, config: StoreConfig, round_: Round) -> None:
    if peer.is_leader:
        peer.leave_joint()
        down, pending = _health(peer, config)
        if (tuple(sorted(down)), pending) != peer.reported_health:
            peer.heartbeat_due = True
    elif peer.silent_ticks() >= config.missing_leader_ticks:
        peer.note_contact()
        ask_whether_member(peer, round_)
        if peer.is_initialised:
            round_.ready.doubts.append(MembershipDoubt(peer.region, peer.meta))


def ask_whether_member(peer: Peer, round_: Round) -> None:
    """A learner, or a peer cut off while the others changed, would otherwise never learn that it was removed."""
    for member in peer.region.peers:
        if member.id != peer.id:
            question = raft_serverpb.RaftMessage(
                region_id=peer.region_id,
                from_peer=peer.meta,
                to_peer=member,
                region_epoch=peer.region.region_epoch,
                extra_msg=raft_serverpb.ExtraMessage(type=raft_serverpb.ExtraMessageType.MsgCheckStalePeer),
            )
            round_.ready.messages.append(question)


def _watch_reads(peer: Peer, tick: int, round_: Round) -> None:
    expired = peer.reads.expire(tick)
    if expired:
        round_.fail(expired, ReadIndexNotReady(peer.region_id, "the leader did not confirm it in time"))
    for context in peer.reads.ask_again(tick):
        peer.ask_read_index(context, round_)


def _check_size(peer: Peer, config: StoreConfig, round_: Round) -> None:
    """Have a region looked at that may have become too big."""
    stats = peer.applier.stats
    if not peer.split_check_running and is_check_due(stats, config):
        peer.split_check_running = True
        round_.ready.split_checks.append(CheckSplit(peer.region, stats.size_bytes, stats.keys))


def _check_consistency(peer: Peer) -> None:
    """Have the replicas compared, if nothing is in the way; otherwise the next time."""
    if peer.is_merging or peer.applier.consistency.paused_until_tick:
        return
    try:
        peer.propose_admin((), rutilepb.AdminCommand(compute_hash=rutilepb.ComputeHash()))
    except (NotLeader, ServerIsBusy):
        return
