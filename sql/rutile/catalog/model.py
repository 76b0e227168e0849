"""What the catalogue knows, as immutable values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rutile_coprocessor.schema import TableSchema


class TableState(StrEnum):
    """Who sees a table."""

    PUBLIC = "public"
    IMPORTING = "importing"
    """Being loaded: the name is taken, sessions do not see it yet."""


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """A database (schema)."""

    database_id: int
    name: str

    def to_bytes(self) -> bytes:
        return json.dumps({"id": self.database_id, "name": self.name}).encode()

    @staticmethod
    def from_bytes(data: bytes) -> DatabaseInfo:
        body = json.loads(data)
        return DatabaseInfo(body["id"], body["name"])


@dataclass(frozen=True)
class TableInfo:
    """A table: its schema (with its id, name and database) and what only the catalogue needs."""

    schema: TableSchema
    state: TableState = TableState.PUBLIC
    comment: str = ""

    @property
    def table_id(self) -> int:
        return self.schema.table_id

    def to_bytes(self) -> bytes:
        body = {"schema": json.loads(self.schema.to_bytes()), "state": self.state.value, "comment": self.comment}
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> TableInfo:
        body = json.loads(data)
        schema = TableSchema.from_bytes(json.dumps(body["schema"]).encode())
        return TableInfo(schema, TableState(body["state"]), body["comment"])


@dataclass(frozen=True)
class CatalogSnapshot:
    """The catalogue at one version. Keys are names in lower case: MySQL compares them without case here."""

    version: int
    databases: Mapping[str, DatabaseInfo] = field(default_factory=dict)
    tables: Mapping[tuple[str, str], TableInfo] = field(default_factory=dict)

    def database(self, name: str) -> DatabaseInfo | None:
        return self.databases.get(name.lower())

    def table(self, database: str, name: str) -> TableInfo | None:
        """The table if sessions may see it."""
        info = self.tables.get((database.lower(), name.lower()))
        return info if info is not None and info.state is TableState.PUBLIC else None

    def tables_of(self, database: str) -> list[TableInfo]:
        """The tables sessions see in a database, by name."""
        wanted = database.lower()
        found = [
            info for (owner, _), info in self.tables.items() if owner == wanted and info.state is TableState.PUBLIC
        ]
        return sorted(found, key=lambda info: info.schema.name)
