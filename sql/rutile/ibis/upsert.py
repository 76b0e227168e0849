"""Upsert, of columns there may be no key on: what is known of the old rows is kept, the rest is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.common.exceptions as exc
import ibis.expr.types as ir
import pyarrow as pa

import rutile

if TYPE_CHECKING:
    from rutile.ibis.tables import Tables

ATTEMPTS = 5
"""How often the transaction is run again when it lost a conflict."""
KEYS_A_STATEMENT = 500


class Upsert:
    """One upsert: an optimistic transaction that reads the rows there are, and writes each of them anew."""

    def __init__(self, backend: Tables, name: str, owner: str | None, source: ir.Table, on: str) -> None:
        self._backend = backend
        self._name = name
        self._owner = owner
        self._source = source
        self._on = on

    def run(self) -> None:
        """Raises IbisInputError for a column that is missing on a side, OperationalError after lost conflicts."""
        table = self._backend.table(self._name, database=self._owner)
        given = self._backend.to_pyarrow(self._source)
        for side, columns in (("the table", table.columns), ("the rows", given.column_names)):
            if self._on not in columns:
                raise exc.IbisInputError(f"upsert on {self._on}: {side} has no such column")
        if given.num_columns == 1:
            raise exc.IbisInputError(f"upsert on {self._on}: the rows have no other column to write")
        if given.column(self._on).null_count:
            raise exc.IbisInputError(f"upsert on {self._on}: there are rows without a value for it")
        if not given.num_rows:
            return
        source = ibis.memtable(given, schema=self._source.schema())
        if self._backend.con.in_transaction:
            self._write(table, source, given)
            return
        for attempt in range(ATTEMPTS):
            try:
                return self._in_transaction(table, source, given)
            except rutile.OperationalError as error:
                if not error.retryable or attempt == ATTEMPTS - 1:
                    raise

    def _in_transaction(self, table: ir.Table, source: ir.Table, given: pa.Table) -> None:
        connection = self._backend.con
        connection.execute("BEGIN OPTIMISTIC")
        try:
            self._write(table, source, given)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def _write(self, table: ir.Table, source: ir.Table, given: pa.Table) -> None:
        """Replace the rows that are there by what they become, and add the others."""
        merged = self._backend.to_pyarrow(self._merged(table, source))
        target = self._backend._quoted(self._owner, self._name)
        column = self._backend._quoted(self._on)
        keys = given.column(self._on).to_pylist()
        for at in range(0, len(keys), KEYS_A_STATEMENT):
            some = keys[at : at + KEYS_A_STATEMENT]
            places = ", ".join("?" * len(some))
            self._backend.con.execute(f"DELETE FROM {target} WHERE {column} IN ({places})", some).close()
        self._backend.insert(self._name, ibis.memtable(merged, schema=table.schema()), database=self._owner)

    def _merged(self, table: ir.Table, source: ir.Table) -> ir.Table:
        """The rows as they will be: all columns of the table, those the source has from there."""
        kept = [name for name in table.columns if name not in source.columns]
        old = table.select([table[self._on].name("rutile_on"), *kept])
        joined = source.left_join(old, source[self._on] == old.rutile_on)
        return joined.select([joined[name].cast(kind) for name, kind in table.schema().items()])
