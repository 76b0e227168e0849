"""The region tree: disjoint ranges of storage keys, kept disjoint by epochs.

A report is stale, and refused, if PD knows the region with a higher version, conf_ver or term, or if it overlaps a
region of a higher version: splits and merges raise the version of everything they touch, so the higher version is the
newer cut. Otherwise the report takes its place and removes what it overlaps.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError


class StaleRegion(PdError):
    """A report that is older than what is known."""


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """What PD knows of a region. Replaced as a whole by each report."""

    meta: metapb.Region
    leader: metapb.Peer | None = None
    term: int = 0
    down_peers: tuple[pdpb.PeerStats, ...] = ()
    pending_peers: tuple[metapb.Peer, ...] = ()
    approximate_size_bytes: int = 0
    approximate_keys: int = 0

    @classmethod
    def of_heartbeat(cls, report: pdpb.RegionHeartbeatRequest) -> "RegionInfo":
        """What a leader reported."""
        return cls(
            meta=report.region,
            leader=report.leader if report.leader.id else None,
            term=report.term,
            down_peers=tuple(report.down_peers),
            pending_peers=tuple(report.pending_peers),
            approximate_size_bytes=report.approximate_size,
            approximate_keys=report.approximate_keys,
        )

    @property
    def id(self) -> int:
        return self.meta.id

    @property
    def version(self) -> int:
        return self.meta.region_epoch.version

    @property
    def conf_ver(self) -> int:
        return self.meta.region_epoch.conf_ver

    def contains(self, key: bytes) -> bool:
        """Whether the storage key lies in the region."""
        return self.meta.start_key <= key and (not self.meta.end_key or key < self.meta.end_key)

    def peer_on(self, store_id: int) -> metapb.Peer | None:
        """The region's peer on a store."""
        return next((peer for peer in self.meta.peers if peer.store_id == store_id), None)

    def peer(self, peer_id: int) -> metapb.Peer | None:
        """The region's peer of that id."""
        return next((peer for peer in self.meta.peers if peer.id == peer_id), None)

    def is_pending(self, peer_id: int) -> bool:
        """Whether the peer is too far behind to count."""
        return any(peer.id == peer_id for peer in self.pending_peers)

    def is_down(self, peer_id: int) -> bool:
        """Whether the leader has not heard of the peer for a while."""
        return any(down.peer.id == peer_id for down in self.down_peers)

    def to_pb(self) -> pdpb.Region:
        """As ScanRegions answers it."""
        return pdpb.Region(
            region=self.meta, leader=self.leader, down_peers=self.down_peers, pending_peers=self.pending_peers
        )


class RegionTree:
    """Regions by start key and by id, with the number of peers and leaders each store has."""

    def __init__(self) -> None:
        self._starts: list[bytes] = []
        self._at: dict[bytes, RegionInfo] = {}
        self._by_id: dict[int, RegionInfo] = {}
        self._peers: dict[int, int] = {}
        self._led: dict[int, dict[int, None]] = {}

    # --- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[RegionInfo]:
        """All regions in key order, as of now."""
        return iter([self._at[start] for start in self._starts])

    def by_id(self, region_id: int) -> RegionInfo | None:
        """The region of that id."""
        return self._by_id.get(region_id)

    def find(self, key: bytes) -> RegionInfo | None:
        """The region that holds the storage key."""
        place = bisect_right(self._starts, key) - 1
        info = self._at[self._starts[place]] if place >= 0 else None
        return info if info is not None and info.contains(key) else None

    def find_previous(self, key: bytes) -> RegionInfo | None:
        """The region that ends where the one that holds the storage key begins."""
        info = self.find(key)
        if info is None or not info.meta.start_key:
            return None
        before = self._at[self._starts[bisect_left(self._starts, info.meta.start_key) - 1]]
        return before if before.meta.end_key == info.meta.start_key else None

    def scan(self, start: bytes, end: bytes, limit: int = 0) -> list[RegionInfo]:
        """The regions that meet [start, end) in key order; an empty end is infinity, limit 0 or less means all."""
        low, high = self._overlap(start, end)
        if limit > 0:
            high = min(high, low + limit)
        return [self._at[key] for key in self._starts[low:high]]

    def after(self, key: bytes, count: int) -> list[RegionInfo]:
        """Up to `count` regions that start above `key`: a patrol's next round."""
        low = bisect_right(self._starts, key)
        return [self._at[start] for start in self._starts[low : low + count]]

    def peer_count(self, store_id: int) -> int:
        """Peers of all kinds on the store."""
        return self._peers.get(store_id, 0)

    def leader_count(self, store_id: int) -> int:
        """Regions led from the store."""
        return len(self._led.get(store_id, ()))

    def led_by(self, store_id: int) -> list[RegionInfo]:
        """Regions led from the store, longest-led first."""
        return [self._by_id[region_id] for region_id in self._led.get(store_id, ())]

    # --- changing -------------------------------------------------------------------------------------------------

    def put(self, info: RegionInfo) -> list[int]:
        """Take a report; the ids of other regions it replaced. StaleRegion if it is older than what is known."""
        known = self._by_id.get(info.id)
        overlapped = [each for each in self.scan(info.meta.start_key, info.meta.end_key) if each.id != info.id]
        self._check_newer(info, known, overlapped)
        for old in overlapped:
            self._remove(old)
        if known is not None and known.meta.start_key == info.meta.start_key:
            self._count(known, -1)
        else:
            if known is not None:
                self._remove(known)
            self._starts.insert(bisect_left(self._starts, info.meta.start_key), info.meta.start_key)
        self._at[info.meta.start_key] = self._by_id[info.id] = info
        self._count(info, +1)
        return [old.id for old in overlapped]

    def _check_newer(self, info: RegionInfo, known: RegionInfo | None, overlapped: list[RegionInfo]) -> None:
        if known is not None and (
            info.version < known.version or info.conf_ver < known.conf_ver or (info.term and info.term < known.term)
        ):
            raise StaleRegion(
                f"region {info.id} reported at {info.conf_ver}/{info.version} term {info.term},"
                f" known at {known.conf_ver}/{known.version} term {known.term}"
            )
        newer = next((each for each in overlapped if each.version > info.version), None)
        if newer is not None:
            raise StaleRegion(
                f"region {info.id} at version {info.version} overlaps region {newer.id} at {newer.version}"
            )

    def _overlap(self, start: bytes, end: bytes) -> tuple[int, int]:
        """Positions [low, high) of the regions that meet [start, end)."""
        low = bisect_right(self._starts, start) - 1
        if low < 0 or not self._reaches(self._starts[low], start):
            low += 1
        return low, len(self._starts) if not end else bisect_left(self._starts, end)

    def _reaches(self, region_start: bytes, key: bytes) -> bool:
        return self._at[region_start].contains(key)

    def _remove(self, info: RegionInfo) -> None:
        del self._starts[bisect_left(self._starts, info.meta.start_key)]
        del self._at[info.meta.start_key]
        del self._by_id[info.id]
        self._count(info, -1)

    def _count(self, info: RegionInfo, step: int) -> None:
        for peer in info.meta.peers:
            self._peers[peer.store_id] = self._peers.get(peer.store_id, 0) + step
        if info.leader is not None:
            led = self._led.setdefault(info.leader.store_id, {})
            if step > 0:
                led[info.id] = None
            else:
                led.pop(info.id, None)
