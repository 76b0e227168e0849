"""`Overlay`: a stretch of delta as a reader at a timestamp sees it, and how it is laid over a base.

The records of the delta, sorted, look just like a stretch of the family write, so `mvcc.bulk.read_visible` chooses
from them as it does from the engine; values too long for their record come from the reader's snapshot. Two sets come
out: the keys the delta decides about, whose rows in the base are hidden, and the rows that take their place.

    base chunk     a  b  c  d            hidden  b d        concat  a b c d | B b2
    delta          put B, put b2, delete d               →  take    0 4 5 2           =  a  B  b2  c
                                                            (the row b is replaced, b2 is new, d is gone)

Only chunks that the delta touches are made anew, column by column; all others are passed on as they are. Where it only
replaces rows, which is what UPDATE does, columns whose values stay the same are passed on too, and the others copied
with the new values written over the old; where rows come or go each column is made by one `take`. Measured per chunk
of 65,536 rows: 0.1 to 0.2 ms for a column of numbers, 1 ms for one of twenty-letter strings; a mask for the engine to
filter by costs DuckDB as much on every query, and cannot be kept as the next base.

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

from rutile_kv.columnar.base import KEYS_ID, KeyRange, Place, SortedKeys, TableBase, key_at, lower_bound
from rutile_kv.columnar.delta import Entries
from rutile_kv.columnar.zones import Zone
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


@dataclass(frozen=True, slots=True)
class Touched:
    """Where the overlay meets one chunk of a base."""

    low: int
    """Its rows are overlay.rows[low:high]."""
    high: int
    is_replaced: bool
    """Each of them takes the place of a row with the same key, and no row goes."""
    places: Positions
    """If so: where these rows are. Else: positions in the chunk followed by the new rows, which give the new chunk."""


def touched_chunks(base: TableBase, overlay: Overlay) -> dict[int, Touched]:
    """The chunks of `base` that the overlay changes, by number."""
    hidden_cuts, row_cuts = _cuts(base.keys, overlay.hidden), _cuts(base.keys, overlay.rows.keys)
    found = {}
    for number, keys in enumerate(base.keys):
        hidden = overlay.hidden[hidden_cuts[number] : hidden_cuts[number + 1]]
        if len(hidden):
            low, high = row_cuts[number], row_cuts[number + 1]
            found[number] = _touched(keys, hidden, overlay.rows.keys[low:high], low, high)
    return found


def _touched(keys: SortedKeys, hidden: SortedKeys, rows: SortedKeys, low: int, high: int) -> Touched:
    at = _lower_bounds(keys, hidden)
    inside = np.flatnonzero(at < len(keys))
    there = inside[_same(keys, at[inside], hidden, inside)]
    if len(there) == len(hidden) == len(rows):
        return Touched(low, high, True, at)
    return Touched(low, high, False, _order(keys, at[there], rows))


def lay_over(
    base: TableBase,
    overlay: Overlay,
    touched: Mapping[int, Touched],
    added: Mapping[int, pa.Array],
    index: int,
    check: Callable[[int], None],
) -> TableBase:
    """The base as the overlay changes it, with the columns of `added`: for each column the values of overlay.rows.

    `check` is told the bytes of each chunk made anew.
    """
    made = _Chunks(base, added)
    for number, keys in enumerate(base.keys):
        place = touched.get(number)
        old = {each: base.columns[each][number] for each in added}
        if place is None:
            made.append(keys, old, number)
            continue
        rows = {each: array.slice(place.low, place.high - place.low) for each, array in added.items()}
        if place.is_replaced:
            new = {each: _replaced(old[each], place.places, rows[each]) for each in added}
            check(sum(array.nbytes for each, array in new.items() if array is not old[each]))
            made.append(keys, new, number)
        else:
            new = {each: pa.concat_arrays([old[each], rows[each]]).take(place.places) for each in added}
            check(sum(array.nbytes for array in new.values()))
            made.append_cut(_merged(keys, overlay.rows.keys[place.low : place.high], place.places), new)
    if not made.keys:
        made.append([], {each: array.slice(0, 0) for each, array in added.items()}, None)
    newest = max(base.max_commit_ts, overlay.max_commit_ts)
    columns = {each: tuple(arrays) for each, arrays in made.columns.items()}
    return TableBase(index, newest, tuple(made.keys), columns, base.schema, frozenset(made.mapped), made.zones)


def _replaced(old: pa.Array, at: Positions, rows: pa.Array) -> pa.Array:
    """`old` with `rows` in the places `at`; itself if it has those values already, as most columns of an UPDATE do."""
    if old.take(at).equals(rows):
        return old
    width = old.type.bit_width // 8 if pa.types.is_primitive(old.type) or pa.types.is_decimal(old.type) else 0
    if not width or old.null_count or rows.null_count:
        order = np.arange(len(old))
        order[at] = len(old) + np.arange(len(rows))
        return pa.concat_arrays([old, rows]).take(order)
    values = _fixed(old, width).copy()
    values[at] = _fixed(rows, width)
    return pa.Array.from_buffers(old.type, len(old), [None, pa.py_buffer(values)])


def _fixed(array: pa.Array, width: int) -> npt.NDArray[np.void]:
    """The values of an array of fixed width, as so many bytes each."""
    return np.frombuffer(array.buffers()[1], f"V{width}", len(array), array.offset * width)


@dataclass(slots=True)
class _Chunks:
    """Chunks of a base in the making out of those of `base`."""

    base: TableBase
    like: Mapping[int, pa.Array]
    keys: list[SortedKeys] = field(default_factory=list)
    columns: dict[int, list[pa.Array]] = field(init=False)
    mapped: set[Place] = field(default_factory=set)
    zones: dict[Place, Zone | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = {each: [] for each in self.like}

    def append(self, keys: SortedKeys, arrays: Mapping[int, pa.Array], old: int | None) -> None:
        """`old`: the chunk of the base whose keys these are, and some of whose arrays; None if there is none."""
        number, before = len(self.keys), self.base.mapped
        if old is not None:
            same = [KEYS_ID, *(each for each, array in arrays.items() if array is self.base.columns[each][old])]
            self.mapped.update((each, number) for each in same if (each, old) in before)
            known = self.base.zones
            self.zones.update({(each, number): known[each, old] for each in same if (each, old) in known})
        self.keys.append(keys)
        for each, array in arrays.items():
            self.columns[each].append(array)

    def append_cut(self, keys: SortedKeys, arrays: Mapping[int, pa.Array]) -> None:
        """The same of new ones, in pieces if too long, and nothing if it has become empty."""
        step = CHUNK_ROWS if len(keys) > 2 * CHUNK_ROWS else max(1, len(keys))
        for start in range(0, len(keys), step):
            pieces = {each: array.slice(start, step) for each, array in arrays.items()}
            self.append(keys[start : start + step], pieces, None)


def _cuts(chunks: Sequence[SortedKeys], keys: SortedKeys) -> list[int]:
    """Where `keys` are cut so that piece i belongs to chunk i: a chunk's reach ends where the next one's keys begin.
    No chunk is empty unless it is the only one."""
    return [0, *(lower_bound(keys, key_at(chunk, 0)) for chunk in chunks[1:]), len(keys)]


def _order(keys: SortedKeys, gone: Positions, rows: SortedKeys) -> Positions:
    """Positions in `keys` followed by `rows` that give the chunk without those at `gone` and with the rows, sorted."""
    there = np.zeros(len(keys), dtype=np.bool_)
    there[gone] = True
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
