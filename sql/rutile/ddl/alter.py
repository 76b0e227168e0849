"""ALTER TABLE, change by change: indexes by jobs, the rest at once.

The changes of one statement are made in the order written; if one is refused, those before it stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from rutile import alterations as alter
from rutile import errors
from rutile.catalog import meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.jobs import Job
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl import column_changes
from rutile.ddl.create_table import check_name
from rutile.ddl.indexes import ER_DUP_KEYNAME, build_indexes
from rutile.ddl.worker import DdlWorker
from rutile.errors import SqlError
from rutile.result import SqlWarning
from rutile.storage import KvTransaction
from rutile_proto.timestamps import physical_ms

ER_CANT_DROP_FIELD_OR_KEY = 1091
ER_KEY_DOES_NOT_EXIST = 1176


class TableAlterer:
    """Makes the changes of one ALTER TABLE."""

    def __init__(self, catalog: Catalog, worker: DdlWorker, database: str, table: str, now: datetime) -> None:
        self._catalog = catalog
        self._worker = worker
        self._database = database
        self._table = table
        self._now = now

    async def run(self, changes: tuple[alter.Alteration, ...]) -> list[SqlWarning]:
        """Make them; what IF [NOT] EXISTS made of errors. Raises 1146 and what each change raises."""
        await self._catalog.get_table(self._database, self._table)
        notes = []
        for change in changes:
            try:
                await self._make(change)
            except SqlError as error:
                if not _is_harmless(change, error):
                    raise
                notes.append(SqlWarning("Note", error.code, error.message))
        return notes

    async def _make(self, change: alter.Alteration) -> None:
        match change:
            case alter.AddIndex():
                await self._worker.run(lambda txn, seen: self._add_index(change, txn, seen))
            case alter.DropIndex(name):
                await self._worker.run(lambda txn, seen: self._drop_index(name, txn, seen))
            case alter.RenameTable(database, name):
                await rename_table(self._catalog, self._database, self._table, database or self._database, name)
                self._database, self._table = database or self._database, name
            case alter.SetAutoIncrement(value):
                info = await self._catalog.get_table(self._database, self._table)
                await self._catalog.ids.rebase(meta.auto_increment_key(info.table_id), value - 1)
            case _:
                await self._replace(lambda info: _changed(info, change, self._now))

    async def _replace(self, change: Callable[[TableInfo], TableInfo]) -> None:
        """Put another definition in place of the table's, and wait until nobody commits with the old one."""

        async def replaced(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            info = change(self._find(seen))
            txn.put(meta.table_key(self._database, self._table), info.to_bytes())
            return info

        await self._catalog.change(replaced)
        await self._catalog.settle()

    def _find(self, seen: CatalogSnapshot) -> TableInfo:
        info = seen.table(self._database, self._table)
        if info is None:
            raise errors.unknown_table(self._database, self._table)
        return info

    # --- indexes ---

    async def _add_index(self, change: alter.AddIndex, txn: KvTransaction, seen: CatalogSnapshot) -> Job:
        """The job; the id is given to it now."""
        info = self._find(seen)
        (index,) = build_indexes(info.schema, [change.definition], info.indexes, info.last_index_id)
        txn.put(meta.table_key(self._database, self._table), replace(info, last_index_id=index.id).to_bytes())
        job = await self._job("add index", info, index.id, index.name, txn)
        return replace(job, extra={"index": index.to_json()})

    async def _drop_index(self, name: str, txn: KvTransaction, seen: CatalogSnapshot) -> Job:
        info = self._find(seen)
        index = info.index(name)
        if index is None or not index.is_public:
            raise _unknown_key(name)
        automatic = [column for column in info.schema.columns if column.auto_increment]
        others = [each.column_ids[:1] for each in info.public_indexes if each.id != index.id]
        if automatic and (automatic[0].id,) not in [info.schema.primary_key[:1], *others]:
            message = "Incorrect table definition; there can be only one auto column and it must be defined as a key"
            raise SqlError(errors.ER_WRONG_AUTO_KEY, message)
        return await self._job("drop index", info, index.id, index.name, txn)

    async def _job(self, kind: str, info: TableInfo, index_id: int, name: str, txn: KvTransaction) -> Job:
        schema = info.schema
        created_ms = physical_ms(txn.start_ts)
        return Job(
            await meta.next_id(txn), kind, schema.database, schema.name, info.table_id, index_id, name, created_ms
        )


def _changed(info: TableInfo, change: alter.Alteration, now: datetime) -> TableInfo:
    match change:
        case alter.AddColumn():
            return column_changes.add_column(info, change, now)
        case alter.DropColumn(name):
            return column_changes.drop_column(info, name)
        case alter.RenameColumn(old, new):
            return column_changes.rename_column(info, old, new)
        case alter.ModifyColumn():
            return column_changes.modify_column(info, change)
        case alter.SetDefault():
            return column_changes.set_default(info, change)
        case alter.SetComment(comment):
            return replace(info, comment=comment)
        case alter.RenameIndex(old, new):
            return _rename_index(info, old, new)
    raise AssertionError(f"made elsewhere: {change}")


def _rename_index(info: TableInfo, old: str, new: str) -> TableInfo:
    index = info.index(old)
    if index is None:
        message = f"Key '{old}' doesn't exist in table '{info.schema.name}'"
        raise SqlError(ER_KEY_DOES_NOT_EXIST, message, sqlstate="42000")
    if info.index(new) is not None and new.lower() != old.lower():
        raise SqlError(ER_DUP_KEYNAME, f"Duplicate key name '{new}'", sqlstate="42000")
    renamed = replace(index, name=new)
    return replace(info, indexes=tuple(renamed if each.id == index.id else each for each in info.indexes))


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
        moved = replace(info, schema=replace(info.schema, name=new_name, database=target.name))
        txn.delete(meta.table_key(database, name))
        txn.put(meta.table_key(new_database, new_name), moved.to_bytes())
        return moved

    await catalog.change(change)
    await catalog.settle()


def _is_harmless(change: alter.Alteration, error: SqlError) -> bool:
    match change:
        case alter.AddIndex(_, True):
            return error.code == ER_DUP_KEYNAME
        case alter.AddColumn(_, _, True):
            return error.code == errors.ER_DUP_FIELDNAME
        case alter.DropIndex(_, True) | alter.DropColumn(_, True):
            return error.code == ER_CANT_DROP_FIELD_OR_KEY
    return False


def _unknown_key(name: str) -> SqlError:
    message = f"Can't DROP '{name}'; check that column/key exists"
    return SqlError(ER_CANT_DROP_FIELD_OR_KEY, message, sqlstate="42000")
