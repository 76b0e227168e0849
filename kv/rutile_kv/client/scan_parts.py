"""Where the parts of a large scan are fetched: one part for each store that leads some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.fragment_plan import plan
from rutile_kv.client.key_ranges import KeyRange, union
from rutile_proto import metapb_pb2 as metapb

FLIGHT_LABEL = "rutile-flight"
"""The label under which the placement driver knows a store's Flight location, as Flight writes locations."""


@dataclass(frozen=True, slots=True)
class ScanPart:
    """Ranges of user keys, and the Flight location of the store that leads them; None if it has none."""

    ranges: Sequence[KeyRange]
    location: str | None


async def scan_parts(cluster: Cluster, ranges: Sequence[KeyRange]) -> list[ScanPart]:
    """The parts that `ranges` fall into, none if there is nothing to read. Parts without a location are one."""
    wanted = union(ranges)
    if not wanted:
        return []
    tasks = await plan(cluster, wanted, "per_store", cluster.read_backoff("parts of a scan"))
    locations = {store.id: _location(store) for store in await cluster.pd.all_stores()}
    parts: dict[str | None, list[KeyRange]] = {}
    for task in tasks:
        parts.setdefault(locations.get(task.store_id), []).extend(task.ranges)
    return [ScanPart(union(mine), location) for location, mine in parts.items()]


def _location(store: metapb.Store) -> str | None:
    return next((label.value for label in store.labels if label.key == FLIGHT_LABEL), None)
