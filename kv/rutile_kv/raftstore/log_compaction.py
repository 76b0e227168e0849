"""How much of its log a region keeps: enough for followers that are slow, no more for those that are dead.

A leader looks every `compact_check_ticks`. What every member has is of no use to anybody but watchers that come from
another leader (`replay`), and for them a tail of half of `log_gap_entries` stays. Shorter logs are not worth cutting,
unless they are heavy: a bulk load's entries have megabytes, which cost nothing more if they are cut while they are in
memory, and are written twice more, by a flush and a compaction, if not. So a log of `log_gap_bytes` is looked at with
every tick, and cut to half as many bytes.

    a member that answers       is waited for, also while a snapshot is on its way to it
    a member silent for         is not: when it comes back it gets the log if that still reaches it, or a snapshot
     `dead_follower_ticks`
    the log over its limits     is cut to half, whoever waits: those in the older half get a snapshot
     (`log_limit_entries`,
      `log_limit_bytes`)

So a slow follower holds back at most the limits, a dead one nothing after a minute, and a follower that keeps up within
half of the limit never needs a snapshot, however fast the region is written to. The cut itself is an entry in the log
(CompactLog): every replica makes it, and none beyond what it has applied.
"""

from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.peer import Peer
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import NotLeader, ServerIsBusy


def compact_log(peer: Peer, config: StoreConfig) -> None:
    """Propose to cut the log, if that is worth it. A region about to merge keeps all of it."""
    index = cut_at(peer, config)
    if peer.is_merging or index <= peer.storage.truncated_index:
        return
    command = rutilepb.CompactLog(index=index, term=peer.storage.term(index))
    try:
        peer.propose_admin((), rutilepb.AdminCommand(compact_log=command))
    except (NotLeader, ServerIsBusy):
        return


def cut_at(peer: Peer, config: StoreConfig) -> int:
    """The last entry nobody needs any more; at or before what is cut already, if there is nothing to cut."""
    storage = peer.storage
    applied = storage.applied_index
    length = applied - storage.truncated_index
    is_over = length >= config.log_limit_entries or storage.log_bytes >= config.log_limit_bytes
    if length < config.log_gap_entries and not is_over and not is_heavy(peer, config):
        return 0
    index = min(applied - _tail(peer, config, length), _awaited(peer, config))
    return max(index, applied - length // 2) if is_over else index


def is_heavy(peer: Peer, config: StoreConfig) -> bool:
    """Whether the log holds so many bytes that it is to be cut soon."""
    return peer.storage.log_bytes >= config.log_gap_bytes


def _tail(peer: Peer, config: StoreConfig, length: int) -> int:
    """How many of the log's applied entries stay for watchers."""
    log_bytes = max(1, peer.storage.log_bytes)
    return min(config.log_gap_entries // 2, length * (config.log_gap_bytes // 2) // log_bytes)


def _awaited(peer: Peer, config: StoreConfig) -> int:
    """The last entry that every living member has, or will have with the snapshot on its way."""
    others = [
        max(progress.match, progress.pending_snapshot)
        for progress in peer.node.status().progress
        if progress.peer_id != peer.id and progress.silent_ticks < config.dead_follower_ticks
    ]
    return min(others, default=peer.storage.applied_index)
