"""Whether a request came to the right place, in TiKV's order (wire.md §6.1): store, region, peer, leader, term, epoch,
key.

A request compares epoch.version only: who the members are does not matter to somebody who reads or writes keys.
"""

from collections.abc import Iterable

from rutile_kv.engine.api import FILE_CFS, Modify
from rutile_kv.engine.table_file import TableFile
from rutile_kv.raftstore.peer import Peer
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import (
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    ProposalInMergingMode,
    RegionNotInitialized,
    StaleCommand,
    StoreNotMatch,
)


def check_store(context: kvrpcpb.Context, store_id: int) -> None:
    if context.peer.store_id != store_id:
        raise StoreNotMatch(context.peer.store_id, store_id)


def check_peer(context: kvrpcpb.Context, peer: Peer) -> None:
    if context.peer.id != peer.id:
        raise MismatchPeerId(context.peer.id, peer.id)
    if not peer.is_initialised:
        raise RegionNotInitialized(peer.region_id)


def check_leader(peer: Peer) -> None:
    if not peer.is_leader:
        raise NotLeader(peer.region_id, peer.leader)


def check_term(context: kvrpcpb.Context, peer: Peer) -> None:
    """A caller that names a term does so because it relies on no other leader having been in between."""
    if context.term and peer.term > context.term + 1:
        raise StaleCommand(f"the caller knows term {context.term}, this peer is in {peer.term}")


def check_not_merging(peer: Peer) -> None:
    """A region that is prepared to merge serves nobody: its keys may be written as the target's by now."""
    if peer.is_merging:
        raise ProposalInMergingMode(peer.region_id)


def is_version_current(context: kvrpcpb.Context, region: metapb.Region) -> bool:
    return context.region_epoch.version == region.region_epoch.version


def check_modifies(modifies: Iterable[Modify], region: metapb.Region) -> None:
    """Raises KeyNotInRegion. Keys are full engine keys: a version behind a storage key does not change its place."""
    start, end = region.start_key, region.end_key
    for cf, key, value in modifies:
        last = TableFile.from_bytes(value or b"").last_key if cf in FILE_CFS else key
        if key < start or (end and last >= end):
            raise KeyNotInRegion(key if key < start else last, region.id, start, end)
