"""The region tree: disjoint ranges of storage keys, kept disjoint by epochs.

A report is stale, and refused, if PD knows the region with a higher version, conf_ver or term, or if it overlaps a
region of a higher version: splits and merges raise the version of everything they touch, so the higher version is the
newer cut. Otherwise the report takes its place and removes what it overlaps.
"""

from collections.abc import Iterator
from itertools import islice

from rutile_pd.regions.indexed_set import IndexedSet
from rutile_pd.regions.ordered_map import OrderedMap
from rutile_pd.regions.region_info import Peer, RegionInfo
from rutile_pd.regions.store_figures import StoreFigures
from rutile_proto.errors import PdError

__all__ = ["Peer", "RegionInfo", "RegionTree", "StaleRegion"]

_NOTHING = StoreFigures()


class StaleRegion(PdError):
    """A report that is older than what is known."""


class RegionTree:
    """Regions by start key and by id, and for each store what lies on it."""

    def __init__(self) -> None:
        self._by_start: OrderedMap[RegionInfo] = OrderedMap()
        self._by_id: dict[int, RegionInfo] = {}
        self._figures: dict[int, StoreFigures] = {}

    # --- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[RegionInfo]:
        """All regions in key order, as of now."""
        return iter(list(self._by_start))

    def by_id(self, region_id: int) -> RegionInfo | None:
        """The region of that id."""
        return self._by_id.get(region_id)

    def find(self, key: bytes) -> RegionInfo | None:
        """The region that holds the storage key."""
        info = self._by_start.at_or_before(key)
        return info if info is not None and info.contains(key) else None

    def find_previous(self, key: bytes) -> RegionInfo | None:
        """The region that ends where the one that holds the storage key begins."""
        info = self.find(key)
        return None if info is None else self.left_of(info)

    def left_of(self, info: RegionInfo) -> RegionInfo | None:
        """The region that ends where `info` begins."""
        before = self._by_start.before(info.start_key)
        return before if before is not None and before.end_key == info.start_key else None

    def right_of(self, info: RegionInfo) -> RegionInfo | None:
        """The region that begins where `info` ends."""
        after = self._by_start.at_or_before(info.end_key) if info.end_key else None
        return after if after is not None and after.start_key == info.end_key else None

    def scan(self, start: bytes, end: bytes, limit: int = 0) -> list[RegionInfo]:
        """The regions that meet [start, end) in key order; an empty end is infinity, limit 0 or less means all."""
        return list(islice(self._meeting(start, end), limit if limit > 0 else None))

    def after(self, key: bytes, count: int) -> list[RegionInfo]:
        """Up to `count` regions that start above `key`: a patrol's next round."""
        return list(islice(self._by_start.from_key(key + b"\0"), count))

    def figures(self, store_id: int) -> StoreFigures:
        """What lies on the store."""
        return self._figures.get(store_id, _NOTHING)

    def peer_count(self, store_id: int) -> int:
        """Peers of all kinds on the store."""
        return self.figures(store_id).peer_count

    def leader_count(self, store_id: int) -> int:
        """Regions led from the store."""
        return len(self.figures(store_id).leaders)

    def led_by(self, store_id: int) -> list[RegionInfo]:
        """Regions led from the store."""
        return self.infos(self.figures(store_id).leaders)

    def infos(self, region_ids: IndexedSet) -> list[RegionInfo]:
        """The regions of a set that `figures` holds."""
        return [self._by_id[region_id] for region_id in region_ids]

    def average_size_bytes(self) -> int:
        """What a region holds on the average; 0 without regions."""
        peers = sum(figures.peer_count for figures in self._figures.values())
        total = sum(figures.peer_size_bytes for figures in self._figures.values())
        return total // peers if peers else 0

    # --- changing -------------------------------------------------------------------------------------------------

    def put(self, info: RegionInfo) -> list[int]:
        """Take a report; the ids of other regions it replaced. StaleRegion if it is older than what is known."""
        known = self._by_id.get(info.id)
        is_same_range = known is not None and known.start_key == info.start_key and known.end_key == info.end_key
        overlapped = [] if is_same_range else self._others_meeting(info)
        self._check_newer(info, known, overlapped)
        for old in overlapped:
            self._remove(old)
        if known is not None and known.start_key != info.start_key:
            self._remove(known)
            known = None
        self._by_start.put(info.start_key, info)
        self._by_id[info.id] = info
        self._count(known, info)
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

    def _others_meeting(self, info: RegionInfo) -> list[RegionInfo]:
        return [each for each in self._meeting(info.start_key, info.end_key) if each.id != info.id]

    def _meeting(self, start: bytes, end: bytes) -> Iterator[RegionInfo]:
        first = self._by_start.at_or_before(start)
        begin = start if first is None or not first.contains(start) else first.start_key
        for info in self._by_start.from_key(begin):
            if end and info.start_key >= end:
                return
            yield info

    def _remove(self, info: RegionInfo) -> None:
        self._by_start.delete(info.start_key)
        del self._by_id[info.id]
        for peer in info.peers:
            self._figures[peer.store_id].remove(info, peer)

    def _count(self, known: RegionInfo | None, info: RegionInfo) -> None:
        """Bring the stores' figures up to date; nearly all reports change at most a size."""
        if known is not None and known.peers is info.peers and known.leader == info.leader:
            self._resize(known, info)
            return
        for peer in known.peers if known is not None else ():
            assert known is not None
            self._figures[peer.store_id].remove(known, peer)
        for peer in info.peers:
            self._figures.setdefault(peer.store_id, StoreFigures()).add(info, peer)

    def _resize(self, known: RegionInfo, info: RegionInfo) -> None:
        by_bytes = info.approximate_size_bytes - known.approximate_size_bytes
        by_keys = info.approximate_keys - known.approximate_keys
        is_health_same = known.pending == info.pending
        if not by_bytes and not by_keys and is_health_same:
            return
        for peer in info.peers:
            figures = self._figures[peer.store_id]
            figures.resize(info, peer, by_bytes, by_keys)
            figures.pending += (peer.id in info.pending) - (peer.id in known.pending)
