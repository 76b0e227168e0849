"""The names completion offers: what the catalogue holds, asked on a session of its own, kept until a definition."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from rutile.dbapi import Connection
from rutile.pep249 import Error

T = TypeVar("T")
MAX_AGE_S = 60.0
"""Other sessions change definitions, too: names are asked again after this time."""
_COLUMNS = "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.columns"


@dataclass(frozen=True)
class Names:
    """Databases, and their tables with columns in order."""

    database: str = ""
    """The one names without a database are looked up in."""
    tables: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def columns_of(self, table: str, database: str = "") -> list[str]:
        """The columns of a table, however its name is written; none if it is not known."""
        tables = _found(self.tables, database or self.database)
        columns = None if tables is None else _found(tables, table)
        return columns or []

    def tables_of(self, database: str = "") -> list[str]:
        """The tables of a database."""
        tables = _found(self.tables, database or self.database)
        return [] if tables is None else list(tables)


def _found(named: dict[str, T], name: str) -> T | None:
    return next((value for key, value in named.items() if key.lower() == name.lower()), None)


class CatalogNames:
    """Names that are asked for when first needed, and again after `forget`."""

    def __init__(self, connection: Connection, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._owner = connection
        self._monotonic = monotonic
        self._session: Connection | None = None
        self._names: Names | None = None
        self._asked_at = 0.0

    def forget(self) -> None:
        """A definition has changed."""
        self._names = None

    def current(self) -> Names:
        """The names as they were at most MAX_AGE_S ago; none while the database cannot be asked."""
        if self._names is None or self._monotonic() - self._asked_at > MAX_AGE_S:
            try:
                self._names = self._ask()
            except Error:
                self._names = Names()  # completion is a courtesy: the next statement will say what is wrong
            self._asked_at = self._monotonic()
        return self._names

    def close(self) -> None:
        """End the session used for asking."""
        if self._session is not None:
            self._session.close()

    def _ask(self) -> Names:
        if self._session is None:
            self._session = self._owner.duplicate()
        tables: dict[str, dict[str, list[str]]] = {
            str(row[0]): {} for row in self._session.execute("SHOW DATABASES").fetchall()
        }
        for database, table, column in self._session.execute(_COLUMNS).fetchall():
            tables.setdefault(database, {}).setdefault(table, []).append(column)
        (database,) = self._owner.execute("SELECT DATABASE()").fetchone() or (None,)
        return Names(database or "", tables)
