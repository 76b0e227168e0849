"""`Pending`: what happened to a chunk of a column that no reader has asked for since.

A transaction that updates fifty rows of a table touches nearly every chunk of it, but mostly in one column. Making all
columns anew would cost every query the copy of chunks it never looks at. So the next base notes for each column what
became of the chunk, and the chunk is made when somebody reads the column: once, whatever number of changes have come
together by then.

    base 1    quantity  [ 5 7 9 ]       comment  [ a b c ]
    row 1 := (8, b)
    base 2    quantity  [ 5 8 9 ]       comment  [ a b c ] < 1: b      read was the quantity only
    row 2 := (9, x)
    base 3    quantity  [ 5 8 9 ]       comment  [ a b c ] < 1: b < 2: x

A chunk whose new values are those it had before stays the array it was, in its file if it lies in one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from rutile_kv.columnar.sorted_keys import Positions
from rutile_kv.columnar.zones import Zone, joined, zone_of

MOST_CHANGES = 32
"""So many changes of one chunk are not kept waiting: a chunk that is never read is made anew that seldom."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Rows took the place of others with the same keys."""

    places: Positions

    def applied(self, old: pa.Array, rows: pa.Array) -> pa.Array:
        """The chunk with `rows` in it; `old` itself if it has those values already."""
        if _has_plain_values(old) and _has_plain_values(rows):
            return _written_over(old, self.places, rows)
        if old.take(pa.array(self.places)).equals(rows):
            return old
        order = np.arange(len(old))
        order[self.places] = len(old) + np.arange(len(rows))
        return pa.concat_arrays([old, rows]).take(order)


@dataclass(frozen=True, slots=True)
class Reordered:
    """Rows came or went."""

    order: Positions
    """Positions in the old chunk followed by the new rows, which give the new chunk."""

    def applied(self, old: pa.Array, rows: pa.Array) -> pa.Array:
        return pa.concat_arrays([old, rows]).take(self.order)


Change = Replaced | Reordered


@dataclass(frozen=True, slots=True)
class Pending:
    """A chunk of a column as it was, and what it has become since, oldest first, with the column's values in it."""

    old: pa.Array
    zone: Zone | None
    """Of the old chunk, if it was known."""
    changes: tuple[tuple[Change, pa.Array], ...]

    @property
    def nbytes(self) -> int:
        return int(self.old.nbytes) + self.added_bytes

    @property
    def added_bytes(self) -> int:
        """What waits, beside the old chunk."""
        return sum(rows.nbytes for _, rows in self.changes)

    def array(self) -> pa.Array:
        """The chunk as it is now; the old one itself if nothing is different."""
        array = self.old
        for change, rows in self.changes:
            array = change.applied(array, rows)
        return array

    def new_zone(self) -> Zone | None:
        """One that holds all values of the chunk as it is now; None if that of the old chunk was not known."""
        zone = self.zone
        for _, rows in self.changes:
            added = zone_of(rows) if zone is not None and len(rows) else None
            zone = zone if zone is None or not len(rows) else joined(zone, added)
        return zone


Chunk: TypeAlias = pa.Array | Pending
"""A chunk of a column: as it is, or with what it waits for."""


def changed(chunk: Chunk, zone: Zone | None, change: Change, rows: pa.Array) -> Chunk:
    """`chunk` after one more change, the values of whose new rows are `rows`; `zone` is what is known of it."""
    if isinstance(chunk, pa.Array):
        return Pending(chunk, zone, ((change, rows),))
    longer = replace(chunk, changes=(*chunk.changes, (change, rows)))
    return longer if len(longer.changes) < MOST_CHANGES else longer.array()


def array_of(chunk: Chunk) -> pa.Array:
    """The chunk as it is now."""
    return chunk.array() if isinstance(chunk, Pending) else chunk


# --- values of fixed width -------------------------------------------------------------------------------------------


def _has_plain_values(array: pa.Array) -> bool:
    """Whether the values lie one after the other, as many bytes each, and none is NULL."""
    kind = array.type
    is_plain = (pa.types.is_primitive(kind) or pa.types.is_decimal(kind)) and kind.bit_width >= 8
    return is_plain and not array.null_count


def _written_over(old: pa.Array, places: Positions, rows: pa.Array) -> pa.Array:
    """A copy with the new values in it. It is made in steps that keep the interpreter's lock: a worker that gives it up
    for each of a hundred chunks waits for the store's busy loop a hundred times, a hundred times longer than it copies.
    """
    width = old.type.bit_width // 8
    before, added = _bytes_of(old, width), _bytes_of(rows, width)
    kind = f"V{width}"
    if np.frombuffer(before, kind)[places].tobytes() == added:
        return old
    copy = bytearray(before)
    np.frombuffer(copy, kind)[places] = np.frombuffer(added, kind)
    return pa.Array.from_buffers(old.type, len(old), [None, pa.py_buffer(copy)], null_count=0)


def _bytes_of(array: pa.Array, width: int) -> memoryview:
    """The values one after the other, so many bytes each."""
    start = array.offset * width
    return memoryview(array.buffers()[1])[start : start + len(array) * width]
