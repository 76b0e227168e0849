"""Ranges of raw keys, over many regions.

As with transactional scans the position is always a key, never a region, so that nothing is lost or repeated when
regions split, move or change leaders in between. Raw keys lie among the regions as they are, without an encoding.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import is_empty, lesser_end
from rutile_kv.client.raw_context import context_of
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.scanner import FIRST_LIMITED_ROWS, FIRST_PAGE_ROWS, next_rows
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb


async def each_region(
    cluster: Cluster,
    start: bytes,
    end: bytes,
    act: Callable[[CachedRegion, bytes, bytes, Backoff], Awaitable[Missed | None]],
    budget: Callable[[], Backoff],
) -> None:
    """Do `act` for the part of [start, end) in each region, from left to right, each with a budget of its own."""
    while not is_empty(start, end):
        backoff = budget()
        while True:
            region = await cluster.regions.locate(start, backoff)
            missed = await act(region, start, lesser_end(end, region.end), backoff)
            if missed is None:
                break
            await missed.wait(backoff)
        if not region.end:
            return
        start = region.end


class RawPages:
    """Scans of one family, in one direction."""

    def __init__(self, cluster: Cluster, cf: str, reverse: bool, key_only: bool) -> None:
        self._cluster = cluster
        self._cf = cf
        self._reverse = reverse
        self._key_only = key_only

    async def scan(self, start: bytes, end: bytes, limit: int | None) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """The pairs of [start, end) in pages, none of them empty, `limit` pairs in all."""
        page_rows = FIRST_PAGE_ROWS if limit is None else FIRST_LIMITED_ROWS
        left = None if limit is None else max(0, limit)
        while left != 0 and not is_empty(start, end):
            wanted = page_rows if left is None else min(left, page_rows)
            page, region = await self._page(start, end, wanted)
            if page:
                yield page
            page_rows = next_rows(page_rows, page)
            left = None if left is None else left - len(page)
            border = self._border(page, wanted, region)
            if not border:
                return
            start, end = (start, border) if self._reverse else (border, end)

    def _border(self, page: list[tuple[bytes, bytes]], wanted: int, region: CachedRegion) -> bytes:
        """Up to where all has been read; empty when nothing can be left. A short page was the last of its region."""
        if len(page) < wanted:
            return region.start if self._reverse else region.end
        last = page[-1][0]
        return last if self._reverse else last + b"\0"

    async def _page(self, start: bytes, end: bytes, wanted: int) -> tuple[list[tuple[bytes, bytes]], CachedRegion]:
        """The pairs of one RPC, and the region that gave them."""
        backoff = self._cluster.read_backoff("raw scan")
        while True:
            region = await self._region(start, end, backoff)
            request = self._request(region, start, end, wanted)
            answer = await self._cluster.sender.send(region, "RawScan", request, backoff)
            if not isinstance(answer, Missed):
                return [(pair.key, pair.value) for pair in answer.kvs], region
            await answer.wait(backoff)

    async def _region(self, start: bytes, end: bytes, backoff: Backoff) -> CachedRegion:
        if self._reverse:
            return await self._cluster.regions.locate_before(end, backoff)
        return await self._cluster.regions.locate(start, backoff)

    def _request(self, region: CachedRegion, start: bytes, end: bytes, wanted: int) -> kvrpcpb.RawScanRequest:
        """The part of [start, end) in `region`; a reverse scan names the upper bound first (wire.md 7.2)."""
        low, high = max(start, region.start), lesser_end(end, region.end)
        first, last = (high, low) if self._reverse else (low, high)
        return kvrpcpb.RawScanRequest(
            context=context_of(region),
            start_key=first,
            end_key=last,
            limit=wanted,
            key_only=self._key_only,
            reverse=self._reverse,
            cf=self._cf,
        )
