"""ALTER TABLE, change by change: indexes and columns of another type by jobs, the rest at once.

The changes of one statement are made in the order written: together, all or none, if they are of the definition alone.
With an index, another type, a CHECK, a foreign key, NOT NULL or another name among them each is by itself: if one is
refused, those before it stay.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.catalog import Catalog
from rutile.catalog.foreign_keys import followed
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.catalog.rules import CheckConstraint
from rutile.ddl import column_changes, constraints
from rutile.ddl.alter_jobs import add_index, drop_index, modify_column
from rutile.ddl.column_rewrites import ER_UNSUPPORTED_DDL
from rutile.ddl.context import DefinitionContext
from rutile.ddl.create_table import own_index
from rutile.ddl.definition_changes import changed, is_definition, is_harmless
from rutile.ddl.foreign_key_guards import refuse_column_change, refuse_column_drop
from rutile.ddl.foreign_keys import ForeignKeyDefinition, build_foreign_keys, check_links, needs_index
from rutile.ddl.partition_changes import change_partitions, refuse_change
from rutile.ddl.rename_table import rename_table
from rutile.ddl.worker import DdlWorker
from rutile.errors import SqlError
from rutile.parse import alterations as alter
from rutile.rows.row_rules import ER_CHECK_VIOLATED
from rutile.session.result import SqlWarning
from rutile.session.storage import KvTransaction

ER_INVALID_USE_OF_NULL = 1138


class TableAlterer:
    """Makes the changes of one ALTER TABLE."""

    def __init__(
        self, catalog: Catalog, worker: DdlWorker, database: str, table: str, context: DefinitionContext
    ) -> None:
        self._checked = context.checked
        self._context = context
        self._catalog = catalog
        self._worker = worker
        self._database = database
        self._table = table

    async def run(self, changes: tuple[alter.Alteration, ...]) -> list[SqlWarning]:
        """Make them; what IF [NOT] EXISTS made of errors. Raises 1146 and what each change raises."""
        info = await self._unchanging()
        if not changes:
            return []
        for change in changes:
            refuse_change(info, change)
        notes: list[SqlWarning] = []
        if all(is_definition(info, change) for change in changes):
            await self._replace(lambda info, seen: self._all_changed(info, seen, changes, notes))
            return notes
        for change in changes:
            try:
                await self._make(change)
            except SqlError as error:
                if not is_harmless(change, error):
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
                if not is_harmless(change, error):
                    raise
                notes.append(SqlWarning("Note", error.code, error.message))
        return info

    async def _make(self, change: alter.Alteration) -> None:
        match change:
            case alter.AddIndex():
                await self._worker.run(lambda txn, seen: add_index(self._find(seen), change.definition, txn))
            case alter.DropIndex(name):
                await self._worker.run(lambda txn, seen: drop_index(self._find(seen), name, seen, txn))
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
            case alter.ModifyColumn() if column_changes.rewrites_rows(await self._info(), change):
                context = self._context
                await self._worker.run(lambda txn, seen: modify_column(self._find(seen), change, seen, context, txn))
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
        made = changed(info, change, self._context.now)
        left = {column.id: column for column in made.schema.columns}
        for column in info.schema.columns:
            if column.id not in left:
                refuse_column_drop(info, column, seen)
            elif left[column.id] != column and self._checked:
                refuse_column_change(info, column, left[column.id], seen)
        return made

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
            await self._worker.run(lambda txn, seen: add_index(self._find(seen), own, txn))
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

    async def _unchanging(self) -> TableInfo:
        """The table, once no column of it is on its way to another type."""
        while (info := await self._info()).changing is not None:
            await self._worker.wait_for_jobs(info.table_id)
            await self._catalog.refresh()
        return info

    def _find(self, seen: CatalogSnapshot) -> TableInfo:
        """The table, as a change finds it. Raises 1146, 8200."""
        info = seen.table(self._database, self._table)
        if info is None:
            raise errors.unknown_table(self._database, self._table)
        if info.changing is not None:
            message = f"Unsupported ALTER TABLE while column '{info.changing.column.name}' changes: try again"
            raise SqlError(ER_UNSUPPORTED_DDL, message)
        return info
