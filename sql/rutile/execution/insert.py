"""INSERT, REPLACE, INSERT IGNORE and ON DUPLICATE KEY UPDATE, given the values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rutile import errors
from rutile.access import Row, TableAccess
from rutile.catalog.identifiers import IdAllocator
from rutile.catalog.meta import auto_increment_key, row_id_key
from rutile.errors import SqlError
from rutile.execution.write import RowWriter, moment_value
from rutile.expressions.compile import Environment
from rutile.planner.insert import InsertPlan, OnDuplicate
from rutile.storage import KvTransaction
from rutile_coprocessor.schema import Column, Scalar
from rutile_proto.errors import AlreadyExist

DEFAULT = object()
"""Stands for DEFAULT among the values of a row."""


@dataclass(slots=True)
class InsertOutcome:
    """What an INSERT did. `affected_rows` counts as MySQL does: 2 for a row replaced or updated."""

    affected_rows: int = 0
    records: int = 0
    duplicates: int = 0
    last_insert_id: int = 0

    @property
    def info(self) -> str:
        if self.records < 2:
            return ""
        return f"Records: {self.records}  Duplicates: {self.duplicates}  Warnings: 0"


def evaluate_rows(plan: InsertPlan, environments: Sequence[Environment]) -> list[list[object]]:
    """The values of VALUES: each row of the plan with each environment (one a row for a shape shared by many rows)."""
    return [
        [DEFAULT if evaluate is None else evaluate((), environment) for evaluate in row]
        for environment in environments
        for row in plan.rows
    ]


class Inserter:
    """Runs one INSERT within a transaction."""

    def __init__(
        self, plan: InsertPlan, txn: KvTransaction, ids: IdAllocator, environment: Environment, *, check_now: bool
    ) -> None:
        self._plan = plan
        self._table = plan.table
        self._txn = txn
        self._ids = ids
        self._environment = environment
        self._check_now = check_now
        self._writer = RowWriter(plan.table, txn, environment)
        self._outcome = InsertOutcome()

    async def run(self, values: Sequence[Sequence[object]]) -> InsertOutcome:
        """Insert the rows. With `check_now`, keys are looked up before they are written, so that 1062 comes from this
        statement; without it, from the commit. Raises 1048, 1062, 1364 and what conversions raise."""
        rows = await self._complete(values)
        self._outcome.records = len(rows)
        if self._table.is_hidden:
            await self._insert_hidden(rows)
        elif self._plan.on_duplicate is OnDuplicate.FAIL:
            await self._insert_all(rows)
        else:
            await self._insert_each(rows)
        return self._outcome

    # --- rows ---

    async def _complete(self, values: Sequence[Sequence[object]]) -> list[Row]:
        """Full rows in schema order: values converted, defaults and generated ids filled in."""
        fill = _Filler(self._table, self._plan.positions, self._environment)
        rows = [fill.row(given, number) for number, given in enumerate(values, start=1)]
        position = self._table.auto_increment_position
        if position is not None:
            await self._generate_ids(rows, position)
        return [tuple(row) for row in rows]

    async def _generate_ids(self, rows: list[list[Any]], position: int) -> None:
        """NULL and 0 become the next AUTO_INCREMENT value; explicit values move the counter, for the rows after."""
        key = auto_increment_key(self._table.schema.table_id)
        convert = self._table.converters[position]
        for is_missing, run in itertools.groupby(enumerate(rows, start=1), lambda item: not item[1][position]):
            numbered = list(run)
            if not is_missing:
                await self._ids.rebase(key, max(row[position] for _, row in numbered))
                continue
            first = await self._ids.take(key, len(numbered))
            for generated, (number, row) in enumerate(numbered, start=first):
                row[position] = convert(generated, number)
            self._outcome.last_insert_id = self._outcome.last_insert_id or first

    # --- writing ---

    async def _insert_hidden(self, rows: list[Row]) -> None:
        """Without a primary key nothing can be there already."""
        if not rows:
            return
        row_id = await self._ids.take(row_id_key(self._table.schema.table_id), len(rows))
        for offset, row in enumerate(rows):
            self._txn.put(self._table.key_of_row(row, row_id + offset), self._table.rows.encode_row(row))
        self._outcome.affected_rows = len(rows)

    async def _insert_all(self, rows: list[Row]) -> None:
        if self._check_now:
            existing = await self._txn.batch_get([self._table.key_of_row(row) for row in rows])
            if existing:
                raise self._table.duplicate(min(existing))
        for row in rows:
            self._writer.insert(row)
        self._outcome.affected_rows = len(rows)

    async def _insert_each(self, rows: list[Row]) -> None:
        """Row by row against what is there, earlier rows of this statement included."""
        keys = [self._table.key_of_row(row) for row in rows]
        stored = await self._txn.batch_get(list(dict.fromkeys(keys)))
        present: dict[bytes, Row] = {key: self._table.rows.decode_row(value) for key, value in stored.items()}
        for number, (key, row) in enumerate(zip(keys, rows, strict=True), start=1):
            existing = present.get(key)
            if existing is None:
                self._insert_new(key, row)
                present[key] = row
            else:
                present[key] = await self._meet(key, existing, row, number)

    def _insert_new(self, key: bytes, row: Row) -> None:
        try:
            self._txn.insert(key, self._table.rows.encode_row(row))
        except AlreadyExist as error:
            raise self._table.duplicate(key) from error
        self._outcome.affected_rows += 1

    async def _meet(self, key: bytes, existing: Row, row: Row, number: int) -> Row:
        """The key exists: what then; returns the row that is there afterwards."""
        self._outcome.duplicates += 1
        match self._plan.on_duplicate:
            case OnDuplicate.IGNORE:
                return existing
            case OnDuplicate.REPLACE:
                self._writer.replace(key, row)
                self._outcome.affected_rows += 1 if row == existing else 2
                return row
        updated = self._writer.assign(existing, self._plan.assignments, number, beside=row)
        if await self._writer.update(key, existing, updated):
            self._outcome.affected_rows += 2
        return updated


class _Filler:
    """Makes full rows of the values given."""

    def __init__(self, table: TableAccess, positions: Sequence[int], environment: Environment) -> None:
        self._table = table
        self._positions = positions
        self._environment = environment
        given = set(positions)
        self._missing = [at for at in range(len(table.schema.columns)) if at not in given]
        self._automatic = table.auto_increment_position

    def row(self, values: Sequence[object], number: int) -> list[Any]:
        """One row, its AUTO_INCREMENT value still None or 0 if it is to be generated."""
        row: list[Any] = [None] * len(self._table.schema.columns)
        for position, value in zip(self._positions, values, strict=bool(values)):
            if value is DEFAULT:
                row[position] = self._default(position)
            elif position == self._automatic and value is None:
                row[position] = None
            else:
                row[position] = self._table.converters[position](value, number)
        for position in self._missing if values else range(len(row)):
            row[position] = self._default(position)
        return row

    def _default(self, position: int) -> Scalar:
        column: Column = self._table.schema.columns[position]
        if column.default_sql:
            return moment_value(column.default_sql, self._environment)  # type: ignore[no-any-return]
        if column.default is None and not column.nullable and position != self._automatic:
            raise SqlError(errors.ER_NO_DEFAULT, f"Field '{column.name}' doesn't have a default value")
        return column.default
