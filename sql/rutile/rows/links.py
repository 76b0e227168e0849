"""Foreign keys as the executor uses them: both tables of each, and the way to the rows at either end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rutile.catalog.foreign_keys import ForeignKey, TableName, key_of
from rutile.rows.index_access import IndexAccess
from rutile.session.storage import KeyRange, KvSnapshot
from rutile_coprocessor.schema import Scalar
from rutile_coprocessor.value_errors import ColumnValueError
from rutile_proto.keys import prefix_next

if TYPE_CHECKING:
    from rutile.rows.access import Row, TableAccess

Values = tuple[Scalar, ...]
PAGE = 2_048


@dataclass(frozen=True)
class Link:
    """A foreign key with its tables; the parent may be missing (foreign_key_checks = 0)."""

    foreign: ForeignKey
    child: TableAccess
    parent: TableAccess | None

    @cached_property
    def child_positions(self) -> tuple[int, ...]:
        ids = [column.id for column in self.child.schema.columns]
        return tuple(ids.index(column_id) for column_id in self.foreign.column_ids)

    @cached_property
    def parent_positions(self) -> tuple[int, ...]:
        assert self.parent is not None
        return tuple(self.parent.schema.index_of(name) for name in self.foreign.parent_columns)

    def wanted(self, row: Row) -> Values | None:
        """What the parent of this child must have; None if the row, with a NULL, needs no parent."""
        return _values(row, self.child_positions)

    def offered(self, row: Row) -> Values | None:
        """What children of this parent have; None if, with a NULL, it can have none."""
        return _values(row, self.parent_positions)

    @cached_property
    def to_children(self) -> KeyPath:
        return KeyPath(self.child, self.child_positions)

    @cached_property
    def to_parents(self) -> KeyPath:
        assert self.parent is not None
        return KeyPath(self.parent, self.parent_positions)


def _values(row: Row, positions: Sequence[int]) -> Values | None:
    values = tuple(row[position] for position in positions)
    return None if None in values else values


class TableLinks:
    """The foreign keys at both ends of a table; other tables are looked up when they are asked for."""

    def __init__(self, table: TableAccess, find: Callable[[TableName], TableAccess | None]) -> None:
        self._table = table
        self._find = find

    @cached_property
    def parents(self) -> tuple[Link, ...]:
        """The table's own foreign keys."""
        return tuple(self._link(self._table, foreign) for foreign in self._table.info.foreign_keys)

    @cached_property
    def children(self) -> tuple[Link, ...]:
        """Those that lead to it."""
        found = []
        for referrer in self._table.info.referrers:
            child = self._find(referrer.key)
            if child is not None:
                named = (each for each in child.info.foreign_keys if each.name == referrer.foreign_key)
                found += [Link(foreign, child, self._table) for foreign in named]
        return tuple(found)

    def _link(self, child: TableAccess, foreign: ForeignKey) -> Link:
        key = foreign.parent[0].lower(), foreign.parent[1].lower()
        return Link(foreign, child, self._table if key == key_of(child.info) else self._find(key))


def with_linked(tables: Sequence[TableAccess]) -> Sequence[TableAccess]:
    """The tables, and those that a change of their rows may look into or change as well: their children, and theirs."""
    if all(table.links is None for table in tables):
        return tables
    found: dict[int, TableAccess] = {}
    waiting = list(tables)
    while waiting:
        table = waiting.pop()
        if found.setdefault(table.schema.table_id, table) is table and table.links is not None:
            waiting += [link.child for link in table.links.children if link.child.schema.table_id not in found]
    return list(found.values())


class KeyPath:
    """The way to the rows of a table that have given values in some columns: its best key that begins with them."""

    def __init__(self, table: TableAccess, positions: tuple[int, ...]) -> None:
        self._table = table
        self._positions = positions
        self._by_key = table.key_positions[: len(positions)] == positions
        self._is_row = self._by_key and len(table.key_positions) == len(positions)
        fitting = [index for index in table.indexes if _leads(index, positions)]
        exact = [index for index in fitting if index.names_rows and len(index.positions) == len(positions)]
        self._index = next(iter([*exact, *fitting]), None)
        self._is_entry = bool(exact)

    async def rows(self, reader: KvSnapshot, values: Values, ts: int, limit: int | None = None) -> dict[bytes, Row]:
        """Row keys to rows as `reader`, who sees what was committed by `ts`, has them; `limit` of them at most."""
        try:
            keys = await self._keys(reader, values, ts, limit)
        except ColumnValueError:
            return {}  # a value that the column cannot hold is in no row
        if keys is None:
            return await self._scan(reader, self._table.range, values, limit)
        decode = self._table.rows.decode_row
        return {key: decode(value) for key, value in (await reader.batch_get(keys)).items()}

    async def first_keys(self, reader: KvSnapshot, wanted: Iterable[Values], ts: int) -> dict[Values, bytes]:
        """For each of `wanted` that a row has, the key of such a row."""
        if self._is_row:
            keys = {values: key for values in wanted if (key := self._row_key(values)) is not None}
            there = await reader.batch_get(keys.values())
            return {values: key for values, key in keys.items() if key in there}
        found: dict[Values, bytes] = {}
        for values in wanted:
            for key in await self.rows(reader, values, ts, limit=1):
                found[values] = key
        return found

    def _row_key(self, values: Values) -> bytes | None:
        try:
            return self._table.key_of(values)
        except ColumnValueError:
            return None

    async def _keys(self, reader: KvSnapshot, values: Values, ts: int, limit: int | None) -> list[bytes] | None:
        """The keys of the rows; None if no key leads there at `ts`."""
        table, index = self._table, self._index
        if self._is_row:
            return [table.key_of(values)]
        if self._by_key:
            prefix = table.prefix + table.handles.encode_prefix(values)
            return [key for key, _ in await reader.scan(prefix, prefix_next(prefix), limit)]
        if index is None or index.info.readable_from > ts:
            return None
        prefix = index.prefix + index.codec.encode(values)
        if self._is_entry:
            handle = await reader.get(prefix)
            return [] if handle is None else [table.prefix + handle]
        entries = await reader.scan(prefix, prefix_next(prefix), limit)
        return [table.prefix + index.read(key, value)[1] for key, value in entries]

    async def _scan(self, reader: KvSnapshot, rows: KeyRange, values: Values, limit: int | None) -> dict[bytes, Row]:
        """The same by looking at every row: the index is younger than what `reader` sees."""
        found: dict[bytes, Row] = {}
        start, end = rows
        while page := await reader.scan(start, end, PAGE):
            for key, value in page:
                row = self._table.rows.decode_row(value)
                if _values(row, self._positions) == values:
                    found[key] = row
                    if len(found) == limit:
                        return found
            start = page[-1][0] + b"\0"
        return found


def _leads(index: IndexAccess, positions: tuple[int, ...]) -> bool:
    parts = index.info.columns[: len(positions)]
    whole = all(part.length is None for part in parts)
    return index.info.is_public and whole and index.positions[: len(positions)] == positions
