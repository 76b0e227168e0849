"""The first bytes in a store's engine: who it is, and the region the cluster begins with."""

from rutile_kv.engine.api import CF_RAFT, Engine, Reader
from rutile_kv.raft.messages import HardState
from rutile_kv.raftstore import local_keys
from rutile_kv.raftstore.peer_storage import write_initial_states
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import raft_serverpb_pb2 as raft_serverpb
from rutile_proto.errors import DataDirMismatch


def load_ident(reader: Reader) -> raft_serverpb.StoreIdent | None:
    """Which store of which cluster this engine belongs to; None for a new one."""
    value = reader.get(CF_RAFT, local_keys.STORE_IDENT)
    return None if value is None else raft_serverpb.StoreIdent.FromString(value)


def bootstrap_store(engine: Engine, cluster_id: int, store_id: int) -> None:
    """Give a new engine its identity, durably. Does nothing if it already has this one; raises DataDirMismatch if
    another."""
    ident = load_ident(engine)
    if ident is not None:
        if (ident.cluster_id, ident.store_id) != (cluster_id, store_id):
            raise DataDirMismatch(
                f"this engine is store {ident.store_id} of cluster {ident.cluster_id},"
                f" not store {store_id} of cluster {cluster_id}"
            )
        return
    batch = engine.batch()
    ident = raft_serverpb.StoreIdent(cluster_id=cluster_id, store_id=store_id)
    batch.put(CF_RAFT, local_keys.STORE_IDENT, ident.SerializeToString())
    engine.write(batch)
    engine.sync()


def first_region(region_id: int, peer_id: int, store_id: int) -> metapb.Region:
    """The region that covers all keys, with one peer."""
    return metapb.Region(
        id=region_id,
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=1),
        peers=[metapb.Peer(id=peer_id, store_id=store_id)],
    )


def bootstrap_first_region(engine: Engine, region: metapb.Region) -> None:
    """Write the first region, durably. To be done before PD is told: if PD refuses, `clear_first_region` takes it
    back."""
    batch = engine.batch()
    write_initial_states(batch, region, HardState())
    engine.write(batch)
    engine.sync()


def clear_first_region(engine: Engine, region_id: int) -> None:
    """Take back a first region that another store was quicker to register."""
    batch = engine.batch()
    for key in (
        local_keys.region_state(region_id),
        local_keys.raft_state(region_id),
        local_keys.apply_state(region_id),
    ):
        batch.delete(CF_RAFT, key)
    engine.write(batch)
    engine.sync()
