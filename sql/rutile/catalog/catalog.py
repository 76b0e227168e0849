"""The catalogue's face: what is there, and the changes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.auto_random import AutoRandom
from rutile.catalog.cache import LEASE_S, CatalogCache
from rutile.catalog.changes import (
    SYSTEM_DATABASES,
    VIRTUAL_DATABASES,
    any_table,
    linked,
    make_database,
    make_table,
    remove_database,
)
from rutile.catalog.foreign_keys import ForeignKey, TableName
from rutile.catalog.holds import CommitHolds
from rutile.catalog.identifiers import IdAllocator
from rutile.catalog.indexes import IndexInfo
from rutile.catalog.model import CatalogSnapshot, DatabaseInfo, TableInfo, TableState
from rutile.catalog.partitions import Partitioning
from rutile.catalog.recovery import DROP_TABLE, TRUNCATE_TABLE, note_table
from rutile.catalog.rules import NO_RULES, RuleSet
from rutile.catalog.sequences import SequenceValues
from rutile.catalog.transactions import in_transaction
from rutile.ddl.column_steps import without_change
from rutile.ddl.foreign_key_guards import refuse_drop, refuse_truncate
from rutile.errors import SqlError
from rutile.session.storage import KvClient, KvTransaction
from rutile_coprocessor.schema import TableSchema

FIRST_DATABASE = "test"
"""Made with a new cluster, as in TiDB."""

Change = Callable[[KvTransaction, CatalogSnapshot], Awaitable[TableInfo | None]]


class Catalog:
    """One per front-end process. All names are compared without case."""

    def __init__(
        self,
        client: KvClient,
        monotonic: Callable[[], float],
        *,
        single_front_end: bool = False,
        lease_s: float = LEASE_S,
    ) -> None:
        self._client = client
        self._cache = CatalogCache(client, monotonic, lease_s=lease_s, single_front_end=single_front_end)
        self.holds = CommitHolds(self._cache, lease_s, monotonic, single=single_front_end, sleep=asyncio.sleep)
        self._single = single_front_end
        self._attending: asyncio.Task[None] | None = None
        self.ids = IdAllocator(client)
        self.sequences = SequenceValues(client)

    async def start(self) -> None:
        """Load the catalogue, and make the first database on a new cluster."""
        snapshot = await self._cache.refresh()
        if snapshot.version == 0:
            await self.create_database(FIRST_DATABASE, if_not_exists=True)
        if not self._single:
            self._attending = asyncio.create_task(self.holds.attend(), name="place among the front ends")

    async def close(self) -> None:
        """Leave the others; sessions are closed before."""
        if self._attending is not None:
            self._attending.cancel()
            await asyncio.gather(self._attending, return_exceptions=True)
            self._attending = None
            await self._cache.close()

    @property
    def valid_as_of(self) -> int:
        """A timestamp at which the catalogue was as it is known here."""
        return self._cache.valid_as_of

    # --- what is there ---

    def cached(self) -> CatalogSnapshot | None:
        """The catalogue if it may be used without asking."""
        return self._cache.cached()

    @property
    def as_of(self) -> int:
        """A timestamp at which what is known here was current."""
        return self._cache.valid_as_of

    async def current(self) -> CatalogSnapshot:
        """The catalogue as of at most a lease ago."""
        return await self._cache.current()

    async def refresh(self) -> CatalogSnapshot:
        """The catalogue as of now: what to look at before saying that a name does not exist."""
        return await self._cache.refresh()

    async def get_table(self, database: str, name: str) -> TableInfo:
        """A table sessions see. Raises 1049 or 1146."""
        found = (await self.current()).table(database, name) or (await self.refresh()).table(database, name)
        if found is not None:
            return found
        await self.get_database(database)
        raise errors.unknown_table(database, name)

    async def table_by_id(self, table_id: int) -> TableInfo | None:
        """The table of that id as of now, in any state."""
        tables = (await self.refresh()).tables.values()
        return next((info for info in tables if info.table_id == table_id), None)

    async def get_database(self, name: str) -> DatabaseInfo:
        """A database. Raises 1049."""
        if name.lower() in VIRTUAL_DATABASES:
            return DatabaseInfo(0, name.lower())
        found = (await self.current()).database(name) or (await self.refresh()).database(name)
        if found is None:
            raise errors.unknown_database(name)
        return found

    async def list_databases(self) -> list[str]:
        """Names, sorted."""
        stored = [info.name for info in (await self.current()).databases.values()]
        return sorted([*stored, *SYSTEM_DATABASES])

    async def list_tables(self, database: str) -> list[TableInfo]:
        """The tables of a database, by name. Raises 1049."""
        await self.get_database(database)
        return (await self.current()).tables_of(database)

    # --- changes ---

    async def create_database(self, name: str, *, if_not_exists: bool = False) -> bool:
        """Whether it was made. Raises 1007 when it exists already, unless `if_not_exists`."""
        try:
            await self.change(lambda txn, seen: make_database(txn, seen, name))
        except SqlError as error:
            if error.code == errors.ER_DB_CREATE_EXISTS and if_not_exists:
                return False
            raise
        return True

    async def drop_database(self, name: str, *, if_exists: bool = False, checked: bool = True) -> int:
        """Drop a database with its tables; returns how many there were. Raises 1008 unless `if_exists`, 3730."""
        dropped: list[TableInfo] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
            dropped[:] = await remove_database(txn, seen, name, checked=checked)

        try:
            await self.change(change)
        except SqlError as error:
            if error.code == errors.ER_DB_DROP_EXISTS and if_exists:
                return 0
            raise
        await self._unused(dropped)
        return len(dropped)

    async def create_table(
        self,
        schema: TableSchema,
        *,
        state: TableState | str = TableState.PUBLIC,
        comment: str = "",
        auto_increment: int = 1,
        indexes: tuple[IndexInfo, ...] = (),
        rules: RuleSet = NO_RULES,
        foreign_keys: tuple[ForeignKey, ...] = (),
        auto_random: AutoRandom | None = None,
        partitioning: Partitioning | None = None,
        checked: bool = True,
    ) -> TableInfo:
        """Make a table; `schema.table_id` is ignored and a fresh one given. `auto_increment` is the first value.

        Raises 1049 for an unknown database, 1050 when the name is taken (also by a table being imported), 1822, 1824,
        3734, 3780 for foreign keys that cannot lead to their parents; only without `checked` may these be missing.
        """
        last_index_id = max((index.id for index in indexes), default=0)
        wanted = TableInfo(
            schema,
            TableState(state),
            comment,
            indexes,
            last_index_id,
            rules,
            foreign_keys,
            auto_random=auto_random,
            partitioning=partitioning,
        )
        made = await self.change(lambda txn, seen: make_table(txn, seen, wanted, auto_increment, checked=checked))
        assert made is not None
        return made

    async def publish_table(self, database: str, name: str) -> TableInfo:
        """Show sessions a table that was made in state "importing", or hidden. Raises 1146."""
        return await self._set_state(database, name, TableState.PUBLIC)

    async def hide_table(self, database: str, name: str) -> TableInfo:
        """Take a table from the sessions' sight while it is loaded; on return no front end uses it. Raises 1146."""
        hidden = await self._set_state(database, name, TableState.IMPORTING)
        await self.settle()
        return hidden

    async def _set_state(self, database: str, name: str, state: TableState) -> TableInfo:
        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            changed = replace(any_table(seen, database, name), state=state)
            txn.put(meta.table_key(database, name), changed.to_bytes())
            return changed

        made = await self.change(change)
        assert made is not None
        return made

    async def drop_table(
        self, database: str, name: str, *, dropping: frozenset[TableName] = frozenset(), checked: bool = True
    ) -> None:
        """Drop a table in any state. Raises 1051; 3730 for the parent of a table that is not among `dropping`."""
        dropped: list[TableInfo] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
            dropped[:] = [any_table(seen, database, name, errors.ER_BAD_TABLE)]
            if checked:
                refuse_drop(dropped[0], seen, dropping)
            if dropped[0].state is TableState.PUBLIC:
                await note_table(txn, dropped[0], DROP_TABLE)
            meta.drop_table(txn, dropped[0])

        await self.change(change)
        await self._unused(dropped)

    async def truncate_table(self, database: str, name: str, *, checked: bool = True) -> TableInfo:
        """Empty a table by giving it a new id; its counters begin again. Raises 1146, 1701."""
        old: list[TableInfo] = []

        async def change(txn: KvTransaction, seen: CatalogSnapshot) -> TableInfo:
            info = any_table(seen, database, name)
            if checked:
                refuse_truncate(info, seen)
            old[:] = [info]
            # An index on its way in, or a column on its way to another type, belongs to a job on the old id, which
            # will find its table gone.
            kept = without_change(info)
            schema = replace(kept.schema, table_id=await meta.next_id(txn))
            partitioning = await meta.with_fresh_ids(txn, info.partitioning)
            fresh = replace(kept, schema=schema, indexes=kept.public_indexes, partitioning=partitioning)
            txn.put(meta.table_key(database, name), fresh.to_bytes())
            await note_table(txn, info, TRUNCATE_TABLE)
            meta.forget_table(txn, info)
            return fresh

        made = await self.change(change)
        assert made is not None
        await self._unused(old)
        return made

    async def change(self, change: Change) -> TableInfo | None:
        """Run `change` in a transaction on the catalogue as that transaction sees it, again after a conflict."""

        async def body(txn: KvTransaction) -> TableInfo | None:
            seen = await meta.load(txn)
            made = await linked(txn, seen, await change(txn, seen))
            await meta.bump_version(txn)
            return made

        made = await in_transaction(self._client, body)
        await self._cache.refresh()
        return made

    async def _unused(self, dropped: list[TableInfo]) -> None:
        """Wait until no front end still uses these tables: what one wrote later could outlive their removal."""
        if dropped:
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing commits any more that was made with older definitions than are known here."""
        await self.holds.settle((await self.current()).version)
