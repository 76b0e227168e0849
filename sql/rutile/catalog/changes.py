"""What the catalogue's larger changes do within their transaction."""

from __future__ import annotations

from dataclasses import replace

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.foreign_keys import has_foreign_keys, key_of, relinked
from rutile.catalog.model import CatalogSnapshot, DatabaseInfo, TableInfo, TableState
from rutile.catalog.recovery import DROP_TABLE, note_database, note_table
from rutile.ddl.foreign_key_guards import refuse_drop
from rutile.ddl.foreign_keys import check_children, check_links
from rutile.errors import SqlError
from rutile.session.storage import KvTransaction

SYSTEM_DATABASES = ("information_schema",)
"""Listed although nobody made them."""
VIRTUAL_DATABASES = ("information_schema", "mysql", "performance_schema")
"""Their tables are made when a query names them (`rutile.show.virtual`); nobody can make databases so named."""


async def make_database(txn: KvTransaction, seen: CatalogSnapshot, name: str) -> None:
    """Raises 1007."""
    if seen.database(name) is not None or name.lower() in VIRTUAL_DATABASES:
        raise SqlError(errors.ER_DB_CREATE_EXISTS, f"Can't create database '{name}'; database exists")
    info = DatabaseInfo(await meta.next_id(txn), name)
    txn.put(meta.database_key(name), info.to_bytes())


async def linked(txn: KvTransaction, before: CatalogSnapshot, made: TableInfo | None) -> TableInfo | None:
    """What a change made, once every parent has the list of those that lead to it."""
    if not has_foreign_keys([*before.tables.values(), *([made] if made is not None else [])]):
        return made
    for info in relinked(await meta.load(txn)):
        txn.put(meta.table_key(info.schema.database, info.schema.name), info.to_bytes())
        made = info if made is not None and info.table_id == made.table_id else made
    return made


async def remove_database(txn: KvTransaction, seen: CatalogSnapshot, name: str, *, checked: bool) -> list[TableInfo]:
    """The tables that went with it. Raises 1008, 3730."""
    if seen.database(name) is None:
        raise SqlError(errors.ER_DB_DROP_EXISTS, f"Can't drop database '{name}'; database doesn't exist")
    tables = [info for (owner, _), info in seen.tables.items() if owner == name.lower()]
    dropping = frozenset(key_of(info) for info in tables)
    known = seen.database(name)
    assert known is not None
    await note_database(txn, seen, known, [info for info in tables if info.state is TableState.PUBLIC])
    for info in tables:
        if checked:
            refuse_drop(info, seen, dropping)
        await note_table(txn, info, DROP_TABLE, alone=False)
        meta.drop_table(txn, info)
    for view in seen.views_of(name):
        txn.delete(meta.view_key(view.schema.database, view.schema.name))
    for sequence in seen.sequences_of(name):
        txn.delete(meta.sequence_key(name, sequence.name))
        txn.delete(meta.sequence_next_key(sequence.sequence_id))
    txn.delete(meta.database_key(name))
    return tables


async def make_table(
    txn: KvTransaction, seen: CatalogSnapshot, wanted: TableInfo, auto_increment: int, *, checked: bool
) -> TableInfo:
    """The table with its id. Raises 1049, 1050, and what its foreign keys, or those that wait for it, raise."""
    schema = wanted.schema
    database = seen.database(schema.database)
    if database is None:
        raise errors.unknown_database(schema.database)
    if seen.has_name(schema.database, schema.name):
        raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{schema.name}' already exists")
    partitioning = await meta.with_fresh_ids(txn, wanted.partitioning)
    schema = replace(schema, table_id=await meta.next_id(txn), database=database.name)
    info = replace(wanted, schema=schema, partitioning=partitioning)
    check_links(info, seen, info.foreign_keys, checked=checked)
    check_children(info, seen)
    txn.put(meta.table_key(schema.database, schema.name), info.to_bytes())
    if auto_increment > 1:
        txn.put(meta.auto_increment_key(info.table_id), str(auto_increment).encode())
    return info


def any_table(seen: CatalogSnapshot, database: str, name: str, code: int = errors.ER_NO_SUCH_TABLE) -> TableInfo:
    """The table in any state. Raises 1146, or 1051 if that is the `code`."""
    info = seen.tables.get((database.lower(), name.lower()))
    if info is None:
        if code == errors.ER_BAD_TABLE:
            raise SqlError(code, f"Unknown table '{database}.{name}'")
        raise errors.unknown_table(database, name)
    return info
