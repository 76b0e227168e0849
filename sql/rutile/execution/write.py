"""Rows into the transaction's buffer: the one place where a row becomes a put, an insert or a delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rutile.access import Row, TableAccess
from rutile.errors import SqlError
from rutile.expressions.compile import Environment, Evaluate
from rutile.expressions.functions import moment_function
from rutile.parse_tree import parse_expression
from rutile.storage import KvTransaction
from rutile_coprocessor.schema import Scalar
from rutile_proto.errors import AlreadyExist


class RowWriter:
    """Writes rows of one table within one statement of a transaction."""

    def __init__(self, table: TableAccess, txn: KvTransaction, environment: Environment) -> None:
        self.table = table
        self._txn = txn
        self._environment = environment
        self._on_update = _moments(table, environment)

    def insert(self, row: Row, row_id: int | None = None) -> bytes:
        """A new row; returns its key. Raises 1062 if this transaction wrote one there; commit finds the others."""
        key = self.table.key_of_row(row, row_id)
        try:
            self._txn.insert(key, self.table.rows.encode_row(row))
        except AlreadyExist as error:
            raise self.table.duplicate(key) from error
        return key

    def replace(self, key: bytes, row: Row) -> None:
        """Overwrite the row at `key`, whose primary key `row` has."""
        self._txn.put(key, self.table.rows.encode_row(row))

    def delete(self, key: bytes) -> None:
        self._txn.delete(key)

    async def update(self, key: bytes, old: Row, new: Row) -> bool:
        """Write `new` over `old`; whether anything changed. A changed primary key moves the row (1062 if taken)."""
        if new == old:
            return False
        moved = not self.table.is_hidden and any(new[at] != old[at] for at in self.table.key_positions)
        if not moved:
            self.replace(key, new)
            return True
        new_key = self.table.key_of_row(new)
        if await self._txn.get(new_key) is not None:
            raise self.table.duplicate(new_key)
        self._txn.delete(key)
        self._txn.insert(new_key, self.table.rows.encode_row(new))
        return True

    def assign(
        self, old: Row, assignments: Sequence[tuple[int, Evaluate]], row_number: int, beside: Sequence[Any] = ()
    ) -> Row:
        """`old` with new values, converted to their columns; later assignments see earlier ones, as in MySQL.

        `beside` follows the row when expressions are evaluated (ON DUPLICATE KEY UPDATE's VALUES()).
        """
        row: list[Any] = list(old)
        for position, evaluate in assignments:
            value = evaluate([*row, *beside], self._environment)
            row[position] = self.table.converters[position](value, row_number)
        return self.touched(old, row, {position for position, _ in assignments})

    def touched(self, old: Row, row: list[Scalar], assigned: set[int]) -> Row:
        """`row` with ON UPDATE CURRENT_TIMESTAMP applied, if it differs from `old`."""
        if tuple(row) != old:
            for position, moment in self._on_update:
                if position not in assigned:
                    row[position] = moment
        return tuple(row)


def _moments(table: TableAccess, environment: Environment) -> list[tuple[int, Scalar]]:
    """(position, value) of each ON UPDATE column."""
    return [
        (position, moment_value(column.on_update_sql, environment))
        for position, column in enumerate(table.schema.columns)
        if column.on_update_sql
    ]


def moment_value(sql: str, environment: Environment) -> Any:
    """The value of a stored CURRENT_TIMESTAMP expression."""
    moment = moment_function(parse_expression(sql))
    if moment is None:
        raise SqlError(1105, f"a stored default is not understood: {sql}")
    return moment(environment)
