"""Connections and transactions with await."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rutile import dbapi
from rutile.aio.batch_stream import AsyncBatchStream
from rutile.aio.cursor import AsyncCursor
from rutile.aio.worker import Worker
from rutile.dbapi.connection import Connection, IngestMode
from rutile.dbapi.frames import ArrowData
from rutile.dbapi.query_result import QueryResult
from rutile.dbapi.transaction import Transaction


class AsyncConnection:
    """A `rutile.Connection` in a thread of its own."""

    def __init__(self, worker: Worker, connection: Connection) -> None:
        self._worker = worker
        self._connection = connection
        worker.cancel = connection.cancel

    # --- statements ---

    def cursor(self) -> AsyncCursor:
        """A new cursor of this session."""
        return AsyncCursor(self._worker, self._connection.cursor())

    async def execute(self, sql: str, params: Sequence[object] = ()) -> AsyncCursor:
        """`cursor().execute(sql, params)` in one step."""
        return await self.cursor().execute(sql, params)

    async def executemany(self, sql: str, sequence_of_params: Iterable[Sequence[object]]) -> AsyncCursor:
        """`cursor().executemany(...)` in one step."""
        return await self.cursor().executemany(sql, sequence_of_params)

    async def sql(self, query: str, params: Sequence[object] = ()) -> QueryResult:
        """Run one statement; its whole result, which needs no await."""
        return await self._worker.run(self._connection.sql, query, params)

    async def stream(self, query: str, params: Sequence[object] = ()) -> AsyncBatchStream:
        """The rows of one query as Arrow batches, read as they are taken; see `rutile.Connection.stream`."""
        return AsyncBatchStream(self._worker, await self._worker.run(self._connection.stream, query, params))

    async def insert_arrow(
        self, table: str, data: ArrowData, *, mode: IngestMode = "append", primary_key: Sequence[str] = ()
    ) -> int:
        """Insert the rows of Arrow data, all or none; see `rutile.Connection.insert_arrow`."""
        return await self._worker.run(self._connection.insert_arrow, table, data, mode=mode, primary_key=primary_key)

    # --- sessions ---

    async def duplicate(self) -> AsyncConnection:
        """A further session on the same database, with a thread of its own."""
        return await _opened(self._connection.duplicate)

    def cancel(self) -> None:
        """Stop the running statement; it raises OperationalError 1317 where it is awaited."""
        self._connection.cancel()

    # --- transactions ---

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself; if not, the first one opens a transaction."""
        return self._connection.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._connection.autocommit = value

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def transaction(self, *, read_only: bool = False) -> AsyncTransaction:
        """A block that is one transaction: `async with connection.transaction(): ...`."""
        return AsyncTransaction(self, self._worker, self._connection.transaction(read_only=read_only))

    async def begin(self, *, read_only: bool = False) -> None:
        """Open a transaction explicitly."""
        await self._worker.run(self._connection.begin, read_only=read_only)

    async def commit(self) -> None:
        """Make the open transaction durable; raises OperationalError (retryable) when it lost a conflict."""
        await self._worker.run(self._connection.commit)

    async def rollback(self) -> None:
        """Forget the open transaction."""
        await self._worker.run(self._connection.rollback)

    # --- the end ---

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._connection.is_closed

    async def close(self) -> None:
        """End the session; an open transaction is rolled back. Closing twice is harmless."""
        if not self.is_closed:
            await self._worker.run(self._connection.close)
        self._worker.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_closed:
            return
        try:
            await self._worker.run(self._connection.__exit__, kind, error, trace)
        finally:
            self._worker.stop()


class AsyncTransaction:
    """A `rutile.Transaction` around an `async with` block."""

    def __init__(self, connection: AsyncConnection, worker: Worker, transaction: Transaction) -> None:
        self._connection = connection
        self._worker = worker
        self._transaction = transaction

    async def __aenter__(self) -> AsyncConnection:
        await self._worker.run(self._transaction.__enter__)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.run(self._transaction.__exit__, kind, error, trace)


class Opening:
    """A connection on its way: `await` it, or enter it with `async with`."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open = open_connection
        self._opened: AsyncConnection | None = None

    def __await__(self) -> Generator[object, None, AsyncConnection]:
        return _opened(self._open).__await__()

    async def __aenter__(self) -> AsyncConnection:
        self._opened = await self
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None, "it was entered"
        await self._opened.__aexit__(kind, error, trace)


def connect(target: str | Path | None = None, *, database: str | None = "test", autocommit: bool = True) -> Opening:
    """Open a connection: `await connect(...)`, or `async with connect(...) as connection`.

    Targets and errors are those of `rutile.connect`.
    """
    return Opening(lambda: dbapi.connect(target, database=database, autocommit=autocommit))


async def _opened(open_connection: Callable[[], Connection]) -> AsyncConnection:
    worker = Worker()
    try:
        return AsyncConnection(worker, await worker.run(open_connection))
    except BaseException:
        worker.stop()
        raise
