"""Connections: one session each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from rutile import pep249
from rutile.dbapi.batch_stream import BatchStream
from rutile.dbapi.cursor import Cursor
from rutile.dbapi.frames import ArrowData, reader_of
from rutile.dbapi.query_result import QueryResult
from rutile.dbapi.transaction import ImplicitTransaction, Transaction
from rutile.nodes.local import Backend, StatementResult
from rutile.pep249 import InterfaceError, NotSupportedError

if TYPE_CHECKING:
    import ibis.expr.types

IngestMode = Literal["append", "create", "replace"]


class Connection:
    """A session. As a context manager it commits (or, on an exception, rolls back) and closes."""

    Warning, Error, InterfaceError = pep249.Warning, pep249.Error, pep249.InterfaceError
    DatabaseError, DataError, OperationalError = pep249.DatabaseError, pep249.DataError, pep249.OperationalError
    IntegrityError, InternalError = pep249.IntegrityError, pep249.InternalError
    ProgrammingError, NotSupportedError = pep249.ProgrammingError, pep249.NotSupportedError

    def __init__(self, backend: Backend, autocommit: bool = True) -> None:
        self._backend: Backend | None = backend
        self._savepoints = itertools.count(1)
        self.autocommit = autocommit
        """Whether each statement commits by itself; if not, the first one opens a transaction."""

    # --- statements ---

    def cursor(self) -> Cursor:
        """A new cursor of this session."""
        self._open_backend()
        return Cursor(self)

    def execute(self, sql: str, params: Sequence[object] = (), *, dialect: str = "mysql") -> Cursor:
        """`cursor().execute(sql, params)` in one step."""
        return self.cursor().execute(sql, params, dialect=dialect)

    def executemany(self, sql: str, sequence_of_params: Iterable[Sequence[object]]) -> Cursor:
        """`cursor().executemany(...)` in one step."""
        return self.cursor().executemany(sql, sequence_of_params)

    def sql(self, query: str, params: Sequence[object] = ()) -> QueryResult:
        """Run one statement now; the result shows itself and becomes Arrow, pandas or polars."""
        cursor = self.execute(query, params)
        assert cursor._result is not None
        return QueryResult(cursor._result)

    def stream(self, query: str, params: Sequence[object] = (), *, dialect: str = "mysql") -> BatchStream:
        """The rows of one query as Arrow batches, read as they are taken: for results larger than memory.

        A scan, filter or projection of one table is read region by region, at one timestamp; other results are made
        whole first, and let go batch by batch. On a SQL server's connection the next statement ends the stream.
        """
        return BatchStream(self._begun().stream(query, params, dialect))

    def table(self, name: str, database: str | None = None) -> ibis.expr.types.Table:
        """A table as an Ibis expression, on this session. Raises NotSupportedError without Ibis or its backend here."""
        try:
            from rutile.ibis import Backend as IbisBackend
        except ImportError as error:
            raise NotSupportedError(f"table() needs the Ibis backend: pip install 'rutile[ibis]' ({error})") from error
        (current,) = self.execute("SELECT DATABASE()").fetchone() or (None,)
        return IbisBackend.from_connection(self, database=current or "test").table(name, database=database)

    def insert_arrow(
        self, table: str, data: ArrowData, *, mode: IngestMode = "append", primary_key: Sequence[str] = ()
    ) -> int:
        """Insert the rows of Arrow data (see ArrowData) by their column names; the number of rows.

        `table` is a name or "database.name". "append" wants the table, "create" makes it (1050 if it exists),
        "replace" drops one that exists. A table made gets `primary_key`. All rows go in or none. Many rows for a table
        that is new or empty go past the transactional layer, as with `rutile import`, where the front end runs in this
        process; a SQL server is sent INSERTs, in one transaction, whose size is bounded.

        Raises InterfaceError for data that is not Arrow, and what INSERT raises.
        """
        if mode not in ("append", "create", "replace"):
            raise InterfaceError(f"mode {mode!r}: want 'append', 'create' or 'replace'")
        backend = self._open_backend()
        if not self.autocommit and not backend.in_transaction:
            self.begin()
        database, _, name = table.rpartition(".")
        return backend.ingest(database, name, reader_of(data), mode, tuple(primary_key))

    # --- sessions ---

    def duplicate(self) -> Connection:
        """A further session on the same database: for another thread, or to look from outside a transaction."""
        return Connection(self._open_backend().duplicate(), self.autocommit)

    def cancel(self) -> None:
        """Stop the running statement, from another thread; it raises OperationalError 1317 there."""
        self._open_backend().cancel()

    # --- transactions ---

    def transaction(self, *, read_only: bool = False) -> Transaction:
        """A block that is one transaction: `with connection.transaction(): ...`; a savepoint within another one."""
        return Transaction(self, read_only=read_only)

    def begin(self, *, read_only: bool = False) -> None:
        """Open a transaction explicitly; a read-only one refuses changes with 1792."""
        self._open_backend().execute("START TRANSACTION READ ONLY" if read_only else "BEGIN", ())

    def commit(self) -> None:
        """Make the open transaction durable; raises OperationalError (retryable) when it lost a conflict."""
        backend = self._open_backend()
        if backend.in_transaction:
            backend.execute("COMMIT", ())

    def rollback(self) -> None:
        """Forget the open transaction."""
        backend = self._open_backend()
        if backend.in_transaction:
            backend.execute("ROLLBACK", ())

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._open_backend().in_transaction

    @property
    def read_only(self) -> bool:
        """Whether the session refuses changes (1792). May be set outside of a transaction."""
        return self._open_backend().execute("SELECT @@transaction_read_only", ()).rows()[0][0] in (1, "1", "ON")

    @read_only.setter
    def read_only(self, value: bool) -> None:
        if self.in_transaction:
            raise InterfaceError("read_only cannot be changed within a transaction: commit or roll back first")
        self._open_backend().execute(f"SET SESSION transaction_read_only = {int(value)}", ())

    # --- the end ---

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._backend is None

    def close(self) -> None:
        """End the session; an open transaction is rolled back. Closing twice is harmless."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._backend is None:
            return
        try:
            self.commit() if kind is None else self.rollback()
        finally:
            self.close()

    # --- for cursors and transactions ---

    def _open_backend(self) -> Backend:
        if self._backend is None:
            raise InterfaceError("the connection is closed")
        return self._backend

    def _run(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> StatementResult:
        return self._begun().execute(sql, params, dialect)

    def _begun(self) -> Backend:
        """The session, in a transaction where there is to be one."""
        backend = self._open_backend()
        if not self.autocommit and not backend.in_transaction:
            backend.execute("BEGIN", ())
        return backend

    def _transaction_if_none(self) -> ImplicitTransaction:
        return ImplicitTransaction(self)

    def _next_savepoint(self) -> str:
        return f"rutile_{next(self._savepoints)}"
