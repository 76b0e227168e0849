"""Values that rows get by themselves: AUTO_INCREMENT, AUTO_RANDOM, and the next of a sequence."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rutile.catalog.identifiers import IdAllocator
from rutile.catalog.meta import auto_increment_key
from rutile.errors import SqlError
from rutile.expressions.compile import Environment
from rutile.rows.access import TableAccess

ER_AUTOINC_READ_FAILED = 1467
ER_AUTO_RANDOM = 8216
NextValues: TypeAlias = Callable[[str, str, int], Awaitable[Sequence[int]]]
"""So many next values of the sequence a default of a table in that database names."""


@dataclass(frozen=True, slots=True)
class NextOf:
    """Stands in a row for the next value of a sequence."""

    default_sql: str


class GeneratedIds:
    """Fills what rows of one INSERT leave to the database."""

    def __init__(
        self,
        table: TableAccess,
        ids: IdAllocator,
        next_values: NextValues,
        environment: Environment,
        start_ts: int,
    ) -> None:
        self._table = table
        self._ids = ids
        self._next_values = next_values
        self._environment = environment
        self._start_ts = start_ts
        self._key = auto_increment_key(table.schema.table_id)

    async def fill(self, rows: list[list[Any]]) -> int:
        """Fill in place; the first value generated for the primary key or AUTO_INCREMENT column, or 0."""
        for position, column in enumerate(self._table.schema.columns):
            if column.default_sql and any(isinstance(row[position], NextOf) for row in rows):
                await self._fill_from_sequence(rows, position, column.default_sql)
        generated = self._table.generated_position
        if generated is None:
            return 0
        if self._table.info.auto_random is not None:
            return await self._fill_random(rows, generated)
        return await self._fill_increasing(rows, generated)

    async def _fill_from_sequence(self, rows: list[list[Any]], position: int, default_sql: str) -> None:
        waiting = [(number, row) for number, row in enumerate(rows, 1) if isinstance(row[position], NextOf)]
        convert = self._table.converters[position]
        values = await self._next_values(default_sql, self._table.schema.database, len(waiting))
        for (number, row), value in zip(waiting, values, strict=True):
            row[position] = convert(value, number)

    def _is_missing(self, value: object) -> bool:
        return value is None or not (value or self._environment.modes.zero_is_an_id)

    async def _fill_increasing(self, rows: list[list[Any]], position: int) -> int:
        """NULL and 0 become the next value; explicit values move the counter, for the rows after."""
        convert = self._table.converters[position]
        generated_first = 0
        runs = itertools.groupby(enumerate(rows, start=1), lambda item: self._is_missing(item[1][position]))
        for is_missing, run in runs:
            numbered = list(run)
            if not is_missing:
                await self._ids.rebase(self._key, max(row[position] for _, row in numbered))
                continue
            first = await self._ids.take(self._key, len(numbered))
            for generated, (number, row) in enumerate(numbered, start=first):
                row[position] = convert(generated, number)
            generated_first = generated_first or first
        return generated_first

    async def _fill_random(self, rows: list[list[Any]], position: int) -> int:
        """NULL and 0 become keys in the transaction's shard. Raises 8216 for explicit ones, unless they are allowed."""
        random = self._table.info.auto_random
        assert random is not None
        unsigned = self._table.schema.columns[position].type.unsigned
        explicit = [row[position] for row in rows if not self._is_missing(row[position])]
        if explicit:
            self._check_explicit()
            highest = max(random.counter_of(value, unsigned=unsigned) for value in explicit)
            await self._ids.rebase(self._key, highest)
        missing = [row for row in rows if self._is_missing(row[position])]
        if not missing:
            return 0
        shard = random.shard(self._start_ts)
        first = await self._ids.take(self._key, len(missing))
        try:
            for counter, row in enumerate(missing, start=first):
                row[position] = random.value(shard, counter, unsigned=unsigned)
        except OverflowError as error:
            message = "Failed to read auto-increment value from storage engine"
            raise SqlError(ER_AUTOINC_READ_FAILED, message) from error
        return int(missing[0][position])

    def _check_explicit(self) -> None:
        ask = self._environment.session_value
        if ask is not None and not ask("allow_auto_random_explicit_insert"):
            raise SqlError(
                ER_AUTO_RANDOM,
                "Invalid auto random: Explicit insertion on auto_random column is disabled. Try to set"
                " @@allow_auto_random_explicit_insert = true.",
            )
