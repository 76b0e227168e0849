"""From user keys to regions: one key's call repeated until it arrives, many keys cut into one group a region."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.replicas import Aim
from rutile_kv.client.sender import Missed, RegionSender
from rutile_proto.keys import storage_key


class Router:
    """What every operation stands on: the region cache and the sender.

    `place` says where a user key lies among the regions: transactional keys at their storage form, raw keys where they
    are. It keeps the order of keys.
    """

    def __init__(
        self, regions: RegionCache, sender: RegionSender, place: Callable[[bytes], bytes] = storage_key
    ) -> None:
        self.regions = regions
        self.sender = sender
        self._place = place

    async def call(
        self,
        key: bytes,
        method: str,
        build: Callable[[CachedRegion], Any],
        backoff: Backoff,
        aim: Aim | None = None,
    ) -> Any:
        """The answer of the region that holds the user key. The request is built again for each try.

        Only for what may be executed twice: reads and idempotent commands. Reads may `aim` at others than the leader.
        """
        place = self._place(key)
        while True:
            region = await self.regions.locate(place, backoff)
            if aim is not None:
                region = await aim.target(region, backoff)
            answer = await self.sender.send(region, method, build(region), backoff)
            if not isinstance(answer, Missed):
                return answer
            if aim is not None:
                aim.missed(region)
            await answer.wait(backoff)

    async def group(self, keys: Sequence[bytes], backoff: Backoff) -> list[tuple[CachedRegion, Sequence[bytes]]]:
        """Sorted user keys cut into runs of one region each, in order.

        User keys compare as their places do, so only a few keys of each run are encoded.
        """
        groups = []
        at = 0
        while at < len(keys):
            region = await self.regions.locate(self._place(keys[at]), backoff)
            upto = bisect_left(keys, region.end, lo=at, key=self._place) if region.end else len(keys)
            groups.append((region, keys[at:upto]))
            at = upto
        return groups
