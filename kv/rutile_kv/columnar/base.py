"""`TableBase`: the newest committed rows of one table in one region, column by column, immutable."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rutile_proto.codec import ByteMatrix

KeyRange = tuple[bytes, bytes]
"""[start, end) of user keys; an empty end is the end of the key space."""

SortedKeys = ByteMatrix | list[bytes]
"""User keys in ascending order: uint8[n, length] where all have one length, else one by one."""

KEY_OVERHEAD_BYTES = 57
"""What CPython adds to a bytes object in a list; counted against the budget."""


@dataclass(frozen=True, slots=True)
class TableBase:
    """Rows in key order, as aligned chunks: chunk i of every column has as many rows as chunk i of `keys`."""

    data_version: int
    """The region's data version these rows were read at."""
    max_commit_ts: int
    """The largest commit timestamp in the range, deletes included: reads at or above it see exactly these rows."""
    keys: tuple[SortedKeys, ...]
    """User keys per chunk, ascending: they cut key ranges out of the base."""
    columns: Mapping[int, tuple[pa.Array, ...]]
    """Chunks by column id: an id keeps its type for ever, while a name may be given to another column."""

    @property
    def row_count(self) -> int:
        return sum(map(len, self.keys))

    @property
    def size_bytes(self) -> int:
        """Bytes of column buffers and keys."""
        arrays: int = sum(array.nbytes for chunks in self.columns.values() for array in chunks)
        return arrays + sum(map(_keys_size_bytes, self.keys))

    def missing(self, column_ids: Sequence[int]) -> list[int]:
        """Those of `column_ids` not decoded yet, in the order asked."""
        return [column_id for column_id in column_ids if column_id not in self.columns]

    def join(self, other: TableBase) -> TableBase:
        """This base with the columns of `other` added; both must hold the same rows (same data version)."""
        assert self.data_version == other.data_version, "bases of different data versions never mix"
        assert list(map(len, self.keys)) == list(map(len, other.keys)), "one data version has one set of rows"
        return TableBase(self.data_version, self.max_commit_ts, self.keys, {**self.columns, **other.columns})

    def batches(self, column_ids: Sequence[int], schema: pa.Schema, ranges: Sequence[KeyRange]) -> list[pa.RecordBatch]:
        """The rows within `ranges` (disjoint, ascending), in key order: slices, no copies.

        `schema` has one field per column id, in the same order; at least one, or the row count would be lost.
        """
        found = []
        for number, keys in enumerate(self.keys):
            arrays = [self.columns[column_id][number] for column_id in column_ids]
            for low, high in _positions(keys, ranges):
                sliced = [array.slice(low, high - low) for array in arrays]
                found.append(pa.RecordBatch.from_arrays(sliced, schema=schema))
        return found


def _positions(keys: SortedKeys, ranges: Sequence[KeyRange]) -> list[tuple[int, int]]:
    """[low, high) positions of `keys` inside each range, empty ones left out."""
    spans = []
    for start, end in ranges:
        low = _lower_bound(keys, start)
        high = _lower_bound(keys, end) if end else len(keys)
        if low < high:
            spans.append((low, high))
    return spans


def _lower_bound(keys: SortedKeys, bound: bytes) -> int:
    """The position of the first key that is not below `bound`."""
    if isinstance(keys, list):
        return bisect.bisect_left(keys, bound)
    return bisect.bisect_left(range(len(keys)), bound, key=lambda position: keys[position].tobytes())


def _keys_size_bytes(keys: SortedKeys) -> int:
    if isinstance(keys, list):
        return sum(map(len, keys)) + KEY_OVERHEAD_BYTES * len(keys)
    return keys.nbytes
