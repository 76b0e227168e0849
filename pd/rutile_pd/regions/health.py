"""Regions that are not as they should be, by what is wrong: kept up with every report, so that asking costs nothing."""

import enum

from rutile_pd.regions.indexed_set import IndexedSet
from rutile_pd.regions.region_info import RegionInfo


class Trouble(enum.StrEnum):
    """What `region check` shows, under pd-ctl's names."""

    DOWN_PEER = "down-peer"
    PENDING_PEER = "pending-peer"
    MISS_PEER = "miss-peer"
    EXTRA_PEER = "extra-peer"
    LEARNER_PEER = "learner-peer"
    EMPTY_REGION = "empty-region"
    NO_LEADER = "no-leader"


class RegionHealth:
    """The ids of regions by trouble."""

    def __init__(self) -> None:
        self._found = {trouble: IndexedSet() for trouble in Trouble}
        self._ill: dict[int, tuple[Trouble, ...]] = {}

    def note(self, region: RegionInfo, wanted_peers: int) -> None:
        """A region was reported; the rules want so many peers of it."""
        found = _troubles(region, wanted_peers)
        known = self._ill.get(region.id, ())
        if found == known:
            return
        self.forget(region.id)
        for trouble in found:
            self._found[trouble].add(region.id)
        if found:
            self._ill[region.id] = found

    def forget(self, region_id: int) -> None:
        """The region is no more."""
        for trouble in self._ill.pop(region_id, ()):
            self._found[trouble].discard(region_id)

    def count(self, trouble: Trouble) -> int:
        """How many regions have it."""
        return len(self._found[trouble])

    def with_trouble(self, trouble: Trouble, limit: int) -> list[int]:
        """Ids of up to `limit` regions that have it, rising."""
        found = self._found[trouble]
        return sorted(found[place] for place in range(min(limit, len(found))))


def _troubles(region: RegionInfo, wanted_peers: int) -> tuple[Trouble, ...]:
    count = len(region.peers)
    if (
        count == wanted_peers
        and region.approximate_keys
        and region.leader is not None
        and not region.down
        and not region.pending
        and not any(peer.is_learner for peer in region.peers)
    ):
        return ()
    signs = (
        (Trouble.DOWN_PEER, bool(region.down)),
        (Trouble.PENDING_PEER, bool(region.pending)),
        (Trouble.MISS_PEER, count < wanted_peers),
        (Trouble.EXTRA_PEER, count > wanted_peers),
        (Trouble.LEARNER_PEER, any(peer.is_learner for peer in region.peers)),
        (Trouble.EMPTY_REGION, region.approximate_keys == 0),
        (Trouble.NO_LEADER, region.leader is None),
    )
    return tuple(trouble for trouble, is_so in signs if is_so)
