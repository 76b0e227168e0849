"""Having every store make its columnar mirror of a table now, replica by replica, before queries come.

A whole query is run by any store that has all the regions it reads, and the columns it finds there decoded are what
makes it fast. Another client cannot know which store that is, so all of them are asked: each reads its own replicas of
the regions, leader or not, one after the other, with a fragment that costs nothing beside. Nothing but time depends on
the outcome: what a store could not or would not do, the first query does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.coprocessor import FragmentRun, with_ranges
from rutile_kv.client.fragment_plan import RegionPart, StoreTask, region_parts, voter_stores
from rutile_kv.client.key_ranges import KeyRange, union
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)


ROUNDS = 3
"""A replica that cannot be read, because its region has just changed or its store is away, is tried again so often."""


async def warm_mirrors(
    cluster: Cluster,
    fragment: rutilepb.Fragment,
    ranges: Mapping[str, Sequence[KeyRange]],
    ts: int,
    timeout_s: float,
) -> None:
    """Run a small fragment over every replica of `ranges`; returns when all stores have, or failed to, which the log
    tells. Raises RetriesExhausted if the regions cannot be found out."""
    backoff = Backoff("warm mirrors", timeout_s, cluster.pace)
    ready, wanted = with_ranges(fragment, ranges), union(each for some in ranges.values() for each in some)
    done: set[tuple[int, int, int]] = set()
    """Stores, and the regions in their versions that they have read."""
    for _ in range(ROUNDS):
        left: dict[int, list[RegionPart]] = {}
        for part in await _parts_anew(cluster, wanted, backoff):
            for store_id in sorted(voter_stores(part.region)):
                if _read(store_id, part) not in done:
                    left.setdefault(store_id, []).append(part)
        jobs = [
            _warm(FragmentRun(cluster, ready, ts, "per_store", backoff.fork(), float("inf")), store_id, mine, done)
            for store_id, mine in left.items()
        ]
        if all(await asyncio.gather(*jobs)):
            return


async def _parts_anew(cluster: Cluster, ranges: Sequence[KeyRange], backoff: Backoff) -> list[RegionPart]:
    """As the placement driver knows them: a replica that moved is missed by nobody who only reads."""
    for part in await region_parts(cluster, ranges, backoff):
        cluster.regions.forget(part.region)
    return await region_parts(cluster, ranges, backoff)


async def _warm(run: FragmentRun, store_id: int, parts: Sequence[RegionPart], done: set[tuple[int, int, int]]) -> bool:
    """Whether the store has read all the parts. Ends at the first that another store had to be asked for."""
    for part in parts:
        try:
            async with aclosing(run.pages(StoreTask(store_id, [part], replica_read=True))) as pages:
                readers = {page.summary.store_id async for page in pages if page.HasField("summary")}
        except RutileError as error:
            log.info("store %d does not make its mirror of %d regions: %s", store_id, len(parts), error)
            return True
        if readers != {store_id}:
            log.info("store %d did not serve region %d for its mirror", store_id, part.region.id)
            return False
        done.add(_read(store_id, part))
    return True


def _read(store_id: int, part: RegionPart) -> tuple[int, int, int]:
    return store_id, part.region.id, part.region.region.region_epoch.version
