"""Which store runs a fragment over which regions.

"whole"      one store that has a replica of every region runs the fragment over all of them, joins and all.
             Followers read there too (`replica_read`): the store that has them mirrored is asked (`mirror_sites`).
"per_store"  every store runs the fragment over the regions it leads; the results are put one after the other,
             so this is for fragments that allow it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import KeyRange, clip, union
from rutile_kv.client.region_cache import CachedRegion
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import CoprocessorError
from rutile_proto.keys import storage_bound

FragmentMode: TypeAlias = Literal["whole", "per_store"]
MAX_REGIONS = 4096
"""Regions in one request."""


class WholeNotPossible(CoprocessorError):
    """No single store that could be asked has a replica of every region; run it per store, or bring the rows here."""


@dataclass(frozen=True, slots=True)
class RegionPart:
    """What is wanted of one region."""

    region: CachedRegion
    ranges: Sequence[KeyRange]


@dataclass(frozen=True, slots=True)
class StoreTask:
    """One request: these regions, on this store."""

    store_id: int
    parts: Sequence[RegionPart]
    replica_read: bool

    @property
    def ranges(self) -> list[KeyRange]:
        """All that the task reads, to plan it anew."""
        return union(each for part in self.parts for each in part.ranges)


async def plan(
    cluster: Cluster, ranges: Sequence[KeyRange], mode: FragmentMode, backoff: Backoff, avoid: Collection[int] = ()
) -> list[StoreTask]:
    """The tasks that read `ranges`, at least one even if there is nothing to read. `WholeNotPossible` in that mode.

    A whole fragment does not go to the stores `avoid`, which have just failed, if it can go elsewhere.
    """
    parts = await region_parts(cluster, ranges, backoff)
    if not parts:
        stores = await cluster.pd.all_stores()
        return [StoreTask(store.id, (), replica_read=False) for store in stores[:1]]
    if mode == "whole":
        return [_whole(cluster, parts, avoid)]
    by_store: dict[int, list[RegionPart]] = {}
    for part in parts:
        by_store.setdefault(part.region.leader.store_id, []).append(part)
    return [
        StoreTask(store_id, mine[at : at + MAX_REGIONS], replica_read=False)
        for store_id, mine in sorted(by_store.items())
        for at in range(0, len(mine), MAX_REGIONS)
    ]


async def region_parts(cluster: Cluster, ranges: Sequence[KeyRange], backoff: Backoff) -> list[RegionPart]:
    """The regions that meet `ranges` in key order, each with what is wanted of it."""
    wanted = union(ranges)
    regions: dict[int, CachedRegion] = {}
    for start, end in wanted:
        for region in await cluster.regions.locate_range(storage_bound(start), storage_bound(end), backoff):
            regions[region.id] = region
    return [RegionPart(region, clip(wanted, region.user_start, region.user_end)) for region in regions.values()]


def _whole(cluster: Cluster, parts: Sequence[RegionPart], avoid: Collection[int]) -> StoreTask:
    if len(parts) > MAX_REGIONS:
        raise WholeNotPossible(f"the ranges lie in {len(parts)} regions; one request takes {MAX_REGIONS}")
    common = set.intersection(*[voter_stores(part.region) for part in parts])
    if not common:
        raise WholeNotPossible(f"no store has a replica of all {len(parts)} regions")
    leaders = Counter(part.region.leader.store_id for part in parts)
    best = cluster.mirror_sites.choose(
        [store for store in common if store not in avoid] or common, [part.region.id for part in parts], leaders
    )
    return StoreTask(best, parts, replica_read=True)


def voter_stores(region: CachedRegion) -> set[int]:
    """The stores that have a replica. Learners are left out: they may still be catching up."""
    return {peer.store_id for peer in region.region.peers if peer.role != metapb.Learner}
