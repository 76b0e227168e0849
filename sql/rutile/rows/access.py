"""A table as the executor uses it: its codecs and converters, made once a definition, and keys from rows."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence

from rutile.catalog.foreign_keys import TableName
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.errors import SqlError, duplicate_entry
from rutile.rows.changing import changing_of, rows_of
from rutile.rows.conversion import Converter, converter_for
from rutile.rows.index_access import IndexAccess
from rutile.rows.links import TableLinks
from rutile.rows.local_conversion import local_converter
from rutile.rows.partitions import STEM_LENGTH, Partitions
from rutile.rows.readings import text_of
from rutile.rows.row_rules import RowRules
from rutile_coprocessor.handles import HandleCodec
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Kind, Scalar, TableSchema
from rutile_proto import codec, keys

Row = tuple[Scalar, ...]
MAX_ZONES = 16
"""Zones in which a table's converters are kept."""
MAX_TABLES = 4_096
"""Tables whose codecs are kept."""


class TableAccess:
    """What turns rows of one table into keys and values, and back."""

    def __init__(self, info: TableInfo) -> None:
        self.info = info
        self.schema: TableSchema = info.schema
        changing = changing_of(info)
        self.rows: RowCodec = rows_of(self.schema, changing)
        self.handles = HandleCodec(self.schema)
        self.converters: tuple[Converter, ...] = tuple(converter_for(column) for column in self.schema.columns)
        ids = [column.id for column in self.schema.columns]
        self.key_positions: tuple[int, ...] = tuple(ids.index(column_id) for column_id in self.schema.primary_key)
        self.prefix = keys.record_prefix(self.schema.table_id)
        self.range = keys.table_range(self.schema.table_id)
        self.partitions: Partitions | None = None
        """How rows find their partitions; None for most tables."""
        self.parts: tuple[TableAccess, ...] = ()
        """Its partitions, each as a table of its own."""
        if info.partitioning is not None:
            self.partitions = Partitions(info.partitioning, info.schema)
            self.parts = tuple(TableAccess(info.of_partition(each)) for each in info.partitioning.partitions)
        self.rules = RowRules(info) if info.rules else None
        """Generated columns and CHECKs; None for most tables."""
        self.zone = "UTC"
        """In which zone statements read and write its TIMESTAMPs."""
        self._in_zones: dict[str, TableAccess] = {}
        self.links: TableLinks | None = None
        """Foreign keys at either end; None for a table that has none, or was made outside of a catalogue."""
        self.indexes: tuple[IndexAccess, ...] = tuple(
            IndexAccess(self.schema, index, self.partitions, changing) for index in info.indexes
        )
        self.unique_indexes = tuple(index for index in self.indexes if index.info.unique and index.is_written)
        self.unfinished_indexes = tuple(
            index for index in self.indexes if index.info.unique and not index.info.is_public
        )
        """Unique indexes that are being made, or given up: a row may lack its entry, and another have it."""

        self.point_indexes = tuple(index for index in self.unique_indexes if index.names_rows)
        """Unique indexes by which single rows can be found."""
        self.point_positions = frozenset(
            (*self.key_positions, *(at for index in self.point_indexes for at in index.positions))
        )

    @property
    def physical(self) -> tuple[TableAccess, ...]:
        """What its rows lie in: itself, or its partitions in key order."""
        return tuple(sorted(self.parts, key=lambda part: part.prefix)) if self.partitions is not None else (self,)

    @property
    def ranges(self) -> tuple[tuple[bytes, bytes], ...]:
        """Where all its rows lie, in key order."""
        return tuple(each.range for each in self.physical)

    @property
    def has_timestamps(self) -> bool:
        """Whether a time zone matters to what statements see of it."""
        return any(column.type.kind is Kind.TIMESTAMP for column in self.schema.columns)

    @property
    def is_local(self) -> bool:
        """Whether its TIMESTAMPs are read and written as other times than they are stored."""
        return self.zone != "UTC" and self.has_timestamps

    def in_zone(self, zone: str) -> TableAccess:
        """The same table as a session of another zone writes to it."""
        if zone == self.zone:
            return self
        known = self._in_zones.get(zone)
        if known is None:
            if len(self._in_zones) >= MAX_ZONES:
                self._in_zones.clear()
            known = self._in_zones[zone] = copy.copy(self)
            known.zone = zone
            pairs = zip(self.schema.columns, self.converters, strict=True)
            known.converters = tuple(local_converter(column, convert, zone) for column, convert in pairs)
        known.links = self.links
        return known

    @property
    def is_hidden(self) -> bool:
        """Whether rows are named by a row id rather than by their primary key."""
        return self.schema.handle == "hidden"

    @property
    def auto_increment_position(self) -> int | None:
        """Where the AUTO_INCREMENT column is, if there is one."""
        for position, column in enumerate(self.schema.columns):
            if column.auto_increment:
                return position
        return None

    @property
    def generated_position(self) -> int | None:
        """Where the column is that rows may leave to the database: AUTO_INCREMENT or AUTO_RANDOM."""
        return self.key_positions[0] if self.info.auto_random is not None else self.auto_increment_position

    def takes_value(self, position: int) -> bool:
        """Whether statements give this column values: not if it is generated."""
        return self.rules is None or position not in self.rules.generated_positions

    def key_of_row(self, row: Sequence[Scalar], row_id: int | None = None) -> bytes:
        """The key of a row; `row_id` for tables without a primary key. Raises 1526 if it has no partition."""
        if self.partitions is not None:
            return self._key_in(self.partitions.stem_of(row), row, row_id)
        if row_id is not None:
            return self.prefix + keys.int_handle(row_id)
        return self.key_of([row[position] for position in self.key_positions])

    def _key_in(self, stem: bytes, row: Sequence[Scalar], row_id: int | None) -> bytes:
        if row_id is not None:
            return stem + keys.RECORD_MARK + keys.int_handle(row_id)
        return stem + keys.RECORD_MARK + self.handles.encode([row[position] for position in self.key_positions])

    def key_of(self, key: Sequence[Scalar]) -> bytes:
        """The key of the row with this primary key, which has the columns that choose its partition. Raises 1526."""
        if self.partitions is not None:
            row: list[Scalar] = [None] * len(self.schema.columns)
            for position, value in zip(self.key_positions, key, strict=True):
                row[position] = value
            return self.key_of_row(row)
        return self.prefix + self.handles.encode(key)

    def row_id_of(self, key: bytes) -> int:
        """The row id in a key of a table without primary key."""
        return int.from_bytes(key[len(self.prefix) :], "big") - (1 << 63)

    def handle_of(self, key: bytes) -> bytes:
        """The handle in a row key."""
        return key[len(self.prefix) :]

    def is_row_key(self, key: bytes) -> bool:
        """Whether a key of the table is a row's, not an index entry's."""
        return key.startswith(keys.RECORD_MARK, STEM_LENGTH)

    def row_key_beside(self, entry_key: bytes, handle: bytes) -> bytes:
        """The key of the row that an index entry leads to: it is in the entry's partition."""
        return entry_key[:STEM_LENGTH] + keys.RECORD_MARK + handle

    def moves(self, old: Row, new: Row) -> bool:
        """Whether the change takes the row to another key. Raises 1526."""
        if self.is_hidden:
            return self.partitions is not None and self.partitions.stem_of(old) != self.partitions.stem_of(new)
        return any(new[position] != old[position] for position in self.key_positions)

    def duplicate(self, key: bytes) -> SqlError:
        """1062 for a row's key, or an index entry's, that exists already."""
        for index in self.indexes:
            if key.startswith(index.prefix[STEM_LENGTH:], STEM_LENGTH):
                return duplicate_entry(_shown(index.values_of(key)), index.info.name)
        if self.is_hidden:
            return duplicate_entry(str(self.row_id_of(key)))
        return duplicate_entry(_shown(self.handles.decode(self.handle_of(key))))


def _shown(values: Sequence[Scalar]) -> str:
    return "-".join("NULL" if value is None else text_of(value) for value in values)


class TableAccesses:
    """Keeps one TableAccess a table, the last used ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, TableAccess] = OrderedDict()
        self._linked_at: dict[int, int] = {}
        """The version of the catalogue that the tables a linked one leads to are of."""
        self._table_of: dict[int, int] = {}
        """The tables of partitions, by their ids."""

    def of(self, info: TableInfo, catalog: CatalogSnapshot) -> TableAccess:
        """The access of a table's current definition, which is in `catalog`."""
        known = self._known.get(info.table_id)
        linked_at = self._linked_at.get(info.table_id, catalog.version)
        if known is None or known.info != info or linked_at != catalog.version:
            if known is not None:
                self._forget(info.table_id, known)
            known = self._known[info.table_id] = self._made(info, catalog)
        self._known.move_to_end(info.table_id)
        if len(self._known) > MAX_TABLES:
            self._forget(*self._known.popitem(last=False))
        return known

    def _forget(self, table_id: int, table: TableAccess) -> None:
        self._linked_at.pop(table_id, None)
        for part in table.parts:
            self._table_of.pop(part.schema.table_id, None)

    def _made(self, info: TableInfo, catalog: CatalogSnapshot) -> TableAccess:
        made = TableAccess(info)
        self._table_of.update((each.schema.table_id, info.table_id) for each in made.parts)
        self._linked_at.pop(info.table_id, None)
        if info.foreign_keys or info.referrers:
            self._linked_at[info.table_id] = catalog.version
            made.links = TableLinks(made, lambda key: self._linked(key, catalog))
        return made

    def _linked(self, key: TableName, catalog: CatalogSnapshot) -> TableAccess | None:
        info = catalog.tables.get(key)
        return self.of(info, catalog) if info is not None else None

    def of_key(self, key: bytes) -> TableAccess | None:
        """The table that the key of a row or an index entry belongs to, if it has been used here lately."""
        if not key.startswith(keys.TABLE_PREFIX):
            return None
        physical_id = codec.decode_int64(key, 1)[0]
        return self._known.get(self._table_of.get(physical_id, physical_id))
