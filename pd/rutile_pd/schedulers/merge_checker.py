"""Merges small regions into a neighbour, so that what was deleted does not leave thousands of empty regions behind.

A region is small if neither its size nor its keys exceed the limits, and it must not have been split for
`split_merge_interval_s`. It goes together with the smaller neighbour of the two that may: under the same placement
rules (nobody splits it again right away), healthy, of the same table unless tables may mix, and not so large that the
sum is soon to be split. Of the two, the left one is the source, which becomes a part of the right one, the target:
stores merge in no other direction (docs/decisions/region-merge.md). First the source's peers move to the target's
stores, for a merge is done in place, on each store; then the order to merge is given. Both regions have an operator
until the target covers the source, which is how PD sees that it happened.
"""

from rutile_pd.config import MIB
from rutile_pd.operators.moves import Wanted, steps_to
from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.range_steps import MergeInto, TakeIn
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers.view import View
from rutile_proto.codec import decode_bytes
from rutile_proto.errors import MalformedEncoding
from rutile_proto.keys import TABLE_PREFIX, TABLE_PREFIX_LENGTH

TARGET_FACTOR = 4
"""The merged region holds at most so many times what makes a region small."""


def check(region: RegionInfo, view: View) -> list[Operator]:
    """The operators for the region and its target; none if it need not or cannot be merged."""
    if not _is_small(region, view) or view.room_for(Kind.MERGE) < 2 or not _is_ready(region, view):
        return []
    neighbours = [view.regions.left_of(region), view.regions.right_of(region)]
    fit_ones = [each for each in neighbours if each is not None and may_merge(region, each, view)]
    if not fit_ones:
        return []
    partner = min(fit_ones, key=lambda each: (each.approximate_size_bytes, each.id))
    return operators(region, partner, "merge small regions", Kind.MERGE, view)


def operators(one: RegionInfo, other: RegionInfo, reason: str, kind: Kind, view: View) -> list[Operator]:
    """Both operators of a merge of two neighbours; none if the left one's peers cannot be moved to the right one's
    stores now."""
    source, target = (one, other) if one.start_key < other.start_key else (other, one)
    roles = {peer.store_id: peer.role for peer in target.peers}
    leaders = [region.leader.store_id for region in (source, target) if region.leader is not None]
    moves = steps_to(source, Wanted(roles, (*leaders[:1], *view.heirs(source), *leaders[1:])), view.ids.take)
    if moves is None:
        return []
    return [
        view.operator(source, reason, (*moves, MergeInto(target)), kind),
        view.operator(target, reason, (TakeIn(source),), kind),
    ]


def _is_small(region: RegionInfo, view: View) -> bool:
    limit = view.config.max_merge_region_size_mib * MIB
    return (
        limit > 0
        and region.approximate_size_bytes <= limit
        and region.approximate_keys <= view.config.max_merge_region_keys
    )


def _is_ready(region: RegionInfo, view: View) -> bool:
    """Healthy, in the shape its rules want, with nothing going on, and no split in its recent past."""
    keep_ms = view.config.split_merge_interval_s * 1000
    is_recent = view.recent.is_recent(region.id, keep_ms, view.now_ms)
    return view.is_free(region) and not is_recent and view.fit(region).is_satisfied


def may_merge(source: RegionInfo, target: RegionInfo, view: View) -> bool:
    """Whether the two, which touch, may become one."""
    size = source.approximate_size_bytes + target.approximate_size_bytes
    keys = source.approximate_keys + target.approximate_keys
    config = view.config
    return (
        _is_ready(target, view)
        and size <= TARGET_FACTOR * config.max_merge_region_size_mib * MIB
        and keys <= TARGET_FACTOR * config.max_merge_region_keys
        and view.rules_of(source) == view.rules_of(target)
        and not view.rules.borders_within(*_joined(source, target))
        and (config.enable_cross_table_merge or table_of(source.start_key) == table_of(target.start_key))
    )


def _joined(one: RegionInfo, other: RegionInfo) -> tuple[bytes, bytes]:
    left, right = (one, other) if one.start_key < other.start_key else (other, one)
    return left.start_key, right.end_key


def table_of(storage_key: bytes) -> bytes:
    """What tells tables apart in a storage key: the first bytes of its user key; empty outside of tables."""
    try:
        user_key, _ = decode_bytes(storage_key)
    except MalformedEncoding:
        return b""
    return user_key[:TABLE_PREFIX_LENGTH] if user_key.startswith(TABLE_PREFIX) else b""
