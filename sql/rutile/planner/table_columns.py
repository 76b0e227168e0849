"""Finds the columns of one table for the expression compiler."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import unknown_column
from rutile.expressions.compile import NotCompilable
from rutile_coprocessor.schema import ColumnType, Kind, TableSchema

INSERTED = "_rutile_values"
"""The table name under which ON DUPLICATE KEY UPDATE finds the row that was to be inserted."""


class TableColumns:
    """Columns of `schema`, written bare or with one of `names` (the table's name or its alias) in front.

    With `with_inserted`, the compiled row is the existing row followed by the row to insert, and the latter's columns
    are found under the table name INSERTED.
    """

    def __init__(
        self, schema: TableSchema, names: tuple[str, ...] = (), *, with_inserted: bool = False, is_local: bool = False
    ) -> None:
        self._schema = schema
        self._names = {name.lower() for name in (names or (schema.name,))}
        self._with_inserted = with_inserted
        self._is_local = is_local

    def numbered(self, column: exp.Column) -> ColumnType | None:
        """The type of an ENUM or SET column, whose texts also count as numbers; None of others."""
        found = self._schema.column(column.name).type
        return found if found.is_enumerated else None

    def find(self, column: exp.Column) -> tuple[int, bool]:
        """(position in the row, unsigned). Raises 1054; NotCompilable for a TIMESTAMP that the row has not as it is
        read, in a session of another time zone (`is_local`)."""
        if self._is_local and self.place(column)[2].kind is Kind.TIMESTAMP:
            raise NotCompilable("a TIMESTAMP in another time zone")
        return self.place(column)[:2]

    def place(self, column: exp.Column) -> tuple[int, bool, ColumnType]:
        """(position in the row, unsigned, type), also of a column that is assigned to. Raises 1054."""
        offset = 0
        if self._with_inserted and column.table == INSERTED:
            offset = len(self._schema.columns)
        elif column.table and column.table.lower() not in self._names:
            raise unknown_column(f"{column.table}.{column.name}")
        if not self._schema.has_column(column.name):
            raise unknown_column(column.name)
        found = self._schema.column(column.name)
        return self._schema.index_of(column.name) + offset, found.type.unsigned and found.type.is_integer, found.type
