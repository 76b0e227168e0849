"""Rutile in harlequin, a SQL IDE for the terminal: `harlequin -a rutile 127.0.0.1:4001`, or a directory.

Found by the entry point `harlequin.adapter`; only harlequin loads this module (extra `harlequin`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from harlequin.adapter import HarlequinAdapter, HarlequinConnection, HarlequinCursor
from harlequin.catalog import Catalog, CatalogItem
from harlequin.exception import HarlequinConnectionError, HarlequinQueryError

from rutile.dbapi import Connection, QueryResult, connect
from rutile.ddl.show_create import quote_name as quoted
from rutile.pep249 import Error

_COLUMNS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.columns"
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
)


class RutileCursor(HarlequinCursor):  # type: ignore[misc]
    """A result set."""

    def __init__(self, result: QueryResult) -> None:
        self._result = result
        self._limit: int | None = None

    def columns(self) -> list[tuple[str, str]]:
        """Names and types."""
        return list(zip(self._result.columns, self._result.types, strict=True))

    def set_limit(self, limit: int) -> RutileCursor:
        """Show no more rows than these."""
        self._limit = limit
        return self

    def fetchall(self) -> pa.Table:
        """The rows."""
        return self._result.arrow().slice(0, self._limit)


class RutileHarlequinConnection(HarlequinConnection):  # type: ignore[misc]
    """A session."""

    def __init__(self, connection: Connection, init_message: str = "") -> None:
        self.init_message = init_message
        self._connection = connection

    def execute(self, query: str) -> RutileCursor | None:
        """Run one statement; None for one without a result set. Raises HarlequinQueryError."""
        try:
            result = self._connection.sql(query)
        except Error as error:
            raise HarlequinQueryError(msg=str(error), title="Rutile refused the statement") from error
        return RutileCursor(result) if result.columns else None

    def cancel(self) -> None:
        """Stop the running statement."""
        self._connection.cancel()

    def get_catalog(self) -> Catalog:
        """Databases, their tables, their columns."""
        databases: dict[str, dict[str, list[CatalogItem]]] = {
            str(name): {} for (name,) in self._connection.execute("SHOW DATABASES")
        }
        for database, table, column, kind in self._connection.execute(_COLUMNS):
            columns = databases.setdefault(database, {}).setdefault(table, [])
            identifier = ".".join(map(quoted, (database, table, column)))
            columns.append(CatalogItem(identifier, quoted(column), column, kind.partition("(")[0], type_name=kind))
        return Catalog([_database_item(name, tables) for name, tables in sorted(databases.items())])

    def close(self) -> None:
        """End the session."""
        self._connection.close()


def _database_item(name: str, tables: dict[str, list[CatalogItem]]) -> CatalogItem:
    items = []
    for table, columns in sorted(tables.items()):
        identifier = f"{quoted(name)}.{quoted(table)}"
        items.append(CatalogItem(identifier, identifier, table, "t", columns))
    return CatalogItem(quoted(name), quoted(name), name, "db", items)


class RutileAdapter(HarlequinAdapter):  # type: ignore[misc]
    """What harlequin asks for a connection."""

    IMPLEMENTS_CANCEL = True
    ADAPTER_DETAILS = "Rutile: a replicated, transactional database with SQL that runs next to the data."

    def __init__(self, conn_str: Sequence[str], **options: Any) -> None:
        super().__init__(conn_str, **options)
        self._target = next(iter(conn_str), None)

    def connect(self) -> RutileHarlequinConnection:
        """Open what the command line names: an address, a directory, or memory. Raises HarlequinConnectionError."""
        try:
            return RutileHarlequinConnection(connect(self._target))
        except Error as error:
            raise HarlequinConnectionError(msg=str(error), title="Rutile could not be reached") from error
