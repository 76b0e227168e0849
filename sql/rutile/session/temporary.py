"""A session's temporary tables, in MySQL's dialect: tables like others, but nobody else sees them.

Their definitions are laid over the catalogue for this session, so they hide tables of the same name; their rows are
ordinary rows in the store, with indexes and transactions, under ids nobody else knows (`rutile.catalog.temporary`).
They go with the session. Making and dropping one commits nothing.

Left out: ALTER TABLE and RENAME TABLE of them (but for indexes while they are empty), foreign keys at either end,
GLOBAL TEMPORARY.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rutile import errors
from rutile.catalog.foreign_keys import TableName
from rutile.catalog.meta import auto_increment_key
from rutile.catalog.model import CatalogSnapshot, TableInfo
from rutile.ddl.copy_table import copied
from rutile.ddl.create_table import read_definition
from rutile.ddl.indexes import build_indexes
from rutile.ddl.partitions import refuse_temporary
from rutile.errors import SqlError, not_supported
from rutile.parse import statements as st
from rutile.parse.alterations import AddIndex, Alteration
from rutile.session.definitions import database_of
from rutile.session.result import Result, SqlWarning
from rutile_proto import keys

if TYPE_CHECKING:
    from rutile.session.session import Session

MAX_TABLES = 4_096
"""Of one session."""


class TemporaryTables:
    """The temporary tables of one session, by database and name in lower case."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables: dict[TableName, TableInfo] = {}

    def __bool__(self) -> bool:
        return bool(self._tables)

    def __contains__(self, key: object) -> bool:
        return key in self._tables

    def get(self, database: str, name: str) -> TableInfo | None:
        """The temporary table of that name."""
        return self._tables.get((database.lower(), name.lower()))

    def over(self, catalog: CatalogSnapshot) -> CatalogSnapshot:
        """The catalogue with them in front."""
        return replace(catalog, tables={**catalog.tables, **self._tables}) if self._tables else catalog

    async def create(self, statement: st.CreateTable) -> Result:
        """CREATE TEMPORARY TABLE. Raises 1049, 1050, 1235 and what the definition raises."""
        owner = database_of(statement.table, self._session.database)
        catalog, key = self._session.shared.catalog, (owner.lower(), statement.table.name.lower())
        await catalog.get_database(owner)
        if key in self._tables:
            error = SqlError(errors.ER_TABLE_EXISTS, f"Table '{statement.table.name}' already exists")
            if not statement.if_not_exists:
                raise error
            return Result(warnings=[SqlWarning("Note", error.code, error.message)])
        if len(self._tables) >= MAX_TABLES:
            raise not_supported(f"more than {MAX_TABLES} temporary tables in a session")
        info, first = await self._defined(statement, owner)
        table_id = await self._session.shared.temporary_ids.take()
        made = replace(info, schema=replace(info.schema, table_id=table_id), is_temporary=True)
        self._tables[key] = made
        if first > 1:
            await catalog.ids.rebase(auto_increment_key(table_id), first - 1)
        return Result()

    async def _defined(self, statement: st.CreateTable, owner: str) -> tuple[TableInfo, int]:
        """(the table without an id, its first AUTO_INCREMENT value)."""
        if statement.like is not None:
            source = database_of(statement.like, self._session.database), statement.like.name
            found = self.get(*source) or await self._session.shared.catalog.get_table(*source)
            if found.partitioning is not None:
                raise refuse_temporary()
            return copied(found, owner, statement.table.name), 1
        definition = read_definition(statement.definition, owner, statement.table.name)
        if statement.partitioning is not None:
            raise refuse_temporary()
        if definition.foreign_keys:
            raise not_supported("FOREIGN KEY in a temporary table")
        info = TableInfo(
            definition.schema,
            comment=definition.comment,
            indexes=definition.indexes,
            last_index_id=len(definition.indexes),
            rules=definition.rules,
            auto_random=definition.auto_random,
        )
        return info, definition.auto_increment

    async def drop(self, table: st.TableName) -> bool:
        """Whether there was such a table."""
        info = self._tables.pop((database_of(table, self._session.database).lower(), table.name.lower()), None)
        if info is not None:
            await self._session.shared.temporary_ids.give_back(info.table_id)
        return info is not None

    async def drop_all(self, statement: st.DropTable) -> Result:
        """DROP TEMPORARY TABLE. Raises 1051 when one is missing; those that are there are gone all the same."""
        missing = [
            f"{database_of(table, self._session.database)}.{table.name}"
            for table in statement.tables
            if not await self.drop(table)
        ]
        if missing and not statement.if_exists:
            raise SqlError(errors.ER_BAD_TABLE, f"Unknown table '{','.join(missing)}'")
        return Result(warnings=[SqlWarning("Note", errors.ER_BAD_TABLE, f"Unknown table '{name}'") for name in missing])

    async def drop_first(self, statement: st.DropTable) -> Result | None:
        """DROP TABLE, which drops what it sees; None if nothing of that is temporary. Raises 1235 for some of each."""
        seen = [self.get(database_of(table, self._session.database), table.name) for table in statement.tables]
        if not any(seen):
            return None
        if not all(seen):
            raise not_supported("DROP TABLE of temporary and other tables in one statement")
        return await self.drop_all(statement)

    async def truncate(self, table: st.TableName) -> bool:
        """Whether there was such a table; it is empty now, under another id."""
        info = self.get(database_of(table, self._session.database), table.name)
        if info is None:
            return False
        fresh = await self._session.shared.temporary_ids.take()
        key = info.schema.database.lower(), info.schema.name.lower()
        self._tables[key] = replace(info, schema=replace(info.schema, table_id=fresh))
        await self._session.shared.temporary_ids.give_back(info.table_id)
        return True

    async def add_indexes(self, table: st.TableName, changes: Sequence[Alteration]) -> bool:
        """Whether there was such a table; it has the indexes now. Raises 1235 for other changes, and if it has rows."""
        info = self.get(database_of(table, self._session.database), table.name)
        if info is None:
            return False
        added = [change.definition for change in changes if isinstance(change, AddIndex)]
        if len(added) < len(changes) or await self._has_rows(info):
            self.refuse(table, "ALTER TABLE")
        made = build_indexes(info.schema, added, info.indexes, info.last_index_id)
        key = info.schema.database.lower(), info.schema.name.lower()
        count = info.last_index_id + len(made)
        self._tables[key] = replace(info, indexes=(*info.indexes, *made), last_index_id=count)
        return True

    async def _has_rows(self, info: TableInfo) -> bool:
        client, txn = self._session.shared.client, self._session.transaction.current
        reader = txn if txn is not None else client.snapshot(await client.timestamp())
        return bool(await reader.scan(*keys.table_range(info.table_id), 1))

    def refuse(self, table: st.TableName, what: str) -> None:
        """1235 if the name is a temporary table's."""
        owner = table.database or self._session.database
        if owner is not None and self.get(owner, table.name) is not None:
            raise not_supported(f"{what} of a temporary table ({table.name})")

    async def clear(self) -> None:
        """Drop all: the session ends."""
        for info in self._tables.values():
            await self._session.shared.temporary_ids.give_back(info.table_id)
        self._tables.clear()


async def run_on_temporary(session: Session, statement: st.Statement) -> Result | None:
    """What a definition does to temporary tables; None if it is (also) about others, or the rest of it is."""
    tables = session.temporary
    match statement:
        case st.CreateTable(temporary=True):
            return await tables.create(statement)
        case st.DropTable(temporary=True):
            return await tables.drop_all(statement)
        case st.DropTable() if tables:
            return await tables.drop_first(statement)
        case st.TruncateTable(table) if tables and await tables.truncate(table):
            return Result()
        case st.AlterTable(table, changes) if tables and await tables.add_indexes(table, changes):
            return Result()
        case st.RenameTables(pairs) if tables:
            for old, _ in pairs:
                tables.refuse(old, "RENAME TABLE")
    return None
