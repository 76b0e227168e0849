"""When a majority of a region's replicas is lost for good: the survivors are told to go on without them.

This breaks the promise of Raft on purpose, and is the last resort. What was committed by the lost majority alone is
gone; what a survivor has in its log and was never committed may become true. It works on the engine of a store that is
not running, on each surviving store, with the same list of lost stores.

A region is touched only if the lost stores hold half of its voters or more: the others elect a leader by themselves,
and PD replaces what they lack. Its epoch rises by more than one, so that PD believes the survivors, and changes of
membership still in the log are refused when they come to be applied.
"""

from collections.abc import Collection
from dataclasses import dataclass

from rutile_kv.engine.api import Engine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.bootstrap import load_ident
from rutile_kv.raftstore.peer_storage import write_region_state
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import DataDirMismatch, InvalidRequest

_EPOCH_STEP = 2
"""By how much conf_ver rises for each peer dropped: a change the lost ones made and we never saw is below it."""
_WITH_DATA = (raft_serverpb.PeerState.Normal, raft_serverpb.PeerState.Merging)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What becomes of one region on this store."""

    before: metapb.Region
    after: metapb.Region
    is_installing: bool
    """Its data was still on the way here: this store cannot recover it."""


def plan_recovery(engine: Engine, lost_store_ids: Collection[int]) -> list[Recovery]:
    """The regions here that cannot decide without the lost stores, and what they would be afterwards.

    DataDirMismatch if the engine is no store's; InvalidRequest if this store is among the lost ones, or none is named.
    """
    ident = load_ident(engine)
    if ident is None:
        raise DataDirMismatch("this directory holds no store: give the data directory of a surviving store")
    if not lost_store_ids or ident.store_id in lost_store_ids:
        raise InvalidRequest(f"this is store {ident.store_id}: name the stores that are lost, and not this one")
    return [
        Recovery(state.region, _without(state.region, lost_store_ids, ident.store_id), state.state not in _WITH_DATA)
        for state in local_keys.scan_region_states(engine)
        if state.state != raft_serverpb.PeerState.Tombstone and _cannot_decide(state.region, lost_store_ids)
    ]


def recover(engine: Engine, plan: list[Recovery]) -> int:
    """Make it so, durably; how many regions were changed. Those whose data never came are left as they are."""
    batch = engine.batch()
    changed = 0
    for each in plan:
        state = local_keys.load_region_state(engine, each.after.id)
        if each.is_installing or state is None:
            continue
        state.region.CopyFrom(each.after)
        write_region_state(batch, state)
        changed += 1
    engine.write(batch)
    engine.sync()
    return changed


def _cannot_decide(region: metapb.Region, lost: Collection[int]) -> bool:
    """Whether no majority is left, in either half of a joint configuration."""
    halves = ((metapb.Voter, metapb.IncomingVoter), (metapb.Voter, metapb.DemotingVoter))
    for roles in halves:
        voters = [peer.store_id for peer in region.peers if peer.role in roles]
        if 2 * sum(store_id in lost for store_id in voters) >= len(voters):
            return True
    return False


def _without(region: metapb.Region, lost: Collection[int], own_store_id: int) -> metapb.Region:
    """The region with its surviving peers as voters: those that voted, or if none is left, the learner here."""
    after = metapb.Region()
    after.CopyFrom(region)
    surviving = [peer for peer in region.peers if peer.store_id not in lost]
    dropped = len(region.peers) - len(surviving)
    has_voter = any(peer.role != metapb.Learner for peer in surviving)
    del after.peers[:]
    for peer in surviving:
        stays_learner = peer.role == metapb.Learner and (has_voter or peer.store_id != own_store_id)
        role = metapb.Learner if stays_learner else metapb.Voter
        after.peers.add(id=peer.id, store_id=peer.store_id, role=role)
    after.region_epoch.conf_ver += _EPOCH_STEP * dropped
    return after
