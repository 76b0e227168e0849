"""Bulk loads: rows as committed versions, in table files that stores take over whole.

    rows of a region, about 12 MiB ──► a table file for `write`, one for long values in `default`   (here, in a thread)
                                   ──► one Raft entry ──► each replica links the files              (nothing per row)

What `bulk` says of safety holds here: nobody may be able to read or write these keys yet, and repeating is harmless.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.bulk import PARALLEL, PUT_DEFAULT, PUT_WRITE, BulkEntries, bulk_write, cut_by_region
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_kv.engine.rocks_table_files import make_table_file
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Write, WriteKind
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.codec import encode_uint64_desc
from rutile_proto.errors import InvalidRequest

FILE_FROM_BYTES = 1 << 20
"""Less than this goes as single entries: many small files are a burden to an engine."""
MAX_ROWS_BYTES = 12 << 20
"""Of keys and values in one file, before compression."""
MAX_FILES_BYTES = 7 << 20
"""Of the files in one request: it has to fit a Raft entry (`StoreConfig.max_entry_bytes`)."""
PUT_DEFAULT_FILE, PUT_WRITE_FILE = 6 << 1, 7 << 1
"""`rutilepb.WriteOps.kinds` of table files."""
_ROW_OVERHEAD_BYTES = 20
_LENGTHS = [bytes([length]) for length in range(SHORT_VALUE_LIMIT_BYTES + 1)]


@dataclass(frozen=True, slots=True)
class CommittedRows:
    """Rows in strictly ascending order of their storage keys, committed at `commit_ts` by a transaction begun at
    `start_ts`."""

    storage_keys: Sequence[bytes]
    values: Sequence[bytes]
    start_ts: int
    commit_ts: int

    def part(self, begin: int, end: int) -> CommittedRows:
        """Rows begin..end."""
        return CommittedRows(self.storage_keys[begin:end], self.values[begin:end], self.start_ts, self.commit_ts)

    def sizes(self) -> list[int]:
        """About how many bytes each takes."""
        pairs = zip(self.storage_keys, self.values, strict=True)
        return [len(key) + len(value) + _ROW_OVERHEAD_BYTES for key, value in pairs]

    def size_bytes(self) -> int:
        """About how many bytes all of it takes."""
        return sum(map(len, self.storage_keys)) + sum(map(len, self.values)) + _ROW_OVERHEAD_BYTES * len(self.values)

    def writes(self) -> tuple[list[bytes], list[bytes]]:
        """The entries of the family `write`: long values are left to `default` (rutile_kv.mvcc.records)."""
        suffix = encode_uint64_desc(self.commit_ts)
        head = Write(WriteKind.PUT, self.start_ts, b"").to_bytes()[:-1]  # without the length byte of the empty value
        outside = Write(WriteKind.PUT, self.start_ts).to_bytes()
        keys = [key + suffix for key in self.storage_keys]
        longest, lengths = SHORT_VALUE_LIMIT_BYTES, _LENGTHS
        values = [head + lengths[len(value)] + value if len(value) <= longest else outside for value in self.values]
        return keys, values

    def longs(self) -> tuple[list[bytes], list[bytes]]:
        """The entries of the family `default`."""
        suffix = encode_uint64_desc(self.start_ts)
        pairs = zip(self.storage_keys, self.values, strict=True)
        longs = [(key + suffix, value) for key, value in pairs if len(value) > SHORT_VALUE_LIMIT_BYTES]
        return [key for key, _ in longs], [value for _, value in longs]

    def entries(self) -> BulkEntries:
        """All of it as single entries."""
        long_keys, long_values = self.longs()
        keys, values = self.writes()
        routes = [key[:-8] for key in long_keys] + list(self.storage_keys)
        kinds = bytes([PUT_DEFAULT]) * len(long_keys) + bytes([PUT_WRITE]) * len(keys)
        order = sorted(range(len(routes)), key=routes.__getitem__)
        all_keys, all_values = long_keys + keys, long_values + values
        return BulkEntries(
            bytes(kinds[i] for i in order),
            [routes[i] for i in order],
            [all_keys[i] for i in order],
            [all_values[i] for i in order],
        )

    def files(self) -> rutilepb.WriteOps:
        """All of it as table files."""
        ops = rutilepb.WriteOps()
        kinds = bytearray()
        for kind, (keys, values) in ((PUT_DEFAULT_FILE, self.longs()), (PUT_WRITE_FILE, self.writes())):
            if keys:
                table = make_table_file(keys, values)
                kinds.append(kind)
                ops.keys.append(table.first_key)
                ops.values.append(table.to_bytes())
        ops.kinds = bytes(kinds)
        return ops


Piece: TypeAlias = tuple[CachedRegion, CommittedRows]
"""Rows of one region, few enough for one request."""


async def bulk_load(cluster: Cluster, rows: CommittedRows) -> None:
    """Write the rows, all of them when this returns. After an error some may be written; repeating is harmless.

    Raises InvalidRequest if those of a file do not ascend strictly, RetriesExhausted if a region stays out of reach.
    """
    backoff = cluster.write_backoff("bulk load")
    pieces = await _cut(cluster, rows, backoff)
    jobs = [lambda piece=piece: _load(cluster, piece, backoff.fork()) for piece in pieces]
    await run_bounded(jobs, PARALLEL)


async def _cut(cluster: Cluster, rows: CommittedRows, backoff: Backoff) -> list[Piece]:
    keys = rows.storage_keys
    if keys and rows.size_bytes() <= MAX_ROWS_BYTES:
        region = await cluster.regions.locate(keys[0], backoff)
        if not region.end or keys[-1] < region.end:
            return [(region, rows)]
    cuts = await cut_by_region(cluster, rows.storage_keys, rows.sizes(), MAX_ROWS_BYTES, backoff)
    return [(region, rows.part(begin, end)) for region, begin, end in cuts]


async def _load(cluster: Cluster, piece: Piece, backoff: Backoff) -> None:
    """Write what was one region's, cut anew wherever the regions have changed."""
    left = deque([piece])
    while left:
        region, rows = left.popleft()
        if rows.size_bytes() < FILE_FROM_BYTES:
            await bulk_write(cluster, rows.entries())
            continue
        ops = await asyncio.to_thread(rows.files)
        if sum(map(len, ops.values)) > MAX_FILES_BYTES and len(rows.storage_keys) > 1:
            middle = len(rows.storage_keys) // 2
            left.extendleft([(region, rows.part(middle, len(rows.storage_keys))), (region, rows.part(0, middle))])
            continue
        request = rutilepb.BulkWriteRequest(context=region.context(), ops=ops)
        answer = await cluster.sender.send(region, "BulkWrite", request, backoff, service="rutile")
        if isinstance(answer, Missed):
            await answer.wait(backoff)
            left.extendleft(reversed(await _cut(cluster, rows, backoff)))
        elif answer.error:
            raise InvalidRequest(answer.error)
