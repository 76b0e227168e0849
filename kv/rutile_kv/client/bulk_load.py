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

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
from rutile_proto.errors import DiskFull, InvalidRequest

FILE_FROM_BYTES = 1 << 20
"""Less than this goes as single entries: many small files are a burden to an engine."""
MAX_ROWS_BYTES = 12 << 20
"""Of keys and values in one file, before compression."""
MAX_FILES_BYTES = 7 << 20
"""Of the files in one request: it has to fit a Raft entry (`StoreConfig.max_entry_bytes`)."""
PUT_DEFAULT_FILE, PUT_WRITE_FILE = 6 << 1, 7 << 1
"""`rutilepb.WriteOps.kinds` of table files."""
_ROW_OVERHEAD_BYTES = 20
_NOTHING = pa.scalar(b"", pa.large_binary())


@dataclass(frozen=True, slots=True)
class CommittedRows:
    """Rows in strictly ascending order of their storage keys, committed at `commit_ts` by a transaction begun at
    `start_ts`. Keys and values are large_binary, without NULLs."""

    storage_keys: pa.Array
    values: pa.Array
    start_ts: int
    commit_ts: int

    @classmethod
    def of(cls, storage_keys: Sequence[bytes], values: Sequence[bytes], start_ts: int, commit_ts: int) -> CommittedRows:
        """Rows from lists."""
        kind = pa.large_binary()
        return cls(pa.array(storage_keys, kind), pa.array(values, kind), start_ts, commit_ts)

    def __len__(self) -> int:
        return len(self.storage_keys)

    def part(self, begin: int, end: int) -> CommittedRows:
        """Rows begin..end."""
        keys, values = self.storage_keys.slice(begin, end - begin), self.values.slice(begin, end - begin)
        return CommittedRows(keys, values, self.start_ts, self.commit_ts)

    def sizes(self) -> list[int]:
        """About how many bytes each takes."""
        both = pc.add(pc.binary_length(self.storage_keys), pc.binary_length(self.values))
        return pc.add(both, _ROW_OVERHEAD_BYTES).to_pylist()  # type: ignore[no-any-return]

    def size_bytes(self) -> int:
        """About how many bytes all of it takes."""
        return _bytes_in(self.storage_keys) + _bytes_in(self.values) + _ROW_OVERHEAD_BYTES * len(self)

    def writes(self) -> tuple[pa.Array, pa.Array]:
        """The entries of the family `write`: long values are left to `default` (rutile_kv.mvcc.records)."""
        head = Write(WriteKind.PUT, self.start_ts, b"").to_bytes()[:-1]  # without the length byte of the empty value
        lengths = self._lengths()
        fixed = pa.Array.from_buffers(pa.binary(1), len(self), [None, pa.py_buffer(lengths.astype(np.uint8))])
        values = pc.binary_join_element_wise(_binary(head), fixed.cast(pa.large_binary()), self.values, _NOTHING)
        if self._has_long():
            outside = _binary(Write(WriteKind.PUT, self.start_ts).to_bytes())
            values = pc.if_else(pa.array(lengths > SHORT_VALUE_LIMIT_BYTES), outside, values)
        return _versions(self.storage_keys, self.commit_ts), values

    def longs(self) -> tuple[pa.Array, pa.Array]:
        """The entries of the family `default`."""
        if not self._has_long():
            return self.storage_keys.slice(0, 0), self.values.slice(0, 0)
        is_long = pa.array(self._lengths() > SHORT_VALUE_LIMIT_BYTES)
        return _versions(self.storage_keys.filter(is_long), self.start_ts), self.values.filter(is_long)

    def entries(self) -> BulkEntries:
        """All of it as single entries."""
        long_keys, long_values = (array.to_pylist() for array in self.longs())
        keys, values = (array.to_pylist() for array in self.writes())
        routes = [key[:-8] for key in long_keys] + self.storage_keys.to_pylist()
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
            if len(keys):
                table = make_table_file(keys.to_pylist(), values.to_pylist())
                kinds.append(kind)
                ops.keys.append(table.first_key)
                ops.values.append(table.to_bytes())
        ops.kinds = bytes(kinds)
        return ops

    def _lengths(self) -> npt.NDArray[np.int64]:
        return pc.binary_length(self.values).to_numpy()  # type: ignore[no-any-return]

    def _has_long(self) -> bool:
        return bool(len(self)) and int(self._lengths().max()) > SHORT_VALUE_LIMIT_BYTES


def ascends(keys: pa.Array) -> bool:
    """Whether each key is above the one before; True for less than two."""
    return pc.all(pc.less(keys.slice(0, len(keys) - 1), keys.slice(1))).as_py() is not False if len(keys) else True


def _versions(storage_keys: pa.Array, ts: int) -> pa.Array:
    return pc.binary_join_element_wise(storage_keys, _binary(encode_uint64_desc(ts)), _NOTHING)


def _binary(value: bytes) -> pa.Scalar:
    return pa.scalar(value, pa.large_binary())


def _bytes_in(array: pa.Array) -> int:
    return int(pc.sum(pc.binary_length(array)).as_py() or 0)


Piece: TypeAlias = tuple[CachedRegion, CommittedRows]
"""Rows of one region, few enough for one request."""


async def bulk_load(cluster: Cluster, rows: CommittedRows) -> None:
    """Write the rows, all of them when this returns. After an error some may be written; repeating is harmless.

    Raises InvalidRequest if those of a file do not ascend strictly, DiskFull if a store has no room for them,
    RetriesExhausted if a region stays out of reach.
    """
    backoff = cluster.write_backoff("bulk load")
    pieces = await _cut(cluster, rows, backoff)
    jobs = [lambda piece=piece: _load(cluster, piece, backoff.fork()) for piece in pieces]
    await run_bounded(jobs, PARALLEL)


async def _cut(cluster: Cluster, rows: CommittedRows, backoff: Backoff) -> list[Piece]:
    keys = rows.storage_keys
    if len(keys) and rows.size_bytes() <= MAX_ROWS_BYTES:
        region = await cluster.regions.locate(keys[0].as_py(), backoff)
        if not region.end or keys[-1].as_py() < region.end:
            return [(region, rows)]
    cuts = await cut_by_region(cluster, keys.to_pylist(), rows.sizes(), MAX_ROWS_BYTES, backoff)
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
        if sum(map(len, ops.values)) > MAX_FILES_BYTES and len(rows) > 1:
            middle = len(rows) // 2
            left.extendleft([(region, rows.part(middle, len(rows))), (region, rows.part(0, middle))])
            continue
        request = rutilepb.BulkWriteRequest(context=region.context(), ops=ops)
        answer = await cluster.sender.send(region, "BulkWrite", request, backoff, service="rutile")
        if isinstance(answer, Missed):
            if isinstance(answer.cause, DiskFull):
                raise answer.cause  # the next file would not fit either: no use in waiting with all others in memory
            await answer.wait(backoff)
            left.extendleft(reversed(await _cut(cluster, rows, backoff)))
        elif answer.error:
            raise InvalidRequest(answer.error)
