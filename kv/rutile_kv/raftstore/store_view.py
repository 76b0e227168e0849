"""What can be asked of a store without changing anything: its regions, who leads them, how far they are applied."""

from rutile_kv.raft.messages import Entry
from rutile_kv.raftstore.region_info import RegionInfo, describe
from rutile_kv.raftstore.registry import Registry
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RegionNotFound


class StoreView:
    """The part of a `Store` that looks. It is true until the next event is stepped."""

    _registry: Registry

    def led_term(self, region_id: int) -> int:
        """The term in which this store leads the region; 0 if it does not."""
        peer = self._registry.peers.get(region_id)
        return peer.term if peer is not None and peer.is_leader else 0

    def region_infos(self) -> list[RegionInfo]:
        """Every initialised region here, in key order."""
        return [describe(self._registry.peers[region.id]) for region in self._registry.regions]

    def region_info(self, region_id: int) -> RegionInfo | None:
        """One region, or None if it is not here (or waits for its first snapshot)."""
        peer = self._registry.peers.get(region_id)
        return describe(peer) if peer is not None and peer.is_initialised else None

    def region(self, region_id: int) -> metapb.Region | None:
        """One region as last applied, or None if it is not here (or waits for its first snapshot)."""
        peer = self._registry.peers.get(region_id)
        return peer.region if peer is not None and peer.is_initialised else None

    def former_region(self, region_id: int) -> metapb.Region | None:
        """What a region was when it was destroyed here."""
        tombstone = self._registry.tombstones.get(region_id)
        return None if tombstone is None else tombstone.region

    def is_merging(self, region_id: int) -> bool:
        """True while the region is prepared to merge: its log here has come to an end, unless that is rolled back."""
        return region_id in self._registry.merging

    def has_absorbed(self, region_id: int, source_id: int) -> bool:
        """True if `source_id` is known to have merged into the region."""
        peer = self._registry.peers.get(region_id)
        return peer is not None and source_id in peer.storage.absorbed

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        """The region here that covers a key."""
        return self._registry.regions.find(storage_key)

    def applied_index(self, region_id: int) -> int:
        """Of the data a reader sees. Raises RegionNotFound."""
        peer = self._registry.peers.get(region_id)
        if peer is None:
            raise RegionNotFound(region_id)
        return peer.storage.applied_index

    def applied_entries(self, region_id: int, after: int, max_bytes: int) -> list[Entry]:
        """Applied log entries behind index `after`, as many as fit in `max_bytes`, at least one if there is any. Raises
        RegionNotFound, or Compacted when the log does not reach back that far."""
        applied = self.applied_index(region_id)
        storage = self._registry.peers[region_id].storage
        return storage.entries(after + 1, applied + 1, max_bytes) if after < applied else []

    def is_installing(self, region_id: int, index: int) -> bool:
        """True while the data of that snapshot is still wanted."""
        peer = self._registry.peers.get(region_id)
        installation = peer.installation if peer is not None else None
        return installation is not None and installation.meta.index == index

    def peer_counts(self) -> tuple[int, int]:
        """(regions here, regions led from here)."""
        peers = self._registry.peers.values()
        return len(peers), sum(peer.is_leader for peer in peers)

    def used_bytes(self) -> int:
        """What all regions here hold, about."""
        return sum(peer.applier.stats.size_bytes for peer in self._registry.peers.values() if peer.is_initialised)
