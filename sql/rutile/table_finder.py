"""Finds the tables a statement names."""

from __future__ import annotations

from rutile import errors
from rutile import statements as st
from rutile.access import TableAccess, TableAccesses
from rutile.catalog.model import CatalogSnapshot
from rutile.errors import SqlError, not_supported
from rutile.expressions.compile import UTC
from rutile.planner.point import FindTable
from rutile_coprocessor.schema import Kind


def table_finder(catalog: CatalogSnapshot, tables: TableAccesses, database: str | None, zone: str = UTC) -> FindTable:
    """Finds tables by name; `database` and `zone` are the session's.

    What it gives raises 1044, 1046, 1049, 1146, and 1235 for a table whose TIMESTAMPs would have to be shown in another
    zone than UTC.
    """

    def find(name: st.TableName) -> TableAccess:
        owner = name.database or database
        if owner is None:
            raise errors.no_database_selected()
        info = catalog.table(owner, name.name)
        if info is not None:
            if zone != UTC and any(column.type.kind is Kind.TIMESTAMP for column in info.schema.columns):
                raise not_supported(
                    f"time_zone {zone} with TIMESTAMP columns ({info.schema.name}): SET time_zone = '+00:00',"
                    " or use DATETIME columns"
                )
            return tables.of(info)
        if owner.lower() == "information_schema":
            raise SqlError(errors.ER_VIRTUAL_TABLE, f"Access denied: '{owner}' is read-only")
        if catalog.database(owner) is None:
            raise errors.unknown_database(owner)
        raise errors.unknown_table(owner, name.name)

    return find
