"""What lies on one store, kept up with every change of the region tree, so that no decision has to count."""

from dataclasses import dataclass, field

from rutile_pd.regions.indexed_set import IndexedSet
from rutile_pd.regions.region_info import Peer, RegionInfo


@dataclass(slots=True)
class StoreFigures:
    """The regions of a store by what its peer is, their sizes, and how many peers have fallen behind."""

    leaders: IndexedSet = field(default_factory=IndexedSet)
    followers: IndexedSet = field(default_factory=IndexedSet)
    """Voters that do not lead."""
    learners: IndexedSet = field(default_factory=IndexedSet)
    leader_size_bytes: int = 0
    peer_size_bytes: int = 0
    peer_keys: int = 0
    pending: int = 0

    @property
    def peer_count(self) -> int:
        """Peers of all kinds."""
        return len(self.leaders) + len(self.followers) + len(self.learners)

    def add(self, region: RegionInfo, peer: Peer) -> None:
        """A region has a peer here."""
        self._kind(region, peer).add(region.id)
        self.pending += peer.id in region.pending
        self.resize(region, peer, region.approximate_size_bytes, region.approximate_keys)

    def remove(self, region: RegionInfo, peer: Peer) -> None:
        """What `add` did for the same region is undone."""
        self._kind(region, peer).discard(region.id)
        self.pending -= peer.id in region.pending
        self.resize(region, peer, -region.approximate_size_bytes, -region.approximate_keys)

    def resize(self, region: RegionInfo, peer: Peer, by_bytes: int, by_keys: int) -> None:
        """A region here has grown, or shrunk."""
        self.peer_size_bytes += by_bytes
        self.peer_keys += by_keys
        if region.leader is not None and region.leader.id == peer.id:
            self.leader_size_bytes += by_bytes

    def _kind(self, region: RegionInfo, peer: Peer) -> IndexedSet:
        if region.leader is not None and region.leader.id == peer.id:
            return self.leaders
        return self.learners if peer.is_learner else self.followers
