"""Scanning over many regions in pages.

The position is always a user key, never a region: after each page the next region is looked up again, so splits, merges
and leader moves between pages cannot lose or repeat a row. Within a page the region's epoch guards the same: a request
carries the range the cache believes in, and a store whose region has changed since refuses it. A page shorter than
asked for means that the requested part of the region is exhausted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import is_empty, lesser_end
from rutile_kv.client.lock_resolver import lock_of
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.replicas import Aim
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import LockFacts
from rutile_proto.keys import storage_bound
from rutile_proto.types import Timestamp

FIRST_PAGE_ROWS = 256
FIRST_LIMITED_ROWS = 1024
MAX_PAGE_ROWS = 8192
"""Pages double up to the last size: short scans stay cheap, long ones take few RPCs. A limit says more about what the
caller wants, so its first page may be larger."""
PAGE_BYTES = 4 << 20
"""Where rows turn out to be large, pages shrink to about this size."""


class ScanReader(Protocol):
    """The snapshot that is scanned."""

    ts: Timestamp
    aim: Aim

    def context(self, region: CachedRegion) -> kvrpcpb.Context: ...

    async def pass_locks(self, locks: Sequence[LockFacts], backoff: Backoff) -> None: ...


@dataclass(slots=True)
class _Range:
    """What is left of [start, end); shrinks from the side the scan comes from."""

    start: bytes
    end: bytes
    reverse: bool
    done: bool = False

    async def region(self, cluster: Cluster, backoff: Backoff) -> CachedRegion:
        """The region to read next."""
        if self.reverse:
            return await cluster.regions.locate_before(storage_bound(self.end), backoff)
        return await cluster.regions.locate(storage_bound(self.start), backoff)

    def within(self, region: CachedRegion) -> tuple[bytes, bytes]:
        """The part of the range that lies in `region`."""
        return max(self.start, region.user_start), lesser_end(self.end, region.user_end)

    def read_upto(self, key: bytes) -> None:
        """Everything up to and including `key` was returned."""
        if self.reverse:
            self._set(self.start, key)
        else:
            self._set(key + b"\0", self.end)

    def read_all_of(self, region: CachedRegion) -> None:
        """Everything that lies in `region` was returned."""
        border = region.user_start if self.reverse else region.user_end
        if not border:
            self.done = True
        elif self.reverse:
            self._set(self.start, border)
        else:
            self._set(border, self.end)

    def _set(self, start: bytes, end: bytes) -> None:
        self.start, self.end = start, end
        self.done = is_empty(start, end)


async def scan_pages(
    cluster: Cluster, reader: ScanReader, start: bytes, end: bytes, limit: int | None, *, reverse: bool, key_only: bool
) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """The pairs of [start, end) in pages, none of them empty, `limit` pairs in all."""
    left = _Range(start, end, reverse, done=is_empty(start, end) or limit == 0)
    page_rows = FIRST_PAGE_ROWS if limit is None else FIRST_LIMITED_ROWS
    while not left.done:
        wanted = page_rows if limit is None else min(limit, page_rows)
        page = await _next_page(cluster, reader, left, wanted, key_only)
        page_rows = next_rows(page_rows, page)
        if page:
            yield page
        if limit is not None:
            limit -= len(page)
            left.done = left.done or limit <= 0


async def _next_page(
    cluster: Cluster, reader: ScanReader, left: _Range, wanted: int, key_only: bool
) -> list[tuple[bytes, bytes]]:
    """The rows of one RPC, and `left` without them. Empty when a region ended, or its first row was locked."""
    backoff = cluster.read_backoff("scan")
    while True:
        region = await reader.aim.target(await left.region(cluster, backoff), backoff)
        request = _request(reader, region, left, wanted, key_only)
        answer = await cluster.sender.send(region, "KvScan", request, backoff)
        if isinstance(answer, Missed):
            reader.aim.missed(region)
            await answer.wait(backoff)
            continue
        rows, locks = _split_answer(answer)
        if rows:
            left.read_upto(rows[-1][0])
        if locks:
            await reader.pass_locks(locks, backoff)
            if not rows:
                continue
        elif len(rows) < wanted:
            left.read_all_of(region)
        return rows


def next_rows(rows: int, page: list[tuple[bytes, bytes]]) -> int:
    """How many rows to ask for after a page of `rows`: more, as far as their size allows."""
    size_bytes = sum(len(key) + len(value) for key, value in page)
    fitting = PAGE_BYTES * len(page) // size_bytes if size_bytes else MAX_PAGE_ROWS
    return max(1, min(rows * 2, fitting, MAX_PAGE_ROWS))


def _request(
    reader: ScanReader, region: CachedRegion, left: _Range, wanted: int, key_only: bool
) -> kvrpcpb.ScanRequest:
    low, high = left.within(region)
    first, last = (high, low) if left.reverse else (low, high)
    return kvrpcpb.ScanRequest(
        context=reader.context(region),
        start_key=first,
        end_key=last,
        limit=wanted,
        version=reader.ts,
        key_only=key_only,
        reverse=left.reverse,
    )


def _split_answer(answer: kvrpcpb.ScanResponse) -> tuple[list[tuple[bytes, bytes]], list[LockFacts]]:
    """The rows before the first locked one, and all locks met. Other errors are raised."""
    errors = [answer.error] if answer.HasField("error") else []
    rows: list[tuple[bytes, bytes]] = []
    for pair in answer.pairs:
        if pair.HasField("error"):
            errors.append(pair.error)
        elif not errors:
            rows.append((pair.key, pair.value))
    return rows, [lock_of(error) for error in errors]
