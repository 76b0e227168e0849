"""Which region holds a key, and who leads it: learnt from the placement driver and from the stores' own answers.

The cache is a sorted list of disjoint regions. What enters it wins over what it overlaps only if its epoch is not
older, so a late answer cannot undo newer knowledge. Entries never expire: a stale one costs one rejected request, whose
error tells what changed (`region_errors`). Keys are in storage (memcomparable) form; as an end, empty is +infinity.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from rutile_kv.client.backoff import PD_FAILED, Backoff
from rutile_kv.client.pd import PdClient, RegionInfo
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import PdError
from rutile_proto.keys import user_bound

MAX_REGIONS = 100_000
"""The cache starts afresh when it would hold more; at about 1 KiB each that is 100 MiB."""
SCAN_LIMIT = 256
"""Regions fetched at a time for a range."""


@dataclass(frozen=True, slots=True)
class CachedRegion:
    """A region and the peer believed to lead it. Shared and never changed: better knowledge is a new object."""

    region: metapb.Region
    leader: metapb.Peer
    user_start: bytes
    user_end: bytes
    """The boundaries as user keys, for requests; empty = infinity."""
    failures: int = 0
    """Peers tried in vain since one answered."""
    plain_context: kvrpcpb.Context = field(init=False, compare=False, repr=False)
    """`context` with nothing resolved, made once: for callers who do not change it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain_context", self.context())

    @classmethod
    def of(cls, region: metapb.Region, leader: metapb.Peer | None) -> CachedRegion:
        """`region` led by `leader`, or by its first voter if none is known. PdError if it has no peers."""
        guess = leader or next((peer for peer in region.peers if peer.role != metapb.Learner), None)
        if guess is None:
            raise PdError(f"region {region.id} has no peer that could lead it")
        return cls(region, guess, user_bound(region.start_key), user_bound(region.end_key))

    @property
    def id(self) -> int:
        return self.region.id

    @property
    def start(self) -> bytes:
        return self.region.start_key

    @property
    def end(self) -> bytes:
        return self.region.end_key

    @property
    def epoch(self) -> tuple[int, int]:
        """(version, conf_ver), which only grow."""
        return self.region.region_epoch.version, self.region.region_epoch.conf_ver

    def holds(self, key: bytes) -> bool:
        """Whether the storage key lies in the region."""
        return self.start <= key and (not self.end or key < self.end)

    def context(self, resolved_locks: Iterable[int] = ()) -> kvrpcpb.Context:
        """The context of a request to the leader; reads pass over locks of the transactions `resolved_locks`."""
        return kvrpcpb.Context(
            region_id=self.region.id,
            region_epoch=self.region.region_epoch,
            peer=self.leader,
            resolved_locks=resolved_locks,
        )

    def peer_on(self, store_id: int) -> metapb.Peer | None:
        """The peer on a store, or None."""
        return next((peer for peer in self.region.peers if peer.store_id == store_id), None)


class RegionCache:
    """Sorted, disjoint, epoch-aware."""

    def __init__(self, pd: PdClient) -> None:
        self._pd = pd
        self._starts: list[bytes] = []
        self._regions: list[CachedRegion] = []
        self._by_id: dict[int, CachedRegion] = {}
        self._asking = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._regions)

    # --- finding --------------------------------------------------------------------------------------------------

    def peek(self, key: bytes) -> CachedRegion | None:
        """The cached region that holds the storage key; no call is made."""
        at = bisect_right(self._starts, key) - 1
        return self._regions[at] if at >= 0 and self._regions[at].holds(key) else None

    def by_id(self, region_id: int) -> CachedRegion | None:
        """The cached region with this id; no call is made."""
        return self._by_id.get(region_id)

    async def locate(self, key: bytes, backoff: Backoff) -> CachedRegion:
        """The region that holds the storage key. RetriesExhausted while nobody reports one for the whole budget."""
        if (hit := self.peek(key)) is not None:
            return hit
        async with self._asking:  # those who waited for the same region find it here
            while (hit := self.peek(key)) is None:
                info = await self._pd.get_region(key, backoff)
                if info is not None:
                    return self.learn(info.region, info.leader)
                await backoff.wait(PD_FAILED, PdError(f"no region holds key {key.hex()}"))
        return hit

    async def locate_before(self, key: bytes, backoff: Backoff) -> CachedRegion:
        """The region that holds the keys just below `key` (empty: the last region), for reading backwards."""
        if (hit := self._peek_before(key)) is not None:
            return hit
        async with self._asking:
            while (hit := self._peek_before(key)) is None:
                info = await self._region_before(key, backoff)
                if info is not None:
                    return self.learn(info.region, info.leader)
                await backoff.wait(PD_FAILED, PdError(f"no region holds the keys before {key.hex()}"))
        return hit

    async def locate_range(self, start: bytes, end: bytes, backoff: Backoff) -> list[CachedRegion]:
        """The regions that meet [start, end), in key order and without a gap."""
        found: list[CachedRegion] = []
        while True:
            region = self.peek(start) or await self._load_from(start, end, backoff)
            found.append(region)
            start = region.end
            if not start or (end and start >= end):
                return found

    # --- learning -------------------------------------------------------------------------------------------------

    def learn(self, region: metapb.Region, leader: metapb.Peer | None) -> CachedRegion:
        """Take `region` in unless something newer overlaps it; returns it in either case, so that it can be tried."""
        fresh = CachedRegion.of(region, leader)
        overlapped = self._overlapping(fresh.start, fresh.end)
        if all(_may_replace(fresh, old) for old in self._regions[overlapped]):
            previous = self._by_id.get(fresh.id)
            if previous is not None and not _may_replace(fresh, previous):
                return fresh
            self._insert(fresh, overlapped)
        return fresh

    def leader_is(self, region: CachedRegion, leader: metapb.Peer) -> None:
        """A peer of the region named its leader. If it is not a peer we know of, the region is looked up again."""
        current = self._by_id.get(region.id)
        if current is None or current.epoch != region.epoch:
            return
        if leader.id not in [peer.id for peer in current.region.peers]:
            self.forget(region)
        else:
            self._put_back(current, replace(current, leader=leader, failures=0))

    def try_next_peer(self, region: CachedRegion) -> None:
        """The peer we took for the leader does not answer or knows no leader: try the next; after all, look it up."""
        current = self._by_id.get(region.id)
        if current is None or current.leader.id != region.leader.id or current.epoch != region.epoch:
            return  # somebody else has moved on already
        voters = [peer for peer in current.region.peers if peer.role != metapb.Learner]
        if current.failures + 1 >= len(voters):
            self.forget(region)
            return
        at = next((i for i, peer in enumerate(voters) if peer.id == current.leader.id), -1)
        leader = voters[(at + 1) % len(voters)]
        self._put_back(current, replace(current, leader=leader, failures=current.failures + 1))

    def answered(self, region: CachedRegion) -> None:
        """The leader answered: forget the failures counted against the region."""
        if region.failures and self._by_id.get(region.id) is region:
            self._put_back(region, replace(region, failures=0))

    def forget(self, region: CachedRegion) -> None:
        """Look the region up again next time, unless what is cached now is newer than `region`."""
        current = self._by_id.get(region.id)
        if current is not None and current.epoch <= region.epoch:
            self._remove(bisect_left(self._starts, current.start))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _peek_before(self, key: bytes) -> CachedRegion | None:
        at = (bisect_left(self._starts, key) if key else len(self._starts)) - 1
        if at < 0:
            return None
        region = self._regions[at]
        reaches = not region.end or (key and key <= region.end)
        return region if reaches else None

    async def _region_before(self, key: bytes, backoff: Backoff) -> RegionInfo | None:
        if not key:
            return await self._pd.get_region(b"\xff" * 16, backoff)
        info = await self._pd.get_region(key, backoff)
        if info is None or info.region.start_key != key:
            return info
        return await self._pd.get_prev_region(key, backoff)

    async def _load_from(self, start: bytes, end: bytes, backoff: Backoff) -> CachedRegion:
        """The region that holds `start`; those after it up to `end` are taken into the cache on the way."""
        async with self._asking:
            if (hit := self.peek(start)) is not None:
                return hit
            for info in await self._pd.scan_regions(start, end, SCAN_LIMIT, backoff):
                if info.leader is not None:
                    self.learn(info.region, info.leader)
        return self.peek(start) or await self.locate(start, backoff)

    def _overlapping(self, start: bytes, end: bytes) -> slice:
        low = bisect_right(self._starts, start) - 1
        if low < 0 or (self._regions[low].end and self._regions[low].end <= start):
            low += 1
        high = bisect_left(self._starts, end, lo=low) if end else len(self._starts)
        return slice(low, high)

    def _insert(self, fresh: CachedRegion, overlapped: slice) -> None:
        for old in self._regions[overlapped]:
            del self._by_id[old.id]
        self._starts[overlapped] = [fresh.start]
        self._regions[overlapped] = [fresh]
        if (elsewhere := self._by_id.pop(fresh.id, None)) is not None:
            self._remove(bisect_left(self._starts, elsewhere.start))
        self._by_id[fresh.id] = fresh
        if len(self._regions) > MAX_REGIONS:
            self._starts, self._regions, self._by_id = [fresh.start], [fresh], {fresh.id: fresh}

    def _put_back(self, old: CachedRegion, new: CachedRegion) -> None:
        self._regions[bisect_left(self._starts, old.start)] = new
        self._by_id[new.id] = new

    def _remove(self, at: int) -> None:
        self._by_id.pop(self._regions[at].id, None)
        del self._starts[at], self._regions[at]


def _may_replace(fresh: CachedRegion, old: CachedRegion) -> bool:
    """Versions of overlapping regions compare: what a split or merge makes has a version above its parents'."""
    if fresh.id == old.id:
        return fresh.epoch >= old.epoch
    return fresh.epoch[0] > old.epoch[0]
