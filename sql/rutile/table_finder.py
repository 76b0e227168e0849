"""Finds the tables a statement names."""

from __future__ import annotations

from rutile import errors
from rutile import statements as st
from rutile.access import TableAccess, TableAccesses
from rutile.catalog.model import CatalogSnapshot
from rutile.errors import SqlError
from rutile.planner.point import FindTable


def table_finder(catalog: CatalogSnapshot, tables: TableAccesses, database: str | None) -> FindTable:
    """Finds tables by name; `database` is the session's. What it gives raises 1044, 1046, 1049, 1146."""

    def find(name: st.TableName) -> TableAccess:
        owner = name.database or database
        if owner is None:
            raise errors.no_database_selected()
        info = catalog.table(owner, name.name)
        if info is not None:
            return tables.of(info)
        if owner.lower() == "information_schema":
            raise SqlError(errors.ER_VIRTUAL_TABLE, f"Access denied: '{owner}' is read-only")
        if catalog.database(owner) is None:
            raise errors.unknown_database(owner)
        raise errors.unknown_table(owner, name.name)

    return find
