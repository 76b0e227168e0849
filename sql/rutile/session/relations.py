"""Relations that belong to a session: temporary tables and views, which no other session sees.

They live in the front end's memory as Arrow tables (so nested types are no matter) and as parsed queries, are read by
queries in DuckDB's dialect (`rutile.session.duckdb_door`), and go with the session. What they hold is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
from sqlglot import exp

from rutile.errors import ER_BAD_TABLE, ER_TABLE_EXISTS, SqlError

MAX_HELD_BYTES = 1 << 30
"""All temporary tables of a session together."""
ER_TABLE_FULL = 1114


@dataclass(frozen=True)
class HeldTable:
    """A temporary table."""

    name: str
    table: pa.Table
    types: dict[str, str] = field(default_factory=dict)
    """DuckDB's types of the columns, where they were declared: Arrow has no JSON and no UUID."""


@dataclass(frozen=True)
class View:
    """A query under a name. Views it names are already put in their places."""

    name: str
    query: exp.Query


class SessionRelations:
    """The temporary tables and views of one session, by name in any case."""

    def __init__(self, max_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tables: dict[str, HeldTable] = {}
        self._views: dict[str, View] = {}

    @property
    def tables(self) -> dict[str, HeldTable]:
        return self._tables

    @property
    def views(self) -> dict[str, View]:
        return self._views

    def has(self, name: str) -> bool:
        return name.lower() in self._tables or name.lower() in self._views

    def put_table(self, held: HeldTable, *, replace: bool) -> None:
        """Raises 1050 if there is one of that name (and not `replace`), 1114 if the session's memory is full."""
        self._check_free(held.name, replace)
        others = sum(each.table.nbytes for name, each in self._tables.items() if name != held.name.lower())
        if others + held.table.nbytes > self._max_bytes:
            raise SqlError(
                ER_TABLE_FULL,
                f"The table '{held.name}' is full: temporary tables of a session hold at most {self._max_bytes} bytes;"
                " drop some, or create it as a table of the database",
            )
        self._views.pop(held.name.lower(), None)
        self._tables[held.name.lower()] = held

    def put_view(self, view: View, *, replace: bool) -> None:
        """Raises 1050 if there is a relation of that name (and not `replace`)."""
        self._check_free(view.name, replace)
        self._tables.pop(view.name.lower(), None)
        self._views[view.name.lower()] = view

    def drop(self, kind: str, name: str, *, if_exists: bool) -> None:
        """Forget a TABLE or VIEW. Raises 1051 if there is none (and not `if_exists`)."""
        holder = self._views if kind == "VIEW" else self._tables
        if holder.pop(name.lower(), None) is None and not if_exists:
            raise SqlError(ER_BAD_TABLE, f"Unknown temporary {kind.lower()} '{name}'")

    def clear(self) -> None:
        """Forget all."""
        self._tables.clear()
        self._views.clear()

    def _check_free(self, name: str, replace: bool) -> None:
        if not replace and self.has(name):
            raise SqlError(ER_TABLE_EXISTS, f"Table '{name}' already exists")
