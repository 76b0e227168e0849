"""Where the parts of a large scan are fetched: from the replicas, spread evenly over the stores that have them.

Any voter of a region can serve its part, a follower after asking its leader how far it has to be. So the regions are
dealt out, in key order, each to the store that has the fewest so far: three stores share a table whose leaders are all
on one of them. The same regions are dealt out the same way every time, so that each store's mirror stays of use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.fragment_plan import RegionPart, region_parts
from rutile_kv.client.key_ranges import KeyRange, union
from rutile_proto import metapb_pb2 as metapb

FLIGHT_LABEL = "rutile-flight"
"""The label under which the placement driver knows a store's Flight location, as Flight writes locations."""


@dataclass(frozen=True, slots=True)
class ScanPart:
    """Ranges of user keys, and the Flight location of a store with replicas of them; None if there is none."""

    ranges: Sequence[KeyRange]
    location: str | None


async def scan_parts(cluster: Cluster, ranges: Sequence[KeyRange]) -> list[ScanPart]:
    """The parts that `ranges` fall into, none if there is nothing to read. What no location has is one part."""
    wanted = union(ranges)
    if not wanted:
        return []
    backoff = cluster.read_backoff("parts of a scan")
    for known in await region_parts(cluster, wanted, backoff):
        cluster.regions.forget(known.region)  # nothing else would tell this client of regions cut since: ask for them
    regions = await region_parts(cluster, wanted, backoff)
    locations = await flight_locations(cluster)
    parts: dict[str | None, list[KeyRange]] = {}
    dealt: dict[int, int] = dict.fromkeys(locations, 0)
    for region in regions:
        store_id = _next_store(region, dealt)
        location = None if store_id is None else locations[store_id]
        parts.setdefault(location, []).extend(region.ranges)
        if store_id is not None:
            dealt[store_id] += 1
    return [ScanPart(union(mine), location) for location, mine in parts.items()]


async def flight_locations(cluster: Cluster) -> dict[int, str]:
    """The Flight locations of the stores that have one, by store id."""
    return {store.id: found for store in await cluster.pd.all_stores() if (found := _location(store))}


def _next_store(part: RegionPart, dealt: Mapping[int, int]) -> int | None:
    """The store with the fewest regions of those that have a voter of this one; its leader's, if several have."""
    leader = part.region.leader.store_id
    voters = {peer.store_id for peer in part.region.region.peers if peer.role != metapb.Learner}
    return min(sorted(voters & dealt.keys()), key=lambda each: (dealt[each], each != leader), default=None)


def _location(store: metapb.Store) -> str | None:
    return next((label.value for label in store.labels if label.key == FLIGHT_LABEL), None)
