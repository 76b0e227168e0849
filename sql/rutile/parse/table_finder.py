"""Finds the tables a statement names."""

from __future__ import annotations

from dataclasses import dataclass

from rutile import errors
from rutile.catalog.changes import VIRTUAL_DATABASES
from rutile.catalog.model import CatalogSnapshot
from rutile.catalog.view_info import ViewInfo
from rutile.errors import SqlError
from rutile.expressions.compile import UTC
from rutile.parse import statements as st
from rutile.rows.access import TableAccess, TableAccesses

ER_NON_UPDATABLE_TABLE = 1288


class ViewNamed(SqlError):
    """A view where only a table will do."""

    def __init__(self, name: str) -> None:
        super().__init__(ER_NON_UPDATABLE_TABLE, f"The target table {name} of the statement is a view: not updatable")


@dataclass(frozen=True, slots=True)
class TableFinder:
    """Finds tables by name; `database` and `zone` are the session's."""

    catalog: CatalogSnapshot
    tables: TableAccesses
    database: str | None
    zone: str = UTC

    def __call__(self, name: st.TableName) -> TableAccess:
        """Raises 1044, 1046, 1049, 1146; 1288 for a view."""
        owner = name.database or self.database
        if owner is None:
            raise errors.no_database_selected()
        info = self.catalog.table(owner, name.name)
        if info is not None:
            return self.tables.of(info, self.catalog).in_zone(self.zone)
        if owner.lower() in VIRTUAL_DATABASES:
            raise SqlError(errors.ER_VIRTUAL_TABLE, f"Access denied: '{owner}' is read-only")
        if self.catalog.database(owner) is None:
            raise errors.unknown_database(owner)
        if self.catalog.view(owner, name.name) is not None:
            raise ViewNamed(name.name)
        raise errors.unknown_table(owner, name.name)

    def view(self, key: tuple[str, str]) -> ViewInfo | None:
        """The view of that database and name, in lower case."""
        return self.catalog.views.get(key)
