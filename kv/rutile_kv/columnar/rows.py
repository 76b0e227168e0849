"""The row path: committed versions to Arrow batches, range by range. Always right; the mirror's twin and its source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.row_arrow import Int64Array
from rutile_coprocessor.schema import HIDDEN_HANDLE
from rutile_kv.columnar.base import KeyRange, SortedKeys
from rutile_kv.engine.api import CF_WRITE, Cf, Reader
from rutile_kv.mvcc.bulk import read_visible
from rutile_proto.codec import ByteMatrix, decode_int64_array, decode_uint64_desc
from rutile_proto.keys import INT_RECORD_KEY_LENGTH, RECORD_PREFIX_LENGTH, TS_LENGTH, storage_bound, user_key

BATCH_ROWS = 65_536
"""Rows decoded at once, and the length of a base's chunks."""
_OLDEST = b"\xff" * TS_LENGTH

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


def read_rows(
    reader: Reader,
    codec: RowCodec,
    columns: Sequence[str],
    ranges: Sequence[KeyRange],
    ts: int,
    check: Check,
    limit: int | None = None,
) -> RowScan:
    """The rows of `ranges` (user keys, ascending) visible at `ts`, as batches of at most BATCH_ROWS rows.

    With a `limit` (at least 1) the scan stops after that many rows and says where to go on. Locks are not looked at:
    the caller has done so for the ranges. Raises EngineCorrupt for rows it cannot decode.
    """
    found = RowScan()
    watch = CommitTsWatch(reader)
    room = limit or sys.maxsize
    for start, end in ranges:
        position: bytes | None = storage_bound(start)
        while position is not None:
            if room == 0:
                found.next_key = user_key(position)
                return found
            visible = read_visible(watch, position, storage_bound(end) or None, ts, limit=min(room, BATCH_ROWS))
            if visible.values:
                handles = handles_of(visible.keys) if HIDDEN_HANDLE in columns else None
                batch = codec.decode_batch(visible.values, handles, columns)
                check(batch.nbytes)
                found.batches.append(batch)
                found.keys.append(visible.keys)
            position = visible.next_key
            room -= len(visible.values)
    found.max_commit_ts = watch.max_commit_ts
    return found


class CommitTsWatch:
    """A Reader that passes everything on and remembers the largest commit timestamp of the versions scanned."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._newest = _OLDEST
        """Timestamps are stored inverted: the largest one has the least bytes."""

    @property
    def max_commit_ts(self) -> int:
        return decode_uint64_desc(self._newest)[0]

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self._reader.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = self._reader.scan(cf, start, end, reverse=reverse)
        return self._watched(pairs) if cf == CF_WRITE else pairs

    def _watched(self, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for pair in pairs:
            version = pair[0][-TS_LENGTH:]
            if version < self._newest:
                self._newest = version
            yield pair


def handles_of(keys: SortedKeys) -> Int64Array:
    """The hidden handles in row keys: what follows the record prefix."""
    matrix = keys if isinstance(keys, np.ndarray) else _matrix(keys)
    return decode_int64_array(np.ascontiguousarray(matrix[:, RECORD_PREFIX_LENGTH:]))


def _matrix(keys: list[bytes]) -> ByteMatrix:
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), INT_RECORD_KEY_LENGTH)
