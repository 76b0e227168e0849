"""Splitting regions where the caller knows best: before a load, or at a new table's border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rutile_kv.client.backoff import PD_FAILED, REGION_MOVED, Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import PdError, RegionNotFound
from rutile_proto.keys import storage_key

MAX_SPLIT_KEYS = 256
"""Split keys in one request: one Raft entry makes as many regions."""


async def split_regions(cluster: Cluster, user_keys: Iterable[bytes], timeout_s: float) -> list[metapb.Region]:
    """The regions that begin at the keys, made if they were not there. RetriesExhausted if that takes too long."""
    backoff = Backoff("split regions", timeout_s, cluster.pace)
    keys = sorted(set(user_keys))
    await _ask_again(cluster, keys, backoff)
    while True:
        missing = [key for key in keys if (await _region(cluster, key, backoff)).user_start != key]
        if not missing:
            return [(await _region(cluster, key, backoff)).region for key in keys]
        for region, some in await cluster.router.group(missing, backoff):
            await _split(cluster, region, some[:MAX_SPLIT_KEYS], backoff)


async def wait_for_regions(cluster: Cluster, user_keys: Iterable[bytes], timeout_s: float) -> None:
    """Wait until the placement driver knows regions that begin at the keys, and their leaders.

    RetriesExhausted after `timeout_s` seconds. For tools that act through the placement driver next.
    """
    backoff = Backoff("wait for regions", timeout_s, cluster.pace)
    for key in user_keys:
        place = storage_key(key)
        while True:
            info = await cluster.pd.get_region(place, backoff)
            if info is not None and info.region.start_key == place and info.leader is not None:
                break
            await backoff.wait(PD_FAILED, PdError(f"no region that begins at {key.hex()} is reported yet"))


async def _ask_again(cluster: Cluster, keys: Iterable[bytes], backoff: Backoff) -> None:
    """A border known from some time ago may have gone in a merge: the placement driver knows."""
    for key in keys:
        known = cluster.regions.peek(storage_key(key))
        if known is not None and known.user_start == key:
            info = await cluster.pd.get_region(storage_key(key), backoff)
            if info is not None:
                cluster.regions.learn(info.region, info.leader)


async def _region(cluster: Cluster, key: bytes, backoff: Backoff) -> CachedRegion:
    return await cluster.regions.locate(storage_key(key), backoff)


async def _split(cluster: Cluster, region: CachedRegion, keys: Sequence[bytes], backoff: Backoff) -> None:
    inside = [key for key in keys if key != region.user_start]  # one may have become a border since it was missed
    if not inside:
        return
    request = kvrpcpb.SplitRegionRequest(context=region.context(), split_keys=inside)
    answer = await cluster.sender.send(region, "SplitRegion", request, backoff)
    if isinstance(answer, Missed):
        await answer.wait(backoff)
        return
    cluster.regions.forget(region)
    for made in answer.regions:
        cluster.regions.learn(made, CachedRegion.of(made, None).peer_on(region.leader.store_id))
    if not answer.regions:
        await backoff.wait(REGION_MOVED, RegionNotFound(region.id))
