"""Arrow rows to a SQL server: INSERTs of many rows each, in one transaction.

The server's protocol has no verb for Arrow rows (Flight SQL has: docs/flight.md), so they go as parameters of
statements. A multi-row INSERT is planned once for all its rows and all its repetitions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from rutile.catalog.model import TableInfo
from rutile.ddl.show_create import quote_name, show_create_table
from rutile.errors import SqlError
from rutile.ingest.arrow_ingest import insert_text
from rutile.ingest.arrow_rows import parameter_rows
from rutile.ingest.importer import schema_of
from rutile.pep249 import ProgrammingError, exception_of

ROWS_A_STATEMENT = 256
Execute = Callable[[str, Sequence[object]], object]


class RemoteIngest:
    """One ingest into `table`; "" is the session's database."""

    def __init__(self, execute: Execute, database: str, table: str) -> None:
        self._execute = execute
        self._database = database
        self._table = table
        self._name = f"{quote_name(database)}.{quote_name(table)}" if database else quote_name(table)

    def run(
        self, reader: pa.RecordBatchReader, mode: str, primary_key: tuple[str, ...], *, in_transaction: bool
    ) -> int:
        """The number of rows inserted. Raises what the statements raise."""
        if not len(reader.schema):
            raise ProgrammingError("there are no columns to ingest", 1136)
        creates = mode != "append"
        if creates:
            self._create(reader.schema, mode, primary_key)
        try:
            return self._insert_all(reader) if in_transaction else self._insert_alone(reader)
        except BaseException:
            if creates and not in_transaction:
                self._execute(f"DROP TABLE IF EXISTS {self._name}", ())
            raise

    def _create(self, schema: pa.Schema, mode: str, primary_key: tuple[str, ...]) -> None:
        try:
            definition = show_create_table(TableInfo(schema_of(schema, self._database, self._table, primary_key)))
        except SqlError as error:
            raise exception_of(error) from error
        if mode == "replace":
            self._execute(f"DROP TABLE IF EXISTS {self._name}", ())
        bare = f"CREATE TABLE {quote_name(self._table)}"
        self._execute(definition.replace(bare, f"CREATE TABLE {self._name}", 1), ())

    def _insert_alone(self, reader: pa.RecordBatchReader) -> int:
        self._execute("BEGIN", ())
        try:
            rows = self._insert_all(reader)
            self._execute("COMMIT", ())
        except BaseException:
            self._execute("ROLLBACK", ())
            raise
        return rows

    def _insert_all(self, reader: pa.RecordBatchReader) -> int:
        total = 0
        for batch in reader:
            for at in range(0, batch.num_rows, ROWS_A_STATEMENT):
                rows = parameter_rows([batch.slice(at, ROWS_A_STATEMENT)])
                sql = insert_text(self._database, self._table, reader.schema.names, len(rows))
                self._execute(sql, [value for row in rows for value in row])
                total += len(rows)
        return total
