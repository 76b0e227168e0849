"""`rutile.connect(...)`: DB-API 2.0 (PEP 249), with Arrow beside the rows.

    import rutile
    with rutile.connect("shop") as connection:            # a directory: the database runs in this process
        connection.execute("CREATE TABLE item (id INT PRIMARY KEY, price DECIMAL(10,2))")
        connection.execute("INSERT INTO item VALUES (?, ?)", (1, "9.99"))
        print(connection.execute("SELECT * FROM item").fetchall())
        table = connection.execute("SELECT * FROM item").arrow()

A connection speaks to a `Backend`: `LocalBackend` runs the SQL front end in this process (embedded, or against the
placement driver of a cluster), `rutile.remote.RemoteBackend` sends statements to a `rutile sql` server. Statements
commit by themselves, as at a MySQL prompt, unless `autocommit=False` asks for PEP 249's implicit transactions.

Threads may share the module, not a connection (`threadsafety = 1`).
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from rutile.local import Backend, LocalBackend, StatementResult, shared_database
from rutile.pep249 import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> datetime.date:
    """The local date at `ticks` seconds since the epoch."""
    return datetime.date(*time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at `ticks` seconds since the epoch."""
    return datetime.time(*time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> datetime.datetime:
    """The local date and time at `ticks` seconds since the epoch."""
    return datetime.datetime(*time.localtime(ticks)[:6])


class TypeObject:
    """Equal to every type name of its group, as PEP 249 wants of STRING, NUMBER, ...."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def __eq__(self, other: object) -> bool:
        return other in self._names if isinstance(other, str) else self is other

    def __hash__(self) -> int:
        return hash(self._names)


STRING = TypeObject("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json")
BINARY = TypeObject("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
NUMBER = TypeObject("tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal", "year", "bool")
DATETIME = TypeObject("date", "time", "datetime", "timestamp")
ROWID = TypeObject()


class Cursor:
    """Runs statements and holds the rows of the last one."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._result: StatementResult | None = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._closed = False
        self.rowcount = -1
        self.lastrowid: int | None = None

    @property
    def description(self) -> list[tuple[str, str, None, None, int | None, int | None, bool | None]] | None:
        """PEP 249's seven facts a column: name, type name (compare with STRING, NUMBER, ...), precision, scale."""
        if self._result is None or not self._result.columns:
            return None
        return [
            (c.name, c.type.kind.value.lower(), None, None, c.type.precision, c.type.scale, None)
            for c in self._result.columns
        ]

    def execute(self, sql: str, params: Sequence[object] = (), *, dialect: str = "mysql") -> Self:
        """Run one statement with `?` placeholders; returns the cursor, so that fetches can follow at once.

        `dialect="duckdb"` is for statements that are DuckDB's (see `rutile.duckdb_door`): its semantics, its types.
        """
        self._check_open()
        if isinstance(params, str | bytes | Mapping):
            raise ProgrammingError("parameters are a sequence in the order of the `?` placeholders")
        result = self.connection._run(sql, params, dialect)
        self._result = result
        self._rows = iter(())
        self._rows_loaded = False
        self.lastrowid = result.last_insert_id or None
        self.rowcount = -1 if result.columns else result.affected_rows
        return self

    def executemany(self, sql: str, sequence_of_params: Sequence[Sequence[object]]) -> Self:
        """Run `sql` once a parameter set, in one transaction unless one is open; `rowcount` is the sum."""
        self._check_open()
        total = 0
        with self.connection._transaction_if_none():
            for params in sequence_of_params:
                total += max(0, self.execute(sql, params).rowcount)
        self.rowcount = total
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None at the end."""
        return next(self._iterate(), None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Up to `size` (default `arraysize`) further rows."""
        rows = self._iterate()
        return [row for _, row in zip(range(size or self.arraysize), rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows not fetched yet."""
        return list(self._iterate())

    def arrow(self) -> pa.Table:
        """The whole result as an Arrow table, exact types kept."""
        return self._need_result().arrow()

    def df(self) -> Any:
        """The whole result as a pandas DataFrame (pandas must be installed)."""
        return self.arrow().to_pandas()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._iterate()

    def setinputsizes(self, sizes: object) -> None:
        """PEP 249 wants it to exist; sizes are not needed here."""

    def setoutputsize(self, size: object, column: object = None) -> None:
        """PEP 249 wants it to exist; sizes are not needed here."""

    def close(self) -> None:
        """Forget the result; a further use raises InterfaceError."""
        self._closed = True
        self._result = None
        self._rows = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _iterate(self) -> Iterator[tuple[Any, ...]]:
        result = self._need_result()
        if not self._rows_loaded:
            self._rows = iter(result.rows())
            self._rows_loaded = True
        return self._rows

    def _need_result(self) -> StatementResult:
        self._check_open()
        if self._result is None or not self._result.columns:
            raise ProgrammingError("no result set: execute a SELECT (or SHOW, EXPLAIN, ...) first")
        return self._result

    def _check_open(self) -> None:
        if self._closed or self.connection._backend is None:
            raise InterfaceError("the cursor or its connection is closed")


class Connection:
    """A session. As a context manager it commits (or, on an exception, rolls back) and closes."""

    Warning, Error, InterfaceError, DatabaseError = Warning, Error, InterfaceError, DatabaseError
    DataError, OperationalError, IntegrityError = DataError, OperationalError, IntegrityError
    InternalError, ProgrammingError, NotSupportedError = InternalError, ProgrammingError, NotSupportedError

    def __init__(self, backend: Backend, autocommit: bool = True) -> None:
        self._backend: Backend | None = backend
        self.autocommit = autocommit

    def cursor(self) -> Cursor:
        """A new cursor of this session."""
        self._open_backend()
        return Cursor(self)

    def execute(self, sql: str, params: Sequence[object] = (), *, dialect: str = "mysql") -> Cursor:
        """`cursor().execute(sql, params)` in one step."""
        return self.cursor().execute(sql, params, dialect=dialect)

    def executemany(self, sql: str, sequence_of_params: Sequence[Sequence[object]]) -> Cursor:
        """`cursor().executemany(...)` in one step."""
        return self.cursor().executemany(sql, sequence_of_params)

    def duplicate(self) -> Connection:
        """A further session on the same database: for another thread, or to look from outside a transaction."""
        return Connection(self._open_backend().duplicate(), self.autocommit)

    def begin(self) -> None:
        """Open a transaction explicitly."""
        self._open_backend().execute("BEGIN", ())

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

    def cancel(self) -> None:
        """Stop the running statement, from another thread; it raises OperationalError 1317 there."""
        self._open_backend().cancel()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._open_backend().in_transaction

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

    def _open_backend(self) -> Backend:
        if self._backend is None:
            raise InterfaceError("the connection is closed")
        return self._backend

    def _run(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> StatementResult:
        backend = self._open_backend()
        if not self.autocommit and not backend.in_transaction:
            backend.execute("BEGIN", ())
        return backend.execute(sql, params, dialect)

    def _transaction_if_none(self) -> _ImplicitTransaction:
        return _ImplicitTransaction(self)


class _ImplicitTransaction:
    """BEGIN ... COMMIT around a block, unless a transaction is already open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mine = not connection.in_transaction

    def __enter__(self) -> None:
        if self._mine:
            self._connection.begin()

    def __exit__(self, kind: type[BaseException] | None, _: object, __: object) -> None:
        if self._mine and self._connection.autocommit:
            self._connection.commit() if kind is None else self._connection.rollback()
        elif self._mine and kind is not None:
            self._connection.rollback()


def connect(target: str | Path | None = None, *, database: str | None = "test", autocommit: bool = True) -> Connection:
    """Open a connection.

    `target` is one of
      * None or ":memory:": an in-memory database of its own, gone when the connection closes;
      * a directory: the database in it, run in this process (made when missing);
      * "host:port": a SQL server (`rutile sql`, or the one `rutile playground` prints);
      * "pd://host:port[,host:port]": a cluster by its placement driver, the SQL front end running in this process;
      * "tikv://host:port[,host:port]": the same where only TiKV's protocol is spoken: rows are fetched, not pushed to.

    `database` is the one `USE`d at first. Raises OperationalError when nothing answers or the directory is not ours.
    """
    text = str(target)
    if isinstance(target, str) and _is_address(text):
        from rutile.remote import RemoteBackend  # a face of its own: embedded users need not load it

        return Connection(RemoteBackend.open(text, database), autocommit)
    return Connection(LocalBackend(shared_database(target), database), autocommit)


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon and host and "/" not in host and "\\" not in host and port.isdigit())
