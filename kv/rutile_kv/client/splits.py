"""Splitting regions where the caller knows best: before a load, or at a new table's border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import grpc

from rutile_kv.client.backoff import PD_FAILED, REGION_MOVED, Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.pd import RegionInfo
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest, PdError, RegionNotFound
from rutile_proto.keys import storage_bound, storage_key

MAX_SPLIT_KEYS = 256
"""Split keys in one request: one Raft entry makes as many regions."""
MAX_SCATTERED = 64
"""Regions in one request to spread them."""
MAX_DESCRIBED = 1024
"""Regions in one request for their figures."""


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


async def regions_in(cluster: Cluster, start: bytes, end: bytes) -> list[RegionInfo]:
    """The regions that meet [start, end) of user keys, in key order, as the placement driver knows them."""
    low, high = storage_bound(start), storage_bound(end)
    found: list[RegionInfo] = []
    while True:
        page = await cluster.pd.scan_regions(low, high)
        found += page
        low = page[-1].region.end_key if page else b""
        if not low or (high and low >= high):
            return found


async def region_figures(cluster: Cluster, region_ids: Sequence[int]) -> dict[int, pdadminpb.RegionFigures]:
    """What the placement driver knows of these regions beyond where they are, by id; nothing from one that is not ours
    and does not tell."""
    backoff = Backoff("describe regions", cluster.options.pd_budget_s, cluster.pace)
    figures: dict[int, pdadminpb.RegionFigures] = {}
    for first in range(0, len(region_ids), MAX_DESCRIBED):
        request = pdadminpb.DescribeRegionsRequest(region_ids=region_ids[first : first + MAX_DESCRIBED])
        try:
            answer = await cluster.pd.call("DescribeRegions", request, backoff)
        except InvalidRequest as error:
            if isinstance(error.__cause__, grpc.RpcError) and error.__cause__.code() is grpc.StatusCode.UNIMPLEMENTED:
                return {}
            raise
        figures |= {each.region.region.id: each for each in answer.regions}
    return figures


async def scatter_regions(cluster: Cluster, user_keys: Iterable[bytes], group: str) -> float:
    """The share of the regions beginning at the keys that the placement driver has begun to spread; 1 of none."""
    backoff = Backoff("scatter regions", cluster.options.pd_budget_s, cluster.pace)
    ids = [(await _region(cluster, key, backoff)).id for key in user_keys]
    failed = 0
    for first in range(0, len(ids), MAX_SCATTERED):
        request = pdpb.ScatterRegionRequest(regions_id=ids[first : first + MAX_SCATTERED], group=group)
        failed += len((await cluster.pd.call("ScatterRegion", request, backoff)).failed_regions_id)
    return 1 - failed / len(ids) if ids else 1.0


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
