"""An index as the executor uses it: entries from rows, handles from entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rutile.catalog.indexes import IndexInfo, IndexState
from rutile.errors import SqlError
from rutile.rows.changing import ChangingColumn
from rutile.rows.partitions import STEM_LENGTH, Partitions
from rutile_coprocessor.index_entries import IndexCodec
from rutile_coprocessor.schema import Scalar, TableSchema
from rutile_proto import keys

HANDLE_IN_KEY = b"0"
"""The value of an entry whose key ends with the row's handle; TiDB writes the same."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What an index holds for one row. `distinct` entries have the handle in the value: no other may have the key."""

    key: bytes
    value: bytes
    distinct: bool


class IndexAccess:
    """What turns rows into the entries of one index, and entries into handles."""

    def __init__(
        self,
        schema: TableSchema,
        info: IndexInfo,
        partitions: Partitions | None = None,
        changing: ChangingColumn | None = None,
    ) -> None:
        """Of a partitioned table `prefix` is right from its id on: entries begin as their rows' keys do."""
        self.info = info
        self._partitions = partitions
        by_id = {column.id: (position, column) for position, column in enumerate(schema.columns)}
        self._changing = changing if changing is not None and changing.column.id in info.column_ids else None
        """The column it has that is becoming another; its value is made of the old one's."""
        if self._changing is not None:
            by_id[self._changing.column.id] = self._changing.position, self._changing.column
        self.positions = tuple(by_id[part.column_id][0] for part in info.columns)
        self.columns = tuple(by_id[part.column_id][1] for part in info.columns)
        self.codec = IndexCodec([(by_id[part.column_id][1], part.length) for part in info.columns])
        self.prefix = keys.index_prefix(schema.table_id, info.id)
        self.range = keys.index_range(schema.table_id, info.id)

    @property
    def is_written(self) -> bool:
        """Whether rows written make entries; a `delete only` index just loses those of rows that go."""
        return self.info.state is not IndexState.DELETE_ONLY

    @property
    def names_rows(self) -> bool:
        """Whether a value of every column leads to one row at most, and queries may go that way."""
        whole = all(part.length is None for part in self.info.columns)
        return self.info.unique and self.info.is_public and whole

    def entry_before(self, row: Sequence[Scalar], handle: bytes) -> IndexEntry | None:
        """The entry that a row of before may have; None for a row that cannot have one, its value being none that the
        column it is becoming can hold."""
        try:
            return self.entry(row, handle)
        except SqlError:
            if self._changing is None:
                raise
            return None

    def entry(self, row: Sequence[Scalar], handle: bytes) -> IndexEntry:
        """The entry of a row with this handle."""
        values = [row[position] for position in self.positions]
        if self._changing is not None:
            at = self.columns.index(self._changing.column)
            values[at] = self._changing.value_of(row)
        prefix = self.prefix
        if self._partitions is not None:
            prefix = self._partitions.stem_of(row) + prefix[STEM_LENGTH:]
        key = prefix + self.codec.encode(values)
        if self.info.unique and None not in values:
            return IndexEntry(key, handle, distinct=True)
        return IndexEntry(key + handle, HANDLE_IN_KEY, distinct=False)

    def read(self, key: bytes, value: bytes) -> tuple[list[Scalar], bytes]:
        """(values of the columns, the row's handle) of an entry."""
        values, end = self.codec.decode(key, len(self.prefix))
        in_value = self.info.unique and None not in values
        return values, value if in_value else key[end:]

    def values_of(self, key: bytes) -> list[Scalar]:
        """The values in an entry's key."""
        return self.codec.decode(key, len(self.prefix))[0]
