"""What each region error teaches the cache, and how long to wait before the request is sent again.

NotLeader with a hint      take the hinted peer, at once
NotLeader without          try the next peer
EpochNotMatch              take the regions it carries, at once; if they are older than ours the store lags: wait
ServerIsBusy and its kin   wait; nothing was wrong with the address
RaftEntryTooLarge          raised: no second try can help
everything else            look the region up again
"""

from __future__ import annotations

from rutile_kv.client.backoff import (
    LEADER_MOVED,
    LEADER_UNKNOWN,
    NOT_READY,
    REGION_MOVED,
    STORE_BUSY,
    BackoffKind,
)
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_proto.errors import EpochNotMatch, NotLeader, RegionError, Retry, ServerIsBusy


def correct(error: RegionError, region: CachedRegion, cache: RegionCache) -> BackoffKind:
    """Correct the cache after `region` rejected a request; how to wait before the next. Raises what is hopeless."""
    if error.retry is Retry.NEVER:
        raise error
    return _learn(error, region, cache)


def _learn(error: RegionError, region: CachedRegion, cache: RegionCache) -> BackoffKind:
    if isinstance(error, NotLeader):
        return _leader_changed(error, region, cache)
    if isinstance(error, EpochNotMatch):
        return _epoch_changed(error, region, cache)
    if error.retry is Retry.BACK_OFF:
        return STORE_BUSY if isinstance(error, ServerIsBusy) else NOT_READY
    cache.forget(region)
    return REGION_MOVED


def _leader_changed(error: NotLeader, region: CachedRegion, cache: RegionCache) -> BackoffKind:
    if error.leader is not None and error.leader.id:
        cache.leader_is(region, error.leader)
        return LEADER_MOVED
    cache.try_next_peer(region)
    return LEADER_UNKNOWN


def _epoch_changed(error: EpochNotMatch, region: CachedRegion, cache: RegionCache) -> BackoffKind:
    current = [each for each in error.current_regions if each.peers]
    if not current:
        cache.forget(region)
        return REGION_MOVED
    if all(_behind(each.region_epoch.version, each.region_epoch.conf_ver, region) for each in current):
        return NOT_READY
    cache.forget(region)
    for each in current:
        # After a split the new regions are led, as a rule, from the store that led the old one.
        same_store = next((peer for peer in each.peers if peer.store_id == region.leader.store_id), None)
        cache.learn(each, same_store)
    return REGION_MOVED


def _behind(version: int, conf_ver: int, region: CachedRegion) -> bool:
    return (version, conf_ver) < region.epoch
