"""Joining a cluster: who this store is, whether the cluster exists yet, and telling PD where to find it.

The order makes a crash at any moment harmless. The identity is durable before anything else happens under it. The first
region is durable before PD hears of it, and taken back if another store was quicker; so there is never a cluster whose
first region nobody has.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rutile_kv.client.pd import PdClient
from rutile_kv.client.pd_leader import PdRefused
from rutile_kv.engine.api import Engine
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.bootstrap import (
    bootstrap_first_region,
    bootstrap_store,
    clear_first_region,
    first_region,
    load_ident,
)
from rutile_kv.raftstore.peer_storage import INITIAL_TERM
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import DataDirMismatch
from rutile_proto.types import StoreId

log = logging.getLogger(__name__)


async def identify(engine: Engine, pd: PdClient, data_dir: Path | None) -> StoreId:
    """This store's id: the one in its engine, or for a new engine one from PD, written down before it is used.

    Raises DataDirMismatch when the engine belongs to another cluster than PD's.
    """
    cluster_id = await pd.ready()
    ident = load_ident(engine)
    if ident is None:
        store_id = await pd.alloc_id()
        bootstrap_store(engine, cluster_id, store_id)
        return StoreId(store_id)
    if ident.cluster_id != cluster_id:
        raise DataDirMismatch(
            f"{data_dir or 'this engine'} belongs to store {ident.store_id} of cluster {ident.cluster_id}, but PD"
            f" serves cluster {cluster_id}: point the store at its own PD, or give it an empty directory"
        )
    return StoreId(ident.store_id)


async def found_cluster(engine: Engine, pd: PdClient, store: metapb.Store) -> None:
    """Bootstrap the cluster with this store and one region over all keys, unless it already is."""
    region = _prepared_region(engine)
    if not await pd.is_bootstrapped():
        if region is None:
            region = first_region(await pd.alloc_id(), await pd.alloc_id(), store.id)
            bootstrap_first_region(engine, region)
        await _bootstrap(pd, store, region)
    if region is not None and not await _is_first(pd, region):
        log.info("another store founded the cluster first")
        clear_first_region(engine, region.id)


async def _bootstrap(pd: PdClient, store: metapb.Store, region: metapb.Region) -> None:
    """Tell PD. A refusal may be the echo of our own request whose answer was lost: what PD knows decides."""
    try:
        await pd.bootstrap(store, region)
    except PdRefused as refusal:
        if refusal.type != pdpb.ALREADY_BOOTSTRAPPED:
            raise


async def _is_first(pd: PdClient, region: metapb.Region) -> bool:
    """Whether PD knows our prepared region. It has never run, so in PD it still covers all keys, or is not there."""
    first = await pd.scan_regions(b"", limit=1)
    return bool(first) and first[0].region.id == region.id


def _prepared_region(engine: Engine) -> metapb.Region | None:
    """A first region written by `bootstrap_first_region` whose peer has never run: PD may not know it."""
    for state in local_keys.scan_region_states(engine):
        raft_state = local_keys.load_raft_state(engine, state.region.id)
        never_ran = raft_state is not None and raft_state.hard_state.term <= INITIAL_TERM
        alone = len(state.region.peers) == 1 and not state.region.start_key and not state.region.end_key
        if state.state == raft_serverpb.PeerState.Normal and never_ran and alone:
            return state.region
    return None
