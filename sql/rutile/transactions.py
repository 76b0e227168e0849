"""A session's transaction: opening, statement atomicity, savepoints, commit with its errors, retries.

Autocommit data changes run in a transaction of their own that starts again after a write conflict, a bounded number of
times: nobody has seen anything of it yet (TiDB's tidb_retry_limit). In an explicit transaction the user has seen reads,
so its conflict is the user's: 9007 at COMMIT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rutile.access import TableAccess, TableAccesses
from rutile.catalog.catalog import Catalog
from rutile.errors import SqlError, from_floor, schema_changed
from rutile.storage import KvClient, KvTransaction
from rutile_proto.errors import AlreadyExist, Retry, RutileError

ER_READ_ONLY_TRANSACTION = 1792
ER_NO_SUCH_SAVEPOINT = 1305
Outcome = TypeVar("Outcome")


class TransactionState:
    """The transaction of one session, if one is open."""

    def __init__(self, client: KvClient, catalog: Catalog, tables: TableAccesses) -> None:
        self._client = client
        self._catalog = catalog
        self._tables = tables
        self._written: dict[int, TableAccess] = {}
        self._savepoints: list[tuple[str, int]] = []
        self._read_only = False
        self.current: KvTransaction | None = None

    @property
    def is_open(self) -> bool:
        return self.current is not None

    async def begin(self, *, read_only: bool = False) -> KvTransaction:
        """Open a transaction; the one before is committed, as in MySQL."""
        await self.commit()
        self.current = await self._client.begin()
        self._read_only = read_only
        return self.current

    async def ensure(self) -> KvTransaction:
        """The open transaction; a new one if there is none (autocommit = 0)."""
        return self.current or await self.begin()

    async def commit(self) -> None:
        """Make the changes visible. Raises 9007, 1062, 8028; the transaction is over in any case."""
        txn, written = self._take()
        if txn is None:
            return
        try:
            await self._check_definitions(written)
        except BaseException:
            await txn.rollback()
            raise
        await commit(txn, self._tables)

    async def rollback(self) -> None:
        """Forget the changes."""
        txn, _ = self._take()
        if txn is not None:
            await txn.rollback()

    def _take(self) -> tuple[KvTransaction | None, dict[int, TableAccess]]:
        taken = self.current, self._written
        self.current, self._written, self._savepoints, self._read_only = None, {}, [], False
        return taken

    async def _check_definitions(self, written: dict[int, TableAccess]) -> None:
        """Every table written to must still be what it was."""
        if not written:
            return
        snapshot = await self._catalog.current()
        for table in written.values():
            schema = table.schema
            if snapshot.table(schema.database, schema.name) != table.info:
                raise schema_changed(f"table {schema.database}.{schema.name} was altered or dropped")

    # --- statements ---

    async def run(self, table: TableAccess, body: Callable[[KvTransaction], Awaitable[Outcome]]) -> Outcome:
        """Run a data change on `table` in the open transaction: all of it, or none of it if it raises."""
        txn = await self.ensure()
        if self._read_only:
            raise read_only_transaction()
        mark = txn.savepoint()
        try:
            outcome = await body(txn)
        except BaseException:
            txn.rollback_to(mark)
            raise
        txn.release(mark)
        self._written[table.schema.table_id] = table
        return outcome

    async def run_alone(self, retries: int, body: Callable[[KvTransaction], Awaitable[Outcome]]) -> Outcome:
        """Run a data change in a transaction of its own, again after a conflict, up to `retries` times."""
        for attempt in range(retries + 1):
            txn = await self._client.begin()
            try:
                outcome = await body(txn)
            except BaseException:
                await txn.rollback()
                raise
            try:
                await commit(txn, self._tables)
            except SqlError as error:
                if not _is_conflict(error) or attempt == retries:
                    raise
                continue
            return outcome
        raise AssertionError("unreachable: the last attempt returns or raises")

    # --- savepoints ---

    async def savepoint(self, name: str) -> None:
        """Remember this point; an older savepoint of that name is forgotten."""
        txn = await self.ensure()
        for at, (known, mark) in enumerate(self._savepoints):
            if known == name.lower():
                txn.release(mark)
                del self._savepoints[at]
                break
        self._savepoints.append((name.lower(), txn.savepoint()))

    async def rollback_to(self, name: str | None) -> None:
        """Undo what came after the savepoint, which stays; None undoes and ends the transaction. Raises 1305."""
        if name is None:
            return await self.rollback()
        txn, at = self._find(name)
        for _, mark in self._savepoints[:at:-1]:
            txn.release(mark)
        txn.rollback_to(self._savepoints[at][1])
        self._savepoints[at:] = [(name.lower(), txn.savepoint())]

    def release(self, name: str) -> None:
        """Forget the savepoint and those after it. Raises 1305."""
        txn, at = self._find(name)
        for _, mark in self._savepoints[: at - 1 if at else None : -1]:
            txn.release(mark)
        del self._savepoints[at:]

    def _find(self, name: str) -> tuple[KvTransaction, int]:
        for at, (known, _) in enumerate(self._savepoints):
            if known == name.lower() and self.current is not None:
                return self.current, at
        raise SqlError(ER_NO_SUCH_SAVEPOINT, f"SAVEPOINT {name} does not exist")


def read_only_transaction() -> SqlError:
    """1792."""
    message = "Cannot execute statement in a READ ONLY transaction"
    return SqlError(ER_READ_ONLY_TRANSACTION, message, sqlstate="25006")


async def commit(txn: KvTransaction, tables: TableAccesses) -> None:
    """Commit, with the errors a client of MySQL knows."""
    try:
        await txn.commit()
    except AlreadyExist as error:
        table = tables.of_key(error.key)
        raise (table.duplicate(error.key) if table is not None else from_floor(error)) from error
    except RutileError as error:
        raise from_floor(error) from error


def _is_conflict(error: SqlError) -> bool:
    cause = error.__cause__
    return isinstance(cause, RutileError) and cause.retry is Retry.RESTART_TRANSACTION
