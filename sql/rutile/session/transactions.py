"""A session's transaction: opening, statement atomicity, savepoints, locks, commit with its errors, retries.

*Pessimistic* transactions (`tidb_txn_mode`, the default as in TiDB) lock what they write, and what they read FOR
UPDATE, while they run: each such statement reads what is newest, locks, and runs again if something newer came in
between (`current_reads.py`). They wait for each other at the statement, up to innodb_lock_wait_timeout (1205), and one
of a circle is rolled back (1213). Their commit meets no conflict.

*Optimistic* ones write to their buffer alone; a conflict is the user's, who has seen reads: 9007 at COMMIT.

Data changes in autocommit run in an optimistic transaction of their own first: nothing waits for anything, and nobody
has seen anything of it yet. After a conflict it starts again, pessimistic if that is the session's mode, otherwise up
to tidb_retry_limit times.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rutile.catalog.catalog import Catalog
from rutile.catalog.model import TableInfo
from rutile.errors import SqlError, from_floor, schema_changed
from rutile.rows.access import TableAccess, TableAccesses
from rutile.session.current_reads import CurrentView
from rutile.session.reads_under_locks import ViewUnderLocks
from rutile.session.storage import CommitLimit, KvClient, KvTransaction, LockingTransaction
from rutile.statistics.changes import ChangeCounts
from rutile_proto.errors import AlreadyExist, Deadlock, Retry, RutileError, TxnAborted, WriteConflict

ER_READ_ONLY_TRANSACTION = 1792
ER_NO_SUCH_SAVEPOINT = 1305
MAX_STATEMENT_ATTEMPTS = 256
"""How often a statement that locks runs again after newer commits, as in TiDB."""
LOST_LOCKS_ATTEMPTS = 4
"""How often a data change in autocommit locks its rows anew after it lost its locks."""
Outcome = TypeVar("Outcome")
Body = Callable[[KvTransaction], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class TransactionMode:
    """How a transaction is opened."""

    pessimistic: bool = True
    read_committed: bool = False
    """Pessimistic only: every statement reads what is newest."""
    read_only: bool = False

    def begun(self, *, read_only: bool, pessimistic: bool | None) -> TransactionMode:
        """The mode of a BEGIN that says so itself; None leaves it."""
        chosen = self.pessimistic if pessimistic is None else pessimistic
        return replace(self, read_only=self.read_only or read_only, pessimistic=chosen)


class TransactionState:
    """The transaction of one session, if one is open."""

    def __init__(
        self,
        client: KvClient,
        catalog: Catalog,
        tables: TableAccesses,
        monotonic: Callable[[], float] = time.monotonic,
        changes: ChangeCounts | None = None,
    ) -> None:
        """`changes`: where the rows are counted that commit."""
        self._changes = ChangeCounts() if changes is None else changes
        self._client = client
        self._monotonic = monotonic
        self._catalog = catalog
        self._tables = tables
        self._written: dict[int, TableAccess] = {}
        self._savepoints: list[tuple[str, int]] = []
        self._mode = TransactionMode()
        self._locking: LockingTransaction | None = None
        self.current: KvTransaction | None = None

    @property
    def is_open(self) -> bool:
        return self.current is not None

    @property
    def is_pessimistic(self) -> bool:
        """Whether a transaction is open that locks while it runs."""
        return self._locking is not None

    async def begin(self, mode: TransactionMode) -> KvTransaction:
        """Open a transaction; the one before is committed, as in MySQL."""
        await self.commit()
        if mode.pessimistic:
            self.current = self._locking = await self._client.begin(pessimistic=True)
        else:
            self.current = await self._client.begin()
        self._mode = mode
        return self.current

    async def ensure(self, mode: TransactionMode) -> KvTransaction:
        """The open transaction; a new one in `mode` if there is none (autocommit = 0)."""
        return self.current or await self.begin(mode)

    async def reader(self, mode: TransactionMode) -> KvTransaction:
        """What a query reads from: the open transaction, or under READ COMMITTED a fresh look through it."""
        txn = await self.ensure(mode)
        if self._locking is None or not self._mode.read_committed:
            return txn
        return await self._view(self._locking)

    def reader_now(self) -> KvTransaction | None:
        """The same without an await; None where it takes one: no transaction is open, or READ COMMITTED."""
        return None if self._locking is not None and self._mode.read_committed else self.current

    async def commit(self) -> None:
        """Make the changes visible. Raises 9007, 1062, 8028; the transaction is over in any case."""
        txn, written = self._take()
        if txn is not None:
            await self._commit(txn, [table.info for table in written.values()])

    async def _commit(self, txn: KvTransaction, written: list[TableInfo]) -> None:
        """Commit, with the errors a client of MySQL knows, if what was written to is still what it was."""
        holds = self._catalog.holds
        try:
            async with holds.commit(written) as max_commit_ts:
                if max_commit_ts and written:
                    txn.limit = CommitLimit(max_commit_ts, lambda: holds.extend(written))
                await txn.commit()
            self._changes.note(txn, written)
        except AlreadyExist as error:
            raise _duplicate(error, self._tables) from error
        except RutileError as error:
            raise from_floor(error) from error
        except SqlError:
            await txn.rollback()
            raise

    async def rollback(self) -> None:
        """Forget the changes."""
        txn, _ = self._take()
        if txn is not None:
            await txn.rollback()

    def _take(self) -> tuple[KvTransaction | None, dict[int, TableAccess]]:
        taken = self.current, self._written
        self.current, self._locking, self._written, self._savepoints = None, None, {}, []
        return taken

    # --- statements ---

    async def run(
        self,
        tables: Sequence[TableAccess],
        body: Body[Outcome],
        mode: TransactionMode,
        wait_s: float,
        *,
        names_keys: bool = False,
    ) -> Outcome:
        """Run a data change on `tables` in the open transaction: all of it, or none of it if it raises.

        `wait_s` seconds is what a pessimistic one waits for locks. One that `names_keys` reads no others than those it
        locks (see `reads_under_locks`). Raises 1205, 1213 (the transaction is over then).
        """
        await self.ensure(mode)
        if self._mode.read_only:
            raise read_only_transaction()
        for table in tables:
            known = self._written.get(table.schema.table_id)
            if known is not None and known.info != table.info:
                await self.rollback()
                raise schema_changed(f"table {table.schema.database}.{table.schema.name} was altered")
        outcome = await self.run_locking(body, mode, wait_s, names_keys=names_keys)
        self._written.update((table.schema.table_id, table) for table in tables)
        return outcome

    async def run_locking(
        self, body: Body[Outcome], mode: TransactionMode, wait_s: float, *, names_keys: bool = False
    ) -> Outcome:
        """The same for a statement that may only lock."""
        txn = await self.ensure(mode)
        if self._locking is None:
            return await _atomically(txn, body)
        run = self._run_under_locks if names_keys else self._run_current
        try:
            return await run(self._locking, body, self._monotonic() + wait_s)
        except (Deadlock, TxnAborted):
            await self.rollback()
            raise
        except AlreadyExist as error:
            raise _duplicate(error, self._tables) from error

    async def _run_under_locks(self, txn: LockingTransaction, body: Body[Outcome], deadline_s: float) -> Outcome:
        view = ViewUnderLocks(txn, lambda: max(0.0, deadline_s - self._monotonic()))

        async def read_and_lock(_: KvTransaction) -> Outcome:
            outcome = await body(view)
            await view.settle()
            return outcome

        return await _atomically(txn, read_and_lock)

    async def _run_current(self, txn: LockingTransaction, body: Body[Outcome], deadline_s: float) -> Outcome:
        for attempt in range(MAX_STATEMENT_ATTEMPTS):
            view = await self._view(txn)

            async def read_then_lock(_: KvTransaction, view: CurrentView = view) -> Outcome:
                outcome = await body(view)
                left_s = max(0.0, deadline_s - self._monotonic())
                await txn.lock_keys(view.to_lock, wait_s=left_s, as_of=view.start_ts)
                return outcome

            try:
                return await _atomically(txn, read_then_lock)
            except WriteConflict:
                if attempt == MAX_STATEMENT_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _view(self, txn: LockingTransaction) -> CurrentView:
        ts = await self._client.timestamp()
        return CurrentView(txn, self._client.snapshot(ts), ts)

    async def run_alone(
        self, tables: Sequence[TableAccess], body: Body[Outcome], mode: TransactionMode, retries: int, wait_s: float
    ) -> Outcome:
        """Run a data change in a transaction of its own, again after a conflict: locking what it needs if `mode` is
        pessimistic, otherwise up to `retries` times."""
        for attempt in range(retries + 1):
            txn = await self._client.begin()
            txn.at_once = True
            try:
                outcome = await body(txn)
            except BaseException:
                await txn.rollback()
                raise
            try:
                await self._commit(txn, [table.info for table in tables])
            except SqlError as error:
                if _is_conflict(error) and mode.pessimistic:
                    return await self._run_alone_locking(tables, body, wait_s)
                if not _is_conflict(error) or attempt == retries:
                    raise
                continue
            return outcome
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _run_alone_locking(
        self, tables: Sequence[TableAccess], body: Body[Outcome], wait_s: float, attempts: int = LOST_LOCKS_ATTEMPTS
    ) -> Outcome:
        txn = await self._client.begin(pessimistic=True)
        txn.at_once = True
        try:
            outcome = await self._run_current(txn, body, self._monotonic() + wait_s)
        except BaseException as error:
            await txn.rollback()
            if isinstance(error, AlreadyExist):
                raise _duplicate(error, self._tables) from error
            raise
        try:
            await self._commit(txn, [table.info for table in tables])
        except SqlError as error:
            if attempts == 1 or not isinstance(error.__cause__, TxnAborted):
                raise
            return await self._run_alone_locking(tables, body, wait_s, attempts - 1)
        return outcome

    # --- savepoints ---

    async def savepoint(self, name: str, mode: TransactionMode) -> None:
        """Remember this point; an older savepoint of that name is forgotten."""
        txn = await self.ensure(mode)
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


def _duplicate(error: AlreadyExist, tables: TableAccesses) -> SqlError:
    table = tables.of_key(error.key)
    return table.duplicate(error.key) if table is not None else from_floor(error)


async def _atomically(txn: KvTransaction, body: Body[Outcome]) -> Outcome:
    """Run a statement: what it has written is undone if it raises."""
    mark = txn.savepoint()
    try:
        outcome = await body(txn)
    except BaseException:
        txn.rollback_to(mark)
        raise
    txn.release(mark)
    return outcome


def _is_conflict(error: SqlError) -> bool:
    cause = error.__cause__
    return isinstance(cause, RutileError) and cause.retry is Retry.RESTART_TRANSACTION
