"""Rows into the transaction's buffer: the one place where a row becomes a put, an insert or a delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from rutile.errors import SqlError
from rutile.execution.foreign_keys import LinkedChanges, are_checked, require_parents
from rutile.execution.unfinished_entries import UnfinishedEntries
from rutile.expressions.compile import UTC, Environment, Evaluate
from rutile.expressions.functions import moment_function
from rutile.parse.tree import parse_expression
from rutile.rows.access import Row, TableAccess
from rutile.rows.adjusting import LEFT_OUT, Adjusting
from rutile.rows.conversion import Converter
from rutile.rows.index_access import IndexAccess
from rutile.rows.partitions import outside_of_partitions
from rutile.session.storage import KvTransaction
from rutile_coprocessor.schema import Column, Kind, Scalar
from rutile_proto.errors import AlreadyExist


def adjusted_environment(environment: Environment, *, ignores: bool) -> Environment:
    """The environment of a data change: with what it adjusts, under IGNORE and outside of strict mode."""
    if environment.modes.strict and not ignores:
        return environment
    return replace(environment, adjusting=Adjusting(ignores=ignores))


def converters_in(environment: Environment, table: TableAccess) -> tuple[Converter, ...]:
    """What makes values of `table`'s columns in this environment."""
    if environment.adjusting is None:
        return table.converters
    return environment.adjusting.converters(table.schema.columns, table.converters)


class RowWriter:
    """Writes rows of one table within one statement of a transaction."""

    def __init__(
        self,
        table: TableAccess,
        txn: KvTransaction,
        environment: Environment,
        depth: int = 0,
        partitions: frozenset[int] | None = None,
    ) -> None:
        """`depth` counts the foreign keys that led here from the statement's own table; `partitions` are those that
        the statement names, if it does."""
        self.table = table
        self._chosen = partitions
        self._linked: LinkedChanges | None = None
        if table.links is not None and are_checked(environment):
            self._linked = LinkedChanges(table.links, txn, environment, depth)
        self._txn = txn
        self._environment = environment
        self.converters = converters_in(environment, table)
        self._on_update = _moments(table, environment)
        self._indexes = table.indexes
        self._written = tuple(index for index in table.indexes if index.is_written)
        self._entries = UnfinishedEntries(table, txn)

    def insert(self, row: Row, row_id: int | None = None) -> bytes:
        """A new row with its index entries; returns its key.

        Raises 1062 if this transaction wrote one there; commit (or a lock) finds the others. A row id is new, so
        nothing can be there.
        """
        if self._linked is not None:
            self._linked.changed(None, row)
        return self._put_new(row, row_id)

    async def look_ahead(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Read at once what `update` and `delete` of these rows (with their keys) would read one by one."""
        await self._entries.look_ahead(rows)

    async def settle(self) -> None:
        """At the end of the statement: what it did is checked against foreign keys, and followed. Raises 1451, 1452."""
        if self._linked is not None:
            await self._linked.settle()

    async def refuses(self, row: Row) -> SqlError | None:
        """1452 if a new row would have no parent among the rows there are (and is not its own)."""
        try:
            for link in self.table.links.parents if self._linked is not None and self.table.links is not None else ():
                if (
                    link.parent is None
                    or link.parent.info is not self.table.info
                    or link.offered(row) != link.wanted(row)
                ):
                    await require_parents(link, [row], self._txn, self._txn.start_ts)
        except SqlError as error:
            return error
        return None

    def _put_new(self, row: Row, row_id: int | None = None) -> bytes:
        key = self.table.key_of_row(row, row_id)
        value = self.table.rows.encode_row(row)
        if row_id is not None:
            self._txn.put(key, value)
        else:
            self._insert(key, value)
        for index in self._written:
            self._add_entry(index, row, key)
        return key

    async def _replace(self, key: bytes, old: Row, new: Row) -> None:
        """Overwrite the row at `key`, whose primary key `new` has."""
        self._txn.put(key, self.table.rows.encode_row(new))
        handle = self.table.handle_of(key)
        for index in self._indexes:
            before = index.entry_before(old, handle)
            after = index.entry(new, handle) if index.is_written else index.entry_before(new, handle)
            if before != after:
                if before is not None:
                    await self._entries.remove(index, before)
                if index.is_written:
                    self._add_entry(index, new, key)

    async def delete(self, key: bytes, old: Row) -> None:
        """Remove a row with its index entries."""
        if self._linked is not None:
            self._linked.changed(old, None)
        await self._remove(key, old)

    async def _remove(self, key: bytes, old: Row) -> None:
        self._txn.delete(key)
        handle = self.table.handle_of(key)
        for index in self._indexes:
            entry = index.entry_before(old, handle)
            if entry is not None:
                await self._entries.remove(index, entry)

    async def update(self, key: bytes, old: Row, new: Row) -> bool:
        """Write `new` over `old`; whether anything changed. A changed primary key, or partition, moves the row.

        Raises 1062, 1526, 1748."""
        if new == old:
            return False
        if self._chosen is not None:
            self._check_partition(new)
        moved = self.table.moves(old, new)
        row_id = self.table.row_id_of(key) if moved and self.table.is_hidden else None
        new_key = self.table.key_of_row(new, row_id) if moved else key
        await self._refuse_taken(key, old, new_key, new)
        if self._linked is not None:
            self._linked.changed(old, new)
        if not moved:
            await self._replace(key, old, new)
            return True
        await self._remove(key, old)
        self._put_new(new, row_id)
        return True

    def _check_partition(self, row: Row) -> None:
        """Raises 1526, 1748."""
        if self.table.partitions is not None and self.table.partitions.number_of(row) not in (self._chosen or ()):
            raise outside_of_partitions()

    async def try_update(self, key: bytes, old: Row, make: Callable[[], Row]) -> bool:
        """`update` to the row that `make` gives; under IGNORE a row whose change is refused stays as it was."""
        try:
            return await self.update(key, old, make())
        except SqlError as error:
            adjusting = self._environment.adjusting
            if error.code not in LEFT_OUT or adjusting is None or not adjusting.leaves_out(error):
                raise
            return False

    async def _refuse_taken(self, key: bytes, old: Row, new_key: bytes, new: Row) -> None:
        """1062 if another row has the primary key or a unique one that the update would give this row."""
        own: dict[bytes, bytes | None] = {new_key: None} if new_key != key else {}
        """The keys the row is to have, and what may be there of itself."""
        handle, new_handle = self.table.handle_of(key), self.table.handle_of(new_key)
        for index in self.table.unique_indexes:
            entry = index.entry(new, new_handle)
            before = index.entry_before(old, handle)
            is_same_value = before is not None and entry.key == before.key
            if entry.distinct and entry != before and not (is_same_value and index.info.is_public):
                own[entry.key] = handle if is_same_value else None
        taken = await self._txn.batch_get(own) if own else {}
        for each, expected in own.items():
            if each in taken and taken[each] != expected:
                raise self.table.duplicate(each)

    def _add_entry(self, index: IndexAccess, row: Row, key: bytes) -> None:
        entry = index.entry(row, self.table.handle_of(key))
        if entry.distinct:
            self._insert(entry.key, entry.value)
        else:
            self._txn.put(entry.key, entry.value)

    def _insert(self, key: bytes, value: bytes) -> None:
        try:
            self._txn.insert(key, value)
        except AlreadyExist as error:
            raise self.table.duplicate(key) from error

    def assign(
        self, old: Row, assignments: Sequence[tuple[int, Evaluate]], row_number: int, beside: Sequence[Any] = ()
    ) -> Row:
        """`old` with new values, converted to their columns; later assignments see earlier ones, as in MySQL.

        `beside` follows the row when expressions are evaluated (ON DUPLICATE KEY UPDATE's VALUES()).
        """
        row: list[Any] = list(old)
        for position, evaluate in assignments:
            value = evaluate([*row, *beside], self._environment)
            row[position] = self.converters[position](value, row_number)
        return self.touched(old, row, {position for position, _ in assignments}, row_number)

    def touched(self, old: Row, row: list[Scalar], assigned: set[int], row_number: int) -> Row:
        """`row` with ON UPDATE CURRENT_TIMESTAMP applied, if it differs from `old`, and completed by its rules."""
        if tuple(row) != old:
            for position, moment in self._on_update:
                if position not in assigned:
                    row[position] = moment
            if self.table.rules is not None:
                self.table.rules.complete(row, self._environment, row_number)
        return tuple(row)


def _moments(table: TableAccess, environment: Environment) -> list[tuple[int, Scalar]]:
    """(position, value) of each ON UPDATE column."""
    return [
        (position, moment_value(column.on_update_sql, environment, column))
        for position, column in enumerate(table.schema.columns)
        if column.on_update_sql
    ]


def moment_value(sql: str, environment: Environment, column: Column) -> Any:
    """The value of a stored CURRENT_TIMESTAMP expression, as `column` stores it: in UTC if it is a TIMESTAMP."""
    if column.type.kind is Kind.TIMESTAMP:
        environment = replace(environment, zone=UTC)
    moment = moment_function(parse_expression(sql))
    if moment is None:
        raise SqlError(1105, f"a stored default is not understood: {sql}")
    return moment(environment)
