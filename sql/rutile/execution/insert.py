"""INSERT, REPLACE, INSERT IGNORE and ON DUPLICATE KEY UPDATE, given the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rutile import errors
from rutile.catalog.identifiers import IdAllocator
from rutile.catalog.meta import row_id_key
from rutile.catalog.sequence_info import names_sequence
from rutile.errors import SqlError
from rutile.execution.generated_ids import GeneratedIds, NextOf, NextValues
from rutile.execution.write import RowWriter, adjusted_environment, converters_in, moment_value
from rutile.expressions.compile import Environment
from rutile.planner.insert import InsertPlan, OnDuplicate
from rutile.rows.access import Row, TableAccess
from rutile.rows.adjusting import LEFT_OUT, implicit_default
from rutile.rows.conversion import Converter
from rutile.rows.partitions import STEM_LENGTH, outside_of_partitions
from rutile.rows.row_rules import generated_value_given
from rutile.session.result import SqlWarning
from rutile.session.storage import KvTransaction
from rutile_coprocessor.schema import Column, Kind, Scalar

DEFAULT = object()
"""Stands for DEFAULT among the values of a row."""


@dataclass(slots=True)
class InsertOutcome:
    """What an INSERT did. `affected_rows` counts as MySQL does: 2 for a row replaced or updated."""

    affected_rows: int = 0
    records: int = 0
    duplicates: int = 0
    last_insert_id: int = 0
    warnings: list[SqlWarning] = field(default_factory=list)
    warning_count: int = 0

    @property
    def info(self) -> str:
        if self.records < 2:
            return ""
        return f"Records: {self.records}  Duplicates: {self.duplicates}  Warnings: {self.warning_count}"


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
        self,
        plan: InsertPlan,
        txn: KvTransaction,
        ids: IdAllocator,
        next_values: NextValues,
        environment: Environment,
        *,
        check_now: bool,
    ) -> None:
        self._plan = plan
        self._table = plan.table
        self._txn = txn
        self._ids = ids
        self._next_values = next_values
        self._check_now = check_now
        self._environment = adjusted_environment(environment, ignores=plan.on_duplicate is OnDuplicate.IGNORE)
        self._adjusting = self._environment.adjusting
        self._converters = converters_in(self._environment, plan.table)
        self._writer = RowWriter(plan.table, txn, self._environment, partitions=plan.partitions)
        self._outcome = InsertOutcome()

    async def run(self, values: Sequence[Sequence[object]]) -> InsertOutcome:
        """Insert the rows. With `check_now`, keys are looked up before they are written, so that 1062 comes from this
        statement; without it, from the commit. Raises 1048, 1062, 1364 and what conversions raise."""
        if self._adjusting is not None:
            self._adjusting.nulls = self._adjusting.ignores or len(values) > 1 or self._plan.query is not None
        self._outcome.records = len(values)
        rows = await self._complete(values)
        row_ids = await self._row_ids(len(rows))
        if self._plan.on_duplicate is OnDuplicate.FAIL:
            await self._insert_all(rows, row_ids)
        else:
            await self._insert_each(rows, row_ids)
        await self._writer.settle()
        if self._adjusting is not None:
            self._outcome.warnings, self._outcome.warning_count = self._adjusting.warnings, self._adjusting.count
        return self._outcome

    async def _row_ids(self, count: int) -> list[int | None]:
        """A row id for each row of a table without primary key, None for others."""
        if not self._table.is_hidden or not count:
            return [None] * count
        first = await self._ids.take(row_id_key(self._table.schema.table_id), count)
        return list(range(first, first + count))

    # --- rows ---

    async def _complete(self, values: Sequence[Sequence[object]]) -> list[Row]:
        """Full rows in schema order: values converted, defaults and generated ids filled in."""
        fill = _Filler(self._table, self._plan.positions, self._environment, self._converters)
        rows = [fill.row(given, number) for number, given in enumerate(values, start=1)]
        ids = GeneratedIds(self._table, self._ids, self._next_values, self._environment, self._txn.start_ts)
        self._outcome.last_insert_id = await ids.fill(rows)
        return [tuple(row) for number, row in enumerate(rows, start=1) if self._keeps_rules(row, number)]

    def _keeps_rules(self, row: list[Any], number: int) -> bool:
        """Complete the row by the table's rules; whether it may be stored. Raises 3819, 1526 and 1748, unless IGNORE
        leaves it out."""
        if self._table.rules is None and self._table.partitions is None:
            return True
        try:
            if self._table.rules is not None:
                self._table.rules.complete(row, self._environment, number)
            if self._table.partitions is not None:
                self._check_partition(self._table.partitions.number_of(row))
        except SqlError as error:
            if error.code not in LEFT_OUT or self._adjusting is None or not self._adjusting.leaves_out(error):
                raise
            return False
        return True

    def _check_partition(self, number: int) -> None:
        if self._plan.partitions is not None and number not in self._plan.partitions:
            raise outside_of_partitions()

    # --- writing ---

    async def _insert_all(self, rows: list[Row], row_ids: list[int | None]) -> None:
        if self._check_now:
            stored = await self._txn.batch_get(self._candidates(rows))
            if stored:
                raise self._table.duplicate(min(stored, key=lambda key: key[STEM_LENGTH:]))
        for row, row_id in zip(rows, row_ids, strict=True):
            self._writer.insert(row, row_id)
        self._outcome.affected_rows = len(rows)

    def _candidates(self, rows: list[Row]) -> list[bytes]:
        """The keys that a row of before could have: primary and unique ones, each once."""
        return list(dict.fromkeys(key for row in rows for key in self._unique_keys(row)))

    def _unique_keys(self, row: Row) -> list[bytes]:
        """The primary key's, then those of the unique indexes; of the latter none where a column is NULL."""
        found = [] if self._table.is_hidden else [self._table.key_of_row(row)]
        for index in self._table.unique_indexes:
            entry = index.entry(row, b"")
            if entry.distinct:
                found.append(entry.key)
        return found

    async def _insert_each(self, rows: list[Row], row_ids: list[int | None]) -> None:
        """Row by row against what is there, earlier rows of this statement included."""
        stored = await self._txn.batch_get(self._candidates(rows))
        meet = _Meeting(self._table, self._txn, stored)
        for number, (row, row_id) in enumerate(zip(rows, row_ids, strict=True), start=1):
            existing = await meet.rows_with(self._unique_keys(row))
            if self._plan.on_duplicate is OnDuplicate.IGNORE and not existing and await self._ignored(row):
                continue
            if not existing:
                self._writer.insert(row, row_id)
                self._outcome.affected_rows += 1
            else:
                await self._meet(existing, row, row_id, number)

    async def _ignored(self, row: Row) -> bool:
        """INSERT IGNORE leaves a row out that has no parent, with a warning."""
        problem = await self._writer.refuses(row)
        return problem is not None and self._adjusting is not None and self._adjusting.leaves_out(problem)

    async def _meet(self, existing: dict[bytes, Row], row: Row, row_id: int | None, number: int) -> None:
        """Rows with one of the new row's keys exist: what then."""
        self._outcome.duplicates += 1
        match self._plan.on_duplicate:
            case OnDuplicate.IGNORE:
                assert self._adjusting is not None
                self._adjusting.leaves_out(self._table.duplicate(self._taken_key(existing, row)))
                return
            case OnDuplicate.REPLACE:
                await self._replace(existing, row, row_id)
                return
        key, old = next(iter(existing.items()))
        updated = self._writer.assign(old, self._plan.assignments, number, beside=row)
        if await self._writer.update(key, old, updated):
            self._outcome.affected_rows += 2

    def _taken_key(self, existing: dict[bytes, Row], row: Row) -> bytes:
        """The first of the new row's keys that one of the existing rows has."""
        taken = {key for old in existing.values() for key in self._unique_keys(old)}
        return next(key for key in self._unique_keys(row) if key in taken)

    async def _replace(self, existing: dict[bytes, Row], row: Row, row_id: int | None) -> None:
        """REPLACE: every row in the way goes. One that is the same already counts once."""
        if list(existing.values()) == [row]:
            self._outcome.affected_rows += 1
            return
        for key, old in existing.items():
            await self._writer.delete(key, old)
        self._writer.insert(row, row_id)
        self._outcome.affected_rows += 1 + len(existing)


class _Meeting:
    """Finds the rows that have one of some keys; `stored` is what was under all candidate keys at the start."""

    def __init__(self, table: TableAccess, txn: KvTransaction, stored: dict[bytes, bytes]) -> None:
        self._table = table
        self._txn = txn
        self._stored = stored

    async def rows_with(self, wanted: list[bytes]) -> dict[bytes, Row]:
        """Row keys to rows, in the order of the keys asked for."""
        found: dict[bytes, Row] = {}
        for key in wanted:
            value = self._now(key)
            if value is None:
                continue
            is_row = self._table.is_row_key(key)
            row_key = key if is_row else self._table.row_key_beside(key, value)
            row = value if is_row else await self._txn.get(row_key)
            if row is None:
                raise SqlError(errors.ER_UNKNOWN, f"an index entry of {self._table.schema.name} has no row")
            found[row_key] = self._table.rows.decode_row(row)
        return found

    def _now(self, key: bytes) -> bytes | None:
        own = self._txn.buffer.get(key)
        return own.visible if own is not None and own.hides else self._stored.get(key)


class _Filler:
    """Makes full rows of the values given."""

    def __init__(
        self,
        table: TableAccess,
        positions: Sequence[int],
        environment: Environment,
        converters: Sequence[Converter],
    ) -> None:
        self._table = table
        self._converters = converters
        self._positions = positions
        self._environment = environment
        given = set(positions)
        self._missing = [at for at in range(len(table.schema.columns)) if at not in given]
        self._automatic = table.generated_position

    def row(self, values: Sequence[object], number: int) -> list[Any]:
        """One row, its AUTO_INCREMENT value still None or 0 if it is to be generated."""
        row: list[Any] = [None] * len(self._table.schema.columns)
        for position, value in zip(self._positions, values, strict=bool(values)):
            if value is DEFAULT:
                row[position] = self._default(position)
            elif not self._table.takes_value(position):
                raise generated_value_given(self._table.schema.columns[position], self._table.schema.name)
            elif position == self._automatic and value is None:
                row[position] = None
            else:
                row[position] = self._converters[position](value, number)
        for position in self._missing if values else range(len(row)):
            row[position] = self._default(position)
        return row

    def _default(self, position: int) -> Scalar:
        column: Column = self._table.schema.columns[position]
        if not self._table.takes_value(position):
            return None  # computed when the row is complete
        if column.default_sql and names_sequence(column.default_sql):
            return NextOf(column.default_sql)  # type: ignore[return-value]  # filled before the row is complete
        if column.default_sql:
            return moment_value(column.default_sql, self._environment, column)  # type: ignore[no-any-return]
        if column.default is None and not column.nullable and column.type.kind is Kind.ENUM:
            return column.type.members[0]
        if column.default is None and not column.nullable and position != self._automatic:
            error = SqlError(errors.ER_NO_DEFAULT, f"Field '{column.name}' doesn't have a default value")
            return self._without_default(column, error)
        return column.default

    def _without_default(self, column: Column, error: SqlError) -> Scalar:
        """0 or nothing, with a warning, where values are adjusted. Raises `error` otherwise."""
        adjusting = self._environment.adjusting
        if adjusting is None:
            raise error
        value = implicit_default(column, error)
        adjusting.warn(error.code, error.message)
        return value
