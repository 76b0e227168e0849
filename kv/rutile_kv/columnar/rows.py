"""The row path: committed versions to Arrow batches, range by range. Always right; the mirror's twin and its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.row_arrow import Int64Array
from rutile_coprocessor.schema import HIDDEN_HANDLE
from rutile_kv.columnar.sorted_keys import KeyRange, SortedKeys
from rutile_kv.engine.api import Reader
from rutile_kv.mvcc.bulk import VisibleRows, read_visible, visible_blocks
from rutile_proto.codec import ByteMatrix, decode_int64_array
from rutile_proto.keys import INT_RECORD_KEY_LENGTH, RECORD_PREFIX_LENGTH, storage_bound, user_key

Check = Callable[[int], None]
"""Told the bytes of each batch once it is decoded; raises to give the scan up (memory limit, client gone)."""


@dataclass(slots=True)
class RowScan:
    """What the row path found, in key order: batch i holds the rows of `keys[i]`."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    keys: list[SortedKeys] = field(default_factory=list)
    max_commit_ts: int = 0
    """At least the largest commit timestamp in the ranges, before or after the read's timestamp, deletes included."""
    next_key: bytes | None = None
    """Where a read that came to its limit goes on (a user key); None when the ranges are exhausted."""

    @property
    def rows(self) -> int:
        return sum(map(len, self.keys))

    def add(self, visible: VisibleRows, codec: RowCodec, columns: Sequence[str], check: Check) -> None:
        """Decode what a block holds."""
        self.max_commit_ts = max(self.max_commit_ts, visible.newest_ts)
        if len(visible):
            handles = handles_of(visible.keys) if HIDDEN_HANDLE in columns else None
            batch = codec.decode_bytes(visible.parts, handles, columns)
            check(batch.nbytes)
            self.batches.append(batch)
            self.keys.append(visible.keys)


def read_rows(
    reader: Reader,
    codec: RowCodec,
    columns: Sequence[str],
    ranges: Sequence[KeyRange],
    ts: int,
    check: Check,
    limit: int | None = None,
) -> RowScan:
    """The rows of `ranges` (user keys, ascending) visible at `ts`, in batches of at most `mvcc.bulk.BLOCK_RECORDS`.

    With a `limit` (at least 1) the scan stops after that many rows and says where to go on. Locks are not looked at:
    the caller has done so for the ranges. Raises EngineCorrupt for rows it cannot decode.
    """
    found = RowScan()
    if limit is not None:
        return _read_page(found, reader, codec, columns, ranges, ts, check, limit)
    for start, end in ranges:
        for visible in visible_blocks(reader, storage_bound(start), storage_bound(end) or None, ts):
            found.add(visible, codec, columns, check)
    return found


def _read_page(
    found: RowScan,
    reader: Reader,
    codec: RowCodec,
    columns: Sequence[str],
    ranges: Sequence[KeyRange],
    ts: int,
    check: Check,
    room: int,
) -> RowScan:
    """`read_rows` of at most `room` rows."""
    for start, end in ranges:
        position: bytes | None = storage_bound(start)
        while position is not None:
            if room == 0:
                found.next_key = user_key(position)
                return found
            visible = read_visible(reader, position, storage_bound(end) or None, ts, room)
            found.add(visible, codec, columns, check)
            position = visible.next_key
            room -= len(visible)
    return found


def handles_of(keys: SortedKeys) -> Int64Array:
    """The hidden handles in row keys: what follows the record prefix."""
    matrix = keys if isinstance(keys, np.ndarray) else _matrix(keys)
    return decode_int64_array(np.ascontiguousarray(matrix[:, RECORD_PREFIX_LENGTH:]))


def _matrix(keys: list[bytes]) -> ByteMatrix:
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), INT_RECORD_KEY_LENGTH)
