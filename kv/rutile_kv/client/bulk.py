"""Bulk writes: committed versions, already encoded, straight into the regions' logs.

For loading what nobody can read yet (a new table, a restore). There are no locks and no conflict checks; a piece that
has to be sent again writes the same versions at the same timestamps, so repeating is harmless. Each region takes its
entries in pieces of about a mebibyte, which is one Raft entry each. Much more goes as table files: `bulk_load`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Write, WriteKind
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_key, versioned_key

MAX_PIECE_BYTES = 1 << 20
PARALLEL = 4
"""Pieces of one call in flight."""
PUT_DEFAULT = 0 << 1
PUT_WRITE = 2 << 1
"""`rutilepb.WriteOps.kinds`: index of the family, shifted by one; the low bit would mean delete."""


@dataclass(frozen=True, slots=True)
class BulkEntries:
    """Engine entries in storage-key order: entry i lies in the region that holds `storage_keys[i]`."""

    kinds: bytes
    storage_keys: Sequence[bytes]
    keys: Sequence[bytes]
    values: Sequence[bytes]

    def part(self, begin: int, end: int) -> BulkEntries:
        """Entries begin..end."""
        return BulkEntries(
            self.kinds[begin:end], self.storage_keys[begin:end], self.keys[begin:end], self.values[begin:end]
        )


Piece: TypeAlias = tuple[CachedRegion, BulkEntries]
"""Entries of one region, few enough for one request."""


async def bulk_write(cluster: Cluster, entries: BulkEntries) -> None:
    """Write the entries, all of them when this returns. After an error some may be written; repeating is harmless.

    Raises InvalidRequest if they are not parallel or not sorted, RetriesExhausted if a region stays out of reach.
    """
    count = len(entries.kinds)
    if not count == len(entries.storage_keys) == len(entries.keys) == len(entries.values):
        raise InvalidRequest("kinds, storage keys, keys and values of a bulk write have different lengths")
    if any(map(bytes.__gt__, entries.storage_keys[:-1], entries.storage_keys[1:])):
        raise InvalidRequest("the storage keys of a bulk write are not sorted")
    if count:
        await _write(cluster, entries, cluster.write_backoff("bulk write"))


def encode_puts(pairs: Iterable[tuple[bytes, bytes]], start_ts: int, commit_ts: int) -> BulkEntries:
    """Sorted user pairs as versions committed at `commit_ts` by a transaction begun at `start_ts`.

    Values over 255 bytes go to the default family, as a transaction would have left them (wire.md 8).
    """
    kinds = bytearray()
    routes, keys, values = [], [], []
    outside = Write(WriteKind.PUT, start_ts).to_bytes()
    for key, value in pairs:
        place = storage_key(key)
        short = len(value) <= SHORT_VALUE_LIMIT_BYTES
        if not short:
            kinds.append(PUT_DEFAULT)
            routes.append(place)
            keys.append(versioned_key(place, start_ts))
            values.append(value)
        kinds.append(PUT_WRITE)
        routes.append(place)
        keys.append(versioned_key(place, commit_ts))
        values.append(Write(WriteKind.PUT, start_ts, value).to_bytes() if short else outside)
    return BulkEntries(bytes(kinds), routes, keys, values)


async def _write(cluster: Cluster, entries: BulkEntries, backoff: Backoff) -> None:
    pieces = await _pieces(cluster, entries, backoff)
    jobs = [lambda piece=piece: _send(cluster, piece, backoff.fork()) for piece in pieces]
    await run_bounded(jobs, PARALLEL)


async def _send(cluster: Cluster, piece: Piece, backoff: Backoff) -> None:
    """Send a piece, cut anew wherever the regions have changed."""
    left = deque([piece])
    while left:
        region, entries = left.popleft()
        ops = rutilepb.WriteOps(kinds=entries.kinds, keys=entries.keys, values=entries.values)
        request = rutilepb.BulkWriteRequest(context=region.context(), ops=ops)
        answer = await cluster.sender.send(region, "BulkWrite", request, backoff, service="rutile")
        if isinstance(answer, Missed):
            await answer.wait(backoff)
            left.extendleft(reversed(await _pieces(cluster, entries, backoff)))
        elif answer.error:
            raise InvalidRequest(answer.error)


async def _pieces(cluster: Cluster, entries: BulkEntries, backoff: Backoff) -> list[Piece]:
    sizes = [len(key) + len(value) for key, value in zip(entries.keys, entries.values, strict=True)]
    cuts = await cut_by_region(cluster, entries.storage_keys, sizes, MAX_PIECE_BYTES, backoff)
    return [(region, entries.part(begin, end)) for region, begin, end in cuts]


async def cut_by_region(
    cluster: Cluster, routes: Sequence[bytes], sizes: Sequence[int], max_bytes: int, backoff: Backoff
) -> list[tuple[CachedRegion, int, int]]:
    """(region, begin, end) of the parts of what is sorted by storage keys, cut by region and by size, entries of one
    key never apart."""
    sums = list(accumulate(sizes))
    cuts = []
    begin = 0
    while begin < len(routes):
        region = await cluster.regions.locate(routes[begin], backoff)
        region_end = bisect_left(routes, region.end, lo=begin) if region.end else len(routes)
        while begin < region_end:
            limit = (sums[begin - 1] if begin else 0) + max_bytes
            end = min(region_end, max(begin + 1, bisect_right(sums, limit, lo=begin)))
            while end < region_end and routes[end] == routes[end - 1]:
                end += 1
            cuts.append((region, begin, end))
            begin = end
    return cuts
