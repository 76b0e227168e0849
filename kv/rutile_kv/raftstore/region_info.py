"""What a store can say of one of its regions."""

from dataclasses import dataclass

from rutile_kv.raftstore.peer import Peer
from rutile_proto import metapb_pb2 as metapb


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """One region as this store sees it."""

    region: metapb.Region
    peer: metapb.Peer
    leader: metapb.Peer | None
    is_leader: bool
    term: int
    applied_index: int
    truncated_index: int
    data_version: int
    """Another number whenever the data or the range changed; equal numbers mean equal data."""
    approximate_size_bytes: int
    approximate_keys: int
    damage: str = ""
    """How this replica differs from its leader's, if it is known to: it serves no more (see `consistency`)."""


def describe(peer: Peer) -> RegionInfo:
    """The peer's region as it is now."""
    return RegionInfo(
        region=peer.region,
        peer=peer.meta,
        leader=peer.leader,
        is_leader=peer.is_leader,
        term=peer.term,
        applied_index=peer.storage.applied_index,
        truncated_index=peer.storage.truncated_index,
        data_version=peer.applier.data_version,
        approximate_size_bytes=peer.applier.stats.size_bytes,
        approximate_keys=peer.applier.stats.keys,
        damage=peer.applier.consistency.damage,
    )
