"""Raw scans that came to the wrong place, answered all the same.

The Python wheels take a region error in a RawScan's answer for an empty page, and lose rows in silence; a gRPC error
ends the user's scan at once; and no scan ever makes them look a region up again (wire.md 6.1, read in their source). So
when a region has split, moved or lost its leader since such a client cached it, the store reads for it.

What the client expects is one page of the region it has in mind: short of the limit it will go on at that region's end,
which the request does not tell. But it can be known. Regions are split so that the old id keeps the last part, and they
merge only into their right neighbours (`raftstore.merge`): the end of region R is the same in all its versions, and
stores remember it of regions that have merged. So the page is

    [start_key, the end of R or the request's own end, whichever is less), up to the limit

collected by our client from whichever stores lead there. The lower end of a region does change with splits, so reverse
scans get the region error; the wheels have none, and the clients that do know what to do with it.
"""

from __future__ import annotations

import asyncio

from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import lesser_end
from rutile_kv.client.raw import RawClient
from rutile_kv.server.region_store import RegionStore
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import PdError

BUDGET_SECONDS = 1.7
"""What a page may take: the wheels wait two seconds for an answer (wire.md 2)."""


class RawScanRelay:
    """Answers scans from other stores, or other regions, than the one that was asked."""

    def __init__(self, cluster: Cluster, kv: RegionStore) -> None:
        """`cluster` should allow its reads BUDGET_SECONDS."""
        self._cluster = cluster
        self._kv = kv

    async def scan(self, request: kvrpcpb.RawScanRequest) -> list[tuple[bytes, bytes]]:
        """The page that `request` asks for. Raises TimeoutError, RetriesExhausted or PdError, which abort the call: an
        error is better than rows lost."""
        raw = RawClient(self._cluster, request.cf or "default")
        async with asyncio.timeout(BUDGET_SECONDS):
            end = lesser_end(request.end_key, await self._end_of(request.context.region_id))
            return await raw.scan(request.start_key, end, request.limit, key_only=request.key_only)

    async def _end_of(self, region_id: int) -> bytes:
        """Where the region ends, in all its versions."""
        region = self._kv.region(region_id) or self._kv.former_region(region_id)
        if region is not None:
            return region.end_key
        info = await self._cluster.pd.get_region_by_id(region_id, self._cluster.read_backoff("find a region"))
        if info is None:
            raise PdError(f"region {region_id} is nowhere any more: where the client's page ends cannot be told")
        return info.region.end_key
