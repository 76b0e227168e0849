"""ALTER TABLE, change by change: indexes by jobs, the rest at once.

The changes of one statement are made in the order written: together, all or none, if they are of the definition alone.
With an index, a CHECK, a foreign key, NOT NULL or another name among them each is by itself: if one is refused, those
before it stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlglot import exp

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.foreign_keys import followed
from rutile.catalog.jobs import Job
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.catalog.rules import CheckConstraint
from rutile.ddl import column_changes, constraints
from rutile.ddl.create_table import check_name, own_index
from rutile.ddl.foreign_key_guards import refuse_column_change, refuse_column_drop, refuse_index_drop
from rutile.ddl.foreign_keys import (
    ForeignKeyDefinition,
    build_foreign_keys,
    check_children,
    check_links,
    needs_index,
)
from rutile.ddl.indexes import ER_DUP_KEYNAME, IndexDefinition, build_indexes
from rutile.ddl.partition_changes import PartitionChange, change_partitions, refuse_change
from rutile.ddl.partitions import check_keys
from rutile.ddl.worker import DdlWorker
from rutile.errors import SqlError
from rutile.parse import alterations as alter
from rutile.rows.row_rules import ER_CHECK_VIOLATED
from rutile.session.result import SqlWarning
from rutile.session.storage import KvTransaction
from rutile_proto.timestamps import physical_ms

ER_CANT_DROP_FIELD_OR_KEY = 1091
ER_KEY_DOES_NOT_EXIST = 1176
ER_INVALID_USE_OF_NULL = 1138


class TableAlterer:
    """Makes the changes of one ALTER TABLE."""

    def __init__(
        self, catalog: Catalog, worker: DdlWorker, database: str, table: str, now: datetime, *, checked: bool = True
    ) -> None:
        """`checked` is the session's foreign_key_checks."""
        self._checked = checked
        self._catalog = catalog
        self._worker = worker
        self._database = database
        self._table = table
        self._now = now

    async def run(self, changes: tuple[alter.Alteration, ...]) -> list[SqlWarning]:
        """Make them; what IF [NOT] EXISTS made of errors. Raises 1146 and what each change raises."""
        info = await self._info()
        if not changes:
            return []
        for change in changes:
            refuse_change(info, change)
        notes: list[SqlWarning] = []
        if all(_is_definition(info, change) for change in changes):
            await self._replace(lambda info, seen: self._all_changed(info, seen, changes, notes))
            return notes
        for change in changes:
            try:
                await self._make(change)
            except SqlError as error:
                if not _is_harmless(change, error):
                    raise
                notes.append(SqlWarning("Note", error.code, error.message))
        return notes

    def _all_changed(
        self,
        info: TableInfo,
        seen: CatalogSnapshot,
        changes: tuple[alter.Alteration, ...],
        notes: list[SqlWarning],
    ) -> TableInfo:
        """The table with all changes, or none; may be asked several times."""
        notes.clear()
        for change in changes:
            try:
                info = self._guarded(info, seen, change)
            except SqlError as error:
                if not _is_harmless(change, error):
                    raise
                notes.append(SqlWarning("Note", error.code, error.message))
        return info

    async def _make(self, change: alter.Alteration) -> None:
        match change:
            case alter.AddIndex():
                await self._worker.run(lambda txn, seen: self._add_index(change.definition, txn, seen))
            case alter.DropIndex(name):
                await self._worker.run(lambda txn, seen: self._drop_index(name, txn, seen))
            case alter.RenameTable(database, name):
                await rename_table(self._catalog, self._database, self._table, database or self._database, name)
                self._database, self._table = database or self._database, name
            case alter.AddPartitions() | alter.DropPartitions() | alter.TruncatePartitions():
                await change_partitions(self._catalog, self._database, self._table, change)
            case alter.AddCheck(constraint, condition):
                check = constraints.new_check(await self._info(), constraint, condition)
                await self._add_check(check)
            case alter.DropCheck(name):
                await self._replace(lambda info, _: constraints.without_check(info, name))
            case alter.AddForeignKey(definition):
                await self._add_foreign_key(definition)
            case alter.ModifyColumn() if column_changes.forbids_null(await self._info(), change):
                await self._forbid_null(change)
            case alter.SetAutoIncrement(value):
                info = await self._catalog.get_table(self._database, self._table)
                await self._catalog.ids.rebase(meta.auto_increment_key(info.table_id), value - 1)
            case _:
                await self._replace(lambda info, seen: self._guarded(info, seen, change))

    def _guarded(self, info: TableInfo, seen: CatalogSnapshot, change: alter.Alteration) -> TableInfo:
        """The table with a change of its definition, if no foreign key forbids it. Raises 1828 to 1833."""
        refuse_change(info, change)
        changed = _changed(info, change, self._now)
        left = {column.id: column for column in changed.schema.columns}
        for column in info.schema.columns:
            if column.id not in left:
                refuse_column_drop(info, column, seen)
            elif left[column.id] != column and self._checked:
                refuse_column_change(info, column, left[column.id], seen)
        return changed

    async def _replace(self, change: Callable[[TableInfo, CatalogSnapshot], TableInfo]) -> None:
        """Put another definition in place of the table's, and wait until nobody commits with the old one."""

        async def replaced(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            before = self._find(seen)
            info, *others = followed(seen.tables, before, change(before, seen))
            for each in (info, *others):
                txn.put(meta.table_key(each.schema.database, each.schema.name), each.to_bytes())
            return info

        await self._catalog.change(replaced)
        await self._catalog.settle()

    async def _info(self) -> TableInfo:
        return await self._catalog.get_table(self._database, self._table)

    # --- constraints ---

    async def _add_check(self, check: CheckConstraint) -> None:
        """Enforced from now on; then the rows there are are looked at. Raises 3819, and it is gone again."""
        await self._replace(lambda info, _: constraints.with_check(info, check))
        client = self._worker.client
        try:
            await constraints.check_rows(await self._info(), check, client.snapshot(await client.timestamp()))
        except BaseException:
            await self._replace(lambda info, _: constraints.without_check(info, check.name))
            raise

    async def _add_foreign_key(self, definition: ForeignKeyDefinition) -> None:
        """Its index first, then enforced for new rows, then the rows there are are looked at. Raises 1452, ..."""
        info = await self._info()
        (*_, foreign) = build_foreign_keys(info, [definition])
        check_links(info, await self._catalog.refresh(), [foreign], checked=self._checked)
        if needs_index(info, foreign.column_ids):
            own = own_index(info, foreign)
            await self._worker.run(lambda txn, seen: self._add_index(own, txn, seen))
        await self._replace(lambda info, seen: constraints.with_foreign_key(info, seen, foreign, checked=self._checked))
        if not self._checked:
            return
        client = self._worker.client
        try:
            now = await client.timestamp()
            await constraints.check_children(await self._info(), foreign, await self._catalog.refresh(), client, now)
        except BaseException:
            await self._replace(lambda info, _: constraints.without_foreign_key(info, foreign.name))
            raise

    async def _forbid_null(self, change: alter.ModifyColumn) -> None:
        """MODIFY to NOT NULL. Raises 1138 for a NULL in the way."""
        info = await self._info()
        column_changes.modify_column(info, change, nulls_checked=True)
        condition = exp.Not(this=exp.Is(this=exp.column(change.name, quoted=True), expression=exp.Null()))
        check = constraints.new_check(info, f"{change.name} is not null", condition)
        try:
            await self._add_check(check)
        except SqlError as error:
            if error.code != ER_CHECK_VIOLATED:
                raise
            raise SqlError(ER_INVALID_USE_OF_NULL, "Invalid use of NULL value", sqlstate="22004") from error
        await self._replace(
            lambda info, _: column_changes.modify_column(
                constraints.without_check(info, check.name), change, nulls_checked=True
            )
        )

    def _find(self, seen: CatalogSnapshot) -> TableInfo:
        info = seen.table(self._database, self._table)
        if info is None:
            raise errors.unknown_table(self._database, self._table)
        return info

    # --- indexes ---

    async def _add_index(self, definition: IndexDefinition, txn: KvTransaction, seen: CatalogSnapshot) -> Job:
        """The job; the id is given to it now."""
        info = self._find(seen)
        (index,) = build_indexes(info.schema, [definition], info.indexes, info.last_index_id)
        if info.partitioning is not None:
            check_keys(info.partitioning, info.schema, [index])
        txn.put(meta.table_key(self._database, self._table), replace(info, last_index_id=index.id).to_bytes())
        job = await self._job("add index", info, index.id, index.name, txn)
        return replace(job, extra={"index": index.to_json()})

    async def _drop_index(self, name: str, txn: KvTransaction, seen: CatalogSnapshot) -> Job:
        info = self._find(seen)
        index = info.index(name)
        if index is None or not index.is_public:
            raise _unknown_key(name)
        refuse_index_drop(info, index, seen)
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


def _is_definition(info: TableInfo, change: alter.Alteration) -> bool:
    """Whether the change is one of the table's definition alone, so that it can be made together with others."""
    if isinstance(change, alter.ModifyColumn):
        return info.schema.has_column(change.name) and not column_changes.forbids_null(info, change)
    if isinstance(change, PartitionChange):
        return False
    others = alter.AddIndex | alter.DropIndex | alter.RenameTable | alter.SetAutoIncrement
    return not isinstance(change, others | alter.AddCheck | alter.DropCheck | alter.AddForeignKey)


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
        case alter.DropForeignKey(name):
            return constraints.without_foreign_key(info, name)
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
        renamed = replace(info, schema=replace(info.schema, name=new_name, database=target.name))
        moved, *children = followed(seen.tables, info, renamed)
        check_children(moved, seen)
        txn.delete(meta.table_key(database, name))
        for each in (moved, *children):
            txn.put(meta.table_key(each.schema.database, each.schema.name), each.to_bytes())
        return moved

    await catalog.change(change)
    await catalog.settle()


def _is_harmless(change: alter.Alteration, error: SqlError) -> bool:
    match change:
        case alter.AddIndex(_, True):
            return error.code == ER_DUP_KEYNAME
        case alter.AddColumn(_, _, True):
            return error.code == errors.ER_DUP_FIELDNAME
        case alter.DropIndex(_, True) | alter.DropColumn(_, True) | alter.DropForeignKey(_, True):
            return error.code == ER_CANT_DROP_FIELD_OR_KEY
    return False


def _unknown_key(name: str) -> SqlError:
    message = f"Can't DROP '{name}'; check that column/key exists"
    return SqlError(ER_CANT_DROP_FIELD_OR_KEY, message, sqlstate="42000")
