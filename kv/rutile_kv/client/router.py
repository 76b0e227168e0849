"""From user keys to regions: one key's call repeated until it arrives, many keys cut into one group a region."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.sender import Missed, RegionSender
from rutile_proto.keys import storage_key


class Router:
    """What every operation stands on: the region cache and the sender."""

    def __init__(self, regions: RegionCache, sender: RegionSender) -> None:
        self.regions = regions
        self.sender = sender

    async def call(self, key: bytes, method: str, build: Callable[[CachedRegion], Any], backoff: Backoff) -> Any:
        """The answer of the region that holds the user key. The request is built again for each try.

        Only for what may be executed twice: reads and idempotent commands.
        """
        place = storage_key(key)
        while True:
            region = await self.regions.locate(place, backoff)
            answer = await self.sender.send(region, method, build(region), backoff)
            if not isinstance(answer, Missed):
                return answer
            await answer.wait(backoff)

    async def group(self, keys: Sequence[bytes], backoff: Backoff) -> list[tuple[CachedRegion, Sequence[bytes]]]:
        """Sorted user keys cut into runs of one region each, in order.

        User keys compare as their storage forms do, so only the first key of each run is encoded.
        """
        groups = []
        at = 0
        while at < len(keys):
            region = await self.regions.locate(storage_key(keys[at]), backoff)
            upto = bisect_left(keys, region.user_end, lo=at) if region.user_end else len(keys)
            groups.append((region, keys[at:upto]))
            at = upto
        return groups
