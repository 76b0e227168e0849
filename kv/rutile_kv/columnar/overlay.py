"""`Overlay`: a stretch of delta as a reader at a timestamp sees it, and how it is laid over a base.

The records of the delta, sorted, look just like a stretch of the family write, so `mvcc.bulk.read_visible` chooses
from them as it does from the engine; values too long for their record come from the reader's snapshot. Two sets come
out: the keys the delta decides about, whose rows in the base are hidden, and the rows that take their place.

    base chunk     a  b  c  d            hidden  b d        concat  a b c d | B b2
    delta          put B, put b2, delete d               →  take    0 4 5 2           =  a  B  b2  c
                                                            (the row b is replaced, b2 is new, d is gone)

Only chunks that the delta touches are made anew, column by column, by one `take`; all others are passed on as they
are. Measured per chunk of 65,536 rows: 0.1 to 0.2 ms for a column of numbers, 1 ms for one of twenty-letter strings;
a mask for the engine to filter by costs DuckDB as much on every query, and cannot be kept as the next base.

The order of commits of one key is that of their timestamps, so what the delta says of a key is newer than what the
base says, with one exception: a rollback may be noted on an old record, which then is written again as it was. Keys
with a record in the delta that is not above the base's newest timestamp are therefore looked up in the snapshot, with
all their versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rutile_kv.columnar.base import KeyRange, SortedKeys, TableBase, key_at, lower_bound
from rutile_kv.columnar.delta import Entries
from rutile_kv.engine.api import CF_WRITE, Cf, Reader
from rutile_kv.mvcc.bulk import VisibleRows, read_visible, sorted_user_keys
from rutile_kv.mvcc.versions import NO_DATA
from rutile_proto.codec import decode_uint64_desc, encode_uint64_desc
from rutile_proto.keys import TS_LENGTH, storage_bound

Positions = npt.NDArray[np.intp]

CHUNK_ROWS = 65_536
"""The length of a base's chunks when they are cut; inserts let one grow to twice that."""
_ABOVE_VERSIONS = b"\xff" * (TS_LENGTH + 1)


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the delta says at a timestamp."""

    hidden: SortedKeys
    """Keys the delta decides about, ascending."""
    rows: VisibleRows
    """The rows among them, ascending."""
    max_commit_ts: int
    """The newest commit in the delta; above the reader's timestamp the overlay is not the newest state."""


def overlay_of(
    delta: Entries, reader: Reader, ranges: Sequence[KeyRange] | None, ts: int, base_max_commit_ts: int
) -> Overlay | None:
    """What `delta` says at `ts` about the keys in `ranges` (None: all it has); None if it says nothing."""
    pairs = zip(delta.versions, delta.records, strict=True) if ranges is None else _within(delta, ranges)
    records = {version: record for version, record in pairs if record[0] not in NO_DATA}
    if not records:
        return None
    max_commit_ts = decode_uint64_desc(min(version[-TS_LENGTH:] for version in records))[0]
    _complete(records, reader, base_max_commit_ts)
    newest = encode_uint64_desc(ts)
    decided = {version[:-TS_LENGTH] for version in records if version[-TS_LENGTH:] >= newest}
    rows = read_visible(_DeltaReader(sorted(records.items()), reader), b"", None, ts)
    return Overlay(sorted_user_keys(sorted(decided)), rows, max_commit_ts)


def _within(delta: Entries, ranges: Sequence[KeyRange]) -> Iterator[tuple[bytes, bytes]]:
    """The delta's entries inside `ranges`, in apply order."""
    pairs = zip(delta.versions, delta.records, strict=True)
    bounds = [(storage_bound(start), storage_bound(end)) for start, end in ranges]
    for version, record in pairs:
        if any(start <= version and (not end or version < end) for start, end in bounds):
            yield version, record


def _complete(records: dict[bytes, bytes], reader: Reader, base_max_commit_ts: int) -> None:
    """Add all versions of the keys with a record that may be older than what the base has."""
    oldest_sure = encode_uint64_desc(base_max_commit_ts)
    for key in sorted({version[:-TS_LENGTH] for version in records if version[-TS_LENGTH:] >= oldest_sure}):
        versions = reader.scan(CF_WRITE, key, key + _ABOVE_VERSIONS)
        records.update((version, record) for version, record in versions if record[0] not in NO_DATA)


@dataclass(frozen=True, slots=True)
class _DeltaReader:
    """A Reader whose family write holds the delta and nothing else."""

    pairs: list[tuple[bytes, bytes]]
    snapshot: Reader

    def get(self, cf: Cf, key: bytes) -> bytes | None:
        return self.snapshot.get(cf, key)

    def scan(self, cf: Cf, start: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs) if cf == CF_WRITE else self.snapshot.scan(cf, start, end, reverse=reverse)


# --- laying it over a base --------------------------------------------------------------------------------------------


def lay_over(
    base: TableBase, overlay: Overlay, added: Mapping[int, pa.Array], index: int, check: Callable[[int], None]
) -> TableBase:
    """The base as the overlay changes it, with the columns of `added`: for each column the values of overlay.rows.

    `check` is told the bytes of each chunk made anew.
    """
    made = _Chunks(added)
    hidden_cuts, row_cuts = _cuts(base.keys, overlay.hidden), _cuts(base.keys, overlay.rows.keys)
    for number, keys in enumerate(base.keys):
        old = {each: base.columns[each][number] for each in added}
        hidden = overlay.hidden[hidden_cuts[number] : hidden_cuts[number + 1]]
        if not len(hidden):
            made.append(keys, old)
            continue
        low, high = row_cuts[number], row_cuts[number + 1]
        rows = overlay.rows.keys[low:high]
        order = _order(keys, hidden, rows)
        new = {each: pa.concat_arrays([old[each], added[each].slice(low, high - low)]).take(order) for each in added}
        check(sum(array.nbytes for array in new.values()))
        made.append_cut(_merged(keys, rows, order), new)
    if not made.keys:
        made.append([], {each: array.slice(0, 0) for each, array in added.items()})
    newest = max(base.max_commit_ts, overlay.max_commit_ts)
    columns = {each: tuple(arrays) for each, arrays in made.columns.items()}
    return TableBase(index, newest, tuple(made.keys), columns, base.schema)


@dataclass(slots=True)
class _Chunks:
    """Chunks of a base in the making."""

    like: Mapping[int, pa.Array]
    keys: list[SortedKeys] = field(default_factory=list)
    columns: dict[int, list[pa.Array]] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = {each: [] for each in self.like}

    def append(self, keys: SortedKeys, arrays: Mapping[int, pa.Array]) -> None:
        self.keys.append(keys)
        for each, array in arrays.items():
            self.columns[each].append(array)

    def append_cut(self, keys: SortedKeys, arrays: Mapping[int, pa.Array]) -> None:
        """The same, in pieces if it has grown too long, and nothing if it has become empty."""
        step = CHUNK_ROWS if len(keys) > 2 * CHUNK_ROWS else max(1, len(keys))
        for start in range(0, len(keys), step):
            self.append(keys[start : start + step], {each: array.slice(start, step) for each, array in arrays.items()})


def _cuts(chunks: Sequence[SortedKeys], keys: SortedKeys) -> list[int]:
    """Where `keys` are cut so that piece i belongs to chunk i: a chunk's reach ends where the next one's keys begin.
    No chunk is empty unless it is the only one."""
    return [0, *(lower_bound(keys, key_at(chunk, 0)) for chunk in chunks[1:]), len(keys)]


def _order(keys: SortedKeys, hidden: SortedKeys, rows: SortedKeys) -> Positions:
    """Positions in `keys` followed by `rows` that give the chunk without the hidden keys and with the rows, sorted."""
    at = _lower_bounds(keys, hidden)
    inside = np.flatnonzero(at < len(keys))
    there = np.zeros(len(keys), dtype=np.bool_)
    there[at[inside][_same(keys, at[inside], hidden, inside)]] = True
    kept = np.flatnonzero(~there)
    before = np.concatenate([[0], np.cumsum(there)])
    places = _lower_bounds(keys, rows)
    return np.insert(kept, places - before[places], len(keys) + np.arange(len(rows)))


def _lower_bounds(keys: SortedKeys, wanted: SortedKeys) -> Positions:
    if _comparable(keys, wanted):
        return np.searchsorted(_strings(keys), _strings(wanted))
    bounds = [lower_bound(keys, key_at(wanted, position)) for position in range(len(wanted))]
    return np.array(bounds, dtype=np.intp)


def _same(keys: SortedKeys, at: Positions, wanted: SortedKeys, positions: Positions) -> npt.NDArray[np.bool_]:
    """Whether keys[at[i]] is wanted[positions[i]]."""
    if _comparable(keys, wanted):
        same: npt.NDArray[np.bool_] = _strings(keys)[at] == _strings(wanted)[positions]
        return same
    pairs = zip(at.tolist(), positions.tolist(), strict=True)
    return np.array([key_at(keys, here) == key_at(wanted, there) for here, there in pairs], dtype=np.bool_)


def _merged(keys: SortedKeys, rows: SortedKeys, order: Positions) -> SortedKeys:
    if not len(keys):
        return rows
    if isinstance(keys, np.ndarray) and not len(rows):
        return keys.take(order, axis=0)
    if _comparable(keys, rows):
        return np.concatenate([keys, rows]).take(order, axis=0)
    both = [key_at(part, position) for part in (keys, rows) for position in range(len(part))]
    return [both[position] for position in order.tolist()]


def _comparable(one: SortedKeys, other: SortedKeys) -> bool:
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape[1] == other.shape[1]


def _strings(keys: SortedKeys) -> npt.NDArray[np.bytes_]:
    """A matrix as numpy's byte strings, which compare as keys do; that they end at a zero is of no matter where all
    have one length."""
    matrix = np.ascontiguousarray(keys)
    return matrix.view(f"S{matrix.shape[1]}").reshape(-1)
