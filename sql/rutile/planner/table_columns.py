"""Finds the columns of one table for the expression compiler."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import unknown_column
from rutile_coprocessor.schema import ColumnType, TableSchema

INSERTED = "_rutile_values"
"""The table name under which ON DUPLICATE KEY UPDATE finds the row that was to be inserted."""


class TableColumns:
    """Columns of `schema`, written bare or with one of `names` (the table's name or its alias) in front.

    With `with_inserted`, the compiled row is the existing row followed by the row to insert, and the latter's columns
    are found under the table name INSERTED.
    """

    def __init__(self, schema: TableSchema, names: tuple[str, ...] = (), *, with_inserted: bool = False) -> None:
        self._schema = schema
        self._names = {name.lower() for name in (names or (schema.name,))}
        self._with_inserted = with_inserted

    def numbered(self, column: exp.Column) -> ColumnType | None:
        """The type of an ENUM or SET column, whose texts also count as numbers; None of others."""
        found = self._schema.column(column.name).type
        return found if found.is_enumerated else None

    def find(self, column: exp.Column) -> tuple[int, bool]:
        """(position in the row, unsigned). Raises 1054."""
        offset = 0
        if self._with_inserted and column.table == INSERTED:
            offset = len(self._schema.columns)
        elif column.table and column.table.lower() not in self._names:
            raise unknown_column(f"{column.table}.{column.name}")
        if not self._schema.has_column(column.name):
            raise unknown_column(column.name)
        found = self._schema.column(column.name)
        return self._schema.index_of(column.name) + offset, found.type.unsigned and found.type.is_integer
