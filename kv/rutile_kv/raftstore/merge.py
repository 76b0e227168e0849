"""What merging makes of regions: pure functions on metapb.Region, and the rules two regions have to fit.

A region, the source, becomes a part of its right neighbour, the target, in two steps, each an entry of one log:

    source's log   PrepareMerge(target)     from here on the source takes no requests; its log ends here
    target's log   CommitMerge(source)      every replica finishes the source's log, and owns its keys from here on
                   ... or its range or its members changed before: then the merge is off
    source's log   RollbackMerge            the source takes requests again

Only the left of two neighbours becomes a part of the right one. So the end of a region never changes as long as it
lives (a split leaves the old id the last part), and who remembers a region from some time ago knows where it ended.
Nothing is lost by it: no data moves in a merge, whichever side is called the source.
"""

from collections.abc import Sequence

from rutile_kv.raftstore.region_change import copy_region, find_peer_on_store, is_epoch_stale, is_joint
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest

MAX_ABSORBED = 4096
"""Of how many regions that merged into it a region remembers the ids: the newest."""


def check_merge(source: metapb.Region, target: metapb.Region) -> None:
    """Raises InvalidRequest unless `source` is the left neighbour of `target`, with peers of the same roles on the same
    stores and no change of members under way."""
    if not source.end_key or source.end_key != target.start_key:
        raise InvalidRequest(
            f"region {source.id} cannot merge into {target.id}: a region merges into its right neighbour only;"
            f" ask the left one of the two to merge into the right one"
        )
    if is_joint(source) or is_joint(target):
        raise InvalidRequest(f"regions {source.id} and {target.id}: a change of members is under way, merge after it")
    if len(source.peers) != len(target.peers) or not all(_has_counterpart(peer, target) for peer in source.peers):
        raise InvalidRequest(
            f"regions {source.id} and {target.id} have peers on different stores: move them together first"
        )


def _has_counterpart(peer: metapb.Peer, region: metapb.Region) -> bool:
    other = find_peer_on_store(region, peer.store_id)
    return other is not None and other.role == peer.role


def prepared(source: metapb.Region) -> metapb.Region:
    """The source once it is prepared. A new epoch in both parts: nothing proposed before takes effect after."""
    changed = copy_region(source)
    changed.region_epoch.version += 1
    changed.region_epoch.conf_ver += 1
    return changed


def rolled_back(source: metapb.Region) -> metapb.Region:
    """The prepared source once the merge is off."""
    changed = copy_region(source)
    changed.region_epoch.version += 1
    return changed


def merged(target: metapb.Region, source: metapb.Region) -> metapb.Region:
    """The target with the keys of the (prepared) source. Its version is above that of both, so that it replaces both in
    every cache."""
    changed = copy_region(target)
    changed.start_key = source.start_key
    changed.region_epoch.version = max(source.region_epoch.version, target.region_epoch.version) + 1
    return changed


def is_refused(target: metapb.Region, now: metapb.RegionEpoch) -> bool:
    """True if a merge into `target` cannot come about any more: its epoch has moved on to `now` in its own log, and
    CommitMerge takes effect at the epoch that the source was prepared for or not at all."""
    return is_epoch_stale(target.region_epoch, now)


def absorbed_with(target_ids: Sequence[int], source_id: int, source_ids: Sequence[int]) -> tuple[int, ...]:
    """What the target has absorbed once it has absorbed the source: also everything the source had."""
    gone = dict.fromkeys([*target_ids, *source_ids, source_id])
    return tuple(gone)[-MAX_ABSORBED:]
