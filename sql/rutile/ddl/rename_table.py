"""RENAME TABLE, and ALTER TABLE ... RENAME."""

from __future__ import annotations

from dataclasses import replace

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.foreign_keys import followed
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.create_table import check_name
from rutile.ddl.foreign_keys import check_children
from rutile.errors import SqlError
from rutile.session.storage import KvTransaction


async def rename_table(catalog: Catalog, database: str, name: str, new_database: str, new_name: str) -> None:
    """Give a table another name, perhaps in another database. Raises 1049, 1050, 1146."""
    check_name(new_name)

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
        info = seen.table(database, name)
        if info is None:
            raise errors.unknown_table(database, name)
        target = seen.database(new_database)
        if target is None:
            raise errors.unknown_database(new_database)
        taken = seen.tables.get((new_database.lower(), new_name.lower()))
        is_view = seen.view(new_database, new_name) is not None
        if is_view or (taken is not None and taken.table_id != info.table_id):
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{new_name}' already exists")
        renamed = replace(info, schema=replace(info.schema, name=new_name, database=target.name))
        moved, *children = followed(seen.tables, info, renamed)
        check_children(moved, seen)
        txn.delete(meta.table_key(database, name))
        for each in (moved, *children):
            txn.put(meta.table_key(each.schema.database, each.schema.name), each.to_bytes())
        return moved

    await catalog.change(change)
    await catalog.settle()
