"""Statements that define: CREATE, ALTER, DROP, RENAME and TRUNCATE, on the catalogue."""

from __future__ import annotations

from rutile import errors
from rutile.catalog.catalog import Catalog
from rutile.ddl.alter import TableAlterer
from rutile.ddl.context import DefinitionContext
from rutile.ddl.copy_table import copy_table
from rutile.ddl.create_table import read_definition
from rutile.ddl.rename_table import rename_table
from rutile.ddl.worker import DdlWorker
from rutile.errors import SqlError, no_database_selected
from rutile.parse import statements as st
from rutile.session.result import Result, SqlWarning

Definition = (
    st.CreateDatabase | st.DropDatabase | st.CreateTable | st.DropTable | st.TruncateTable | st.AlterTable
    | st.RenameTables
)  # fmt: skip


async def run_definition(
    statement: Definition,
    catalog: Catalog,
    worker: DdlWorker,
    database: str | None,
    context: DefinitionContext,
) -> Result:
    """Run it; `database` is the session's.

    Raises the errors of the catalogue and of `ddl`.
    """
    checked = context.checked
    match statement:
        case st.CreateDatabase(name, if_not_exists):
            made = await catalog.create_database(name, if_not_exists=if_not_exists)
            return Result(affected_rows=int(made), warnings=[] if made else [_note(1007, _exists(name))])
        case st.DropDatabase(name, if_exists):
            return Result(affected_rows=await catalog.drop_database(name, if_exists=if_exists, checked=checked))
        case st.CreateTable():
            return await _create_table(statement, catalog, database, checked=checked)
        case st.DropTable():
            return await _drop_tables(statement, catalog, database, checked=checked)
        case st.TruncateTable(table):
            await catalog.truncate_table(database_of(table, database), table.name, checked=checked)
            return Result()
        case st.AlterTable(table, changes):
            owner = database_of(table, database)
            alterer = TableAlterer(catalog, worker, owner, table.name, context)
            return Result(warnings=await alterer.run(changes))
        case st.RenameTables(pairs):
            for old, new in pairs:
                owners = database_of(old, database), database_of(new, database)
                await rename_table(catalog, owners[0], old.name, owners[1], new.name)
            return Result()


def database_of(table: st.TableName, database: str | None) -> str:
    """The database a name means. Raises 1046."""
    found = table.database or database
    if found is None:
        raise no_database_selected()
    return found


def _exists(name: str) -> str:
    return f"Can't create database '{name}'; database exists"


def _note(code: int, message: str) -> SqlWarning:
    return SqlWarning("Note", code, message)


async def _create_table(statement: st.CreateTable, catalog: Catalog, database: str | None, *, checked: bool) -> Result:
    owner = database_of(statement.table, database)
    try:
        if statement.like is not None:
            source = database_of(statement.like, database), statement.like.name
            await copy_table(catalog, source, (owner, statement.table.name))
            return Result()
        definition = read_definition(statement.definition, owner, statement.table.name, statement.partitioning)
        await catalog.create_table(
            definition.schema,
            comment=definition.comment,
            auto_increment=definition.auto_increment,
            indexes=definition.indexes,
            rules=definition.rules,
            foreign_keys=definition.foreign_keys,
            auto_random=definition.auto_random,
            partitioning=definition.partitioning,
            checked=checked,
        )
    except SqlError as error:
        if error.code != errors.ER_TABLE_EXISTS or not statement.if_not_exists:
            raise
        return Result(warnings=[_note(error.code, error.message)])
    return Result()


async def _drop_tables(statement: st.DropTable, catalog: Catalog, database: str | None, *, checked: bool) -> Result:
    """Drop those that exist; then complain of the others, as MySQL does."""
    dropping = frozenset((database_of(table, database).lower(), table.name.lower()) for table in statement.tables)
    missing: list[str] = []
    for table in statement.tables:
        owner = database_of(table, database)
        try:
            await catalog.drop_table(owner, table.name, dropping=dropping, checked=checked)
        except SqlError as error:
            if error.code != errors.ER_BAD_TABLE:
                raise
            missing.append(f"{owner}.{table.name}")
    if missing and not statement.if_exists:
        raise SqlError(errors.ER_BAD_TABLE, f"Unknown table '{','.join(missing)}'")
    return Result(warnings=[_note(errors.ER_BAD_TABLE, f"Unknown table '{name}'") for name in missing])
