"""`TableBase`: the newest committed rows of one table in one region, column by column, immutable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import pyarrow as pa

from rutile_coprocessor.pruning import Use
from rutile_coprocessor.schema import TableSchema
from rutile_kv.columnar.pending import Chunk, Pending
from rutile_kv.columnar.sorted_keys import KeyRange, SortedKeys, key_at, keys_size_bytes, positions_in
from rutile_kv.columnar.zones import Zone, has_zones, is_wanted, zone_of

KEYS_ID = -2
"""The keys' place among column ids, which are positive, but for the hidden handle's."""
Place = tuple[int, int]
"""A chunk of a column, by the column's id (KEYS_ID: of the keys) and the chunk's number."""


@dataclass(frozen=True)
class TableBase:
    """Rows in key order, as aligned chunks: chunk i of every column has as many rows as chunk i of `keys`."""

    index: int
    """The region's applied index these are the rows of."""
    max_commit_ts: int
    """At least the largest commit timestamp in the range, deletes included: reads at or above it see these rows."""
    keys: tuple[SortedKeys, ...]
    """User keys per chunk, ascending: they cut key ranges out of the base."""
    columns: Mapping[int, tuple[pa.Array, ...]]
    """Chunks by column id: an id keeps its type for ever, while a name may be given to another column."""
    schema: TableSchema
    """The layout the columns were decoded by, for whoever goes on with them."""
    mapped: frozenset[Place] = frozenset()
    """What lies in a file: its memory is page cache."""
    zones: dict[Place, Zone | None] = field(default_factory=dict, compare=False)
    """Those found so far. A zone may be wider than its chunk, which may have been cut."""
    waiting: Mapping[int, tuple[Chunk, ...]] = field(default_factory=dict)
    """Columns, by id as `columns`, with chunks that have changed since they were last asked for: `with_columns` makes
    them. A column is in one of the two."""

    @property
    def row_count(self) -> int:
        return sum(map(len, self.keys))

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of column buffers and keys."""
        held = [*self.columns.values(), *self.waiting.values()]
        arrays: int = sum(array.nbytes for chunks in held for array in chunks)
        return arrays + sum(map(keys_size_bytes, self.keys))

    @cached_property
    def held_bytes(self) -> int:
        """The part of `size_bytes` that is this process's own memory."""
        arrays: int = sum(array.nbytes for array in self._own_arrays())
        return arrays + self._added_bytes + sum(keys_size_bytes(keys) for keys in self._own_keys())

    @property
    def _added_bytes(self) -> int:
        """Of rows that wait to be written into their chunks."""
        chunks = (chunk for column in self.waiting.values() for chunk in column)
        return sum(chunk.added_bytes for chunk in chunks if isinstance(chunk, Pending))

    @property
    def is_mapped(self) -> bool:
        """Whether all of it lies in a file."""
        return not self.waiting and len(self.mapped) == len(self.keys) * (len(self.columns) + 1)

    def _own_arrays(self) -> Iterator[pa.Array]:
        for each, chunks in (*self.columns.items(), *self.waiting.items()):
            for number, chunk in enumerate(chunks):
                if (each, number) not in self.mapped:
                    yield chunk.old if isinstance(chunk, Pending) else chunk

    def _own_keys(self) -> list[SortedKeys]:
        places = enumerate(self.keys)
        return [keys for number, keys in places if (KEYS_ID, number) not in self.mapped or isinstance(keys, list)]

    @property
    def keys_lengths(self) -> list[int]:
        return list(map(len, self.keys))

    def size_beside(self, newer: TableBase) -> int:
        """Bytes that this base holds and `newer`, made from it, does not."""
        shared = set(map(id, newer._own_arrays()))
        arrays: int = sum(array.nbytes for array in self._own_arrays() if id(array) not in shared)
        kept = set(map(id, newer.keys))
        return arrays + sum(keys_size_bytes(keys) for keys in self._own_keys() if id(keys) not in kept)

    def missing(self, column_ids: Sequence[int]) -> list[int]:
        """Those of `column_ids` not decoded yet, in the order asked."""
        return [each for each in column_ids if each not in self.columns and each not in self.waiting]

    @property
    def column_ids(self) -> list[int]:
        """All that are decoded, whether or not they wait for changes."""
        return [*self.columns, *self.waiting]

    def with_columns(self, column_ids: Collection[int]) -> TableBase:
        """The same base, none of these columns waiting any more."""
        ripe = [each for each in column_ids if each in self.waiting]
        if not ripe:
            return self
        columns, mapped, zones = {**self.columns}, set(self.mapped), {**self.zones}
        for each in ripe:
            columns[each] = tuple(_arrived(self, (each, number), mapped, zones) for number in range(len(self.keys)))
        waiting = {each: chunks for each, chunks in self.waiting.items() if each not in columns}
        return replace(self, columns=columns, mapped=frozenset(mapped), zones=zones, waiting=waiting)

    def whole(self) -> TableBase:
        """The same base, no column waiting."""
        return self.with_columns(self.waiting)

    def only(self, column_ids: Sequence[int]) -> TableBase:
        """This base without its other columns."""
        columns = {each: self.columns[each] for each in column_ids}
        kept = {KEYS_ID, *columns}
        mapped = frozenset(place for place in self.mapped if place[0] in kept)
        zones = {place: zone for place, zone in dict(self.zones).items() if place[0] in kept}
        return TableBase(self.index, self.max_commit_ts, self.keys, columns, self.schema, mapped, zones)

    def join(self, other: TableBase) -> TableBase:
        """This base with the columns of `other` added; both must be of the same applied index."""
        assert self.index == other.index, "bases of different applied indexes never mix"
        assert self.row_count == other.row_count, "one applied index has one set of rows"
        added = other if other.keys_lengths == self.keys_lengths else other._cut_like(self)
        newest = max(self.max_commit_ts, other.max_commit_ts)
        columns = {**added.columns, **self.columns}
        held = {**added.waiting, **self.waiting}
        waiting = {each: chunks for each, chunks in held.items() if each not in columns}
        others = {each for each in added.column_ids if each not in self.columns}
        others -= {each for each in self.waiting if each in waiting}
        mapped = {place for place in self.mapped if place[0] not in others}
        mapped |= {place for place in added.mapped if place[0] in others}
        zones = {place: zone for place, zone in dict(added.zones).items() if place[0] in others} | self.zones
        return TableBase(self.index, newest, self.keys, columns, self.schema, frozenset(mapped), zones, waiting)

    def _cut_like(self, other: TableBase) -> TableBase:
        """The same rows in the chunks of `other`."""
        ready, lengths = self.whole(), other.keys_lengths
        columns = {each: _in_chunks(chunks, lengths) for each, chunks in ready.columns.items()}
        return TableBase(self.index, self.max_commit_ts, other.keys, columns, self.schema)

    def within(self, bounds: KeyRange) -> TableBase:
        """The rows inside `bounds`: slices, no copies but for columns that wait."""
        if self.waiting:
            return self.whole().within(bounds)
        cut = [
            (number, low, high) for number, keys in enumerate(self.keys) for low, high in positions_in(keys, [bounds])
        ]
        chosen = cut or [(0, 0, 0)]
        keys = tuple(self.keys[number][low:high] for number, low, high in chosen)
        columns = {
            each: tuple(chunks[number].slice(low, high - low) for number, low, high in chosen)
            for each, chunks in self.columns.items()
        }
        places = [(each, new, old) for new, (old, _, _) in enumerate(chosen) for each in (KEYS_ID, *columns)]
        mapped = frozenset((each, new) for each, new, old in places if (each, old) in self.mapped)
        zones = {(each, new): self.zones[each, old] for each, new, old in places if (each, old) in self.zones}
        return TableBase(self.index, self.max_commit_ts, keys, columns, self.schema, mapped, zones)

    def beside(self, other: TableBase) -> TableBase:
        """The rows of two neighbours, with the columns both have, as of this base's index."""
        first, second = sorted((self.whole(), other.whole()), key=_first_key)
        parts = [part for part in (first, second) if part.row_count] or [first]
        keys = tuple(keys for part in parts for keys in part.keys)
        shared = [each for each in first.columns if each in second.columns]
        columns = {each: tuple(chunk for part in parts for chunk in part.columns[each]) for each in shared}
        newest = max(self.max_commit_ts, other.max_commit_ts)
        mapped, zones = _places_beside(parts, columns)
        return TableBase(self.index, newest, keys, columns, self.schema, mapped, zones)

    def unwanted(self, uses: Sequence[Use]) -> frozenset[int]:
        """The numbers of the chunks of which none of `uses`, if there are any, wants a row."""
        ids = {column.name.lower(): column.id for column in self.schema.columns}
        if not uses:
            return frozenset()
        wanted = [[ids.get(bounds.column) for bounds in use] for use in uses]

        def zones(number: int) -> list[list[Zone | None]]:
            return [[None if each is None else self.zone(each, number) for each in columns] for columns in wanted]

        return frozenset(number for number in range(len(self.keys)) if not is_wanted(zones(number), uses))

    def zone(self, column_id: int, number: int) -> Zone | None:
        """The zone of a chunk, found now if it was not yet; None if it has none."""
        place = column_id, number
        if place not in self.zones and column_id in self.columns:
            self.zones[place] = zone_of(self.columns[column_id][number])
        return self.zones.get(place)

    def find_zones(self) -> None:
        """All that are not known yet; takes a tenth of a millisecond for a chunk of a column."""
        for column_id, chunks in self.columns.items():
            if has_zones(chunks[0].type):
                for number in range(len(chunks)):
                    self.zone(column_id, number)

    def batches(
        self,
        column_ids: Sequence[int],
        schema: pa.Schema,
        ranges: Sequence[KeyRange],
        without: Collection[int] = (),
    ) -> list[pa.RecordBatch]:
        """The rows within `ranges` (disjoint, ascending), in key order: slices, no copies. Chunks `without` are left
        out.

        `schema` has one field per column id, in the same order; at least one, or the row count would be lost.
        """
        found = []
        for number, keys in enumerate(self.keys):
            if number in without:
                continue
            arrays = [self.columns[column_id][number] for column_id in column_ids]
            for low, high in positions_in(keys, ranges):
                sliced = [array.slice(low, high - low) for array in arrays]
                found.append(pa.RecordBatch.from_arrays(sliced, schema=schema))
        return found


def _arrived(base: TableBase, place: Place, mapped: set[Place], zones: dict[Place, Zone | None]) -> pa.Array:
    """A chunk that waits no longer; notes in `mapped` and `zones` what became of it."""
    chunk = base.waiting[place[0]][place[1]]
    if not isinstance(chunk, Pending):
        return chunk
    array = chunk.array()
    if array is not chunk.old:
        mapped.discard(place)
    zone = chunk.zone if array is chunk.old else chunk.new_zone()
    if zone is not None:
        zones[place] = zone
    return array


def _places_beside(
    parts: Sequence[TableBase], columns: Iterable[int]
) -> tuple[frozenset[Place], dict[Place, Zone | None]]:
    """What is mapped and which zones are known of `columns` when `parts` are put one after the other."""
    kept, before = {KEYS_ID, *columns}, 0
    mapped: set[Place] = set()
    zones: dict[Place, Zone | None] = {}
    for part in parts:
        mapped |= {(each, before + number) for each, number in part.mapped if each in kept}
        known = dict(part.zones).items()
        zones |= {(each, before + number): zone for (each, number), zone in known if each in kept}
        before += len(part.keys)
    return frozenset(mapped), zones


def _first_key(base: TableBase) -> bytes:
    return key_at(base.keys[0], 0) if base.row_count else b""


def _in_chunks(arrays: tuple[pa.Array, ...], lengths: Sequence[int]) -> tuple[pa.Array, ...]:
    """The same values in chunks of `lengths`."""
    if list(map(len, arrays)) == list(lengths):
        return arrays
    whole = pa.concat_arrays(arrays)
    ends = accumulate(lengths)
    return tuple(whole.slice(end - length, length) for end, length in zip(ends, lengths, strict=True))
