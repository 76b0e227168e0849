"""Databases whose SQL front end runs in this process: in memory, in a directory, or against a cluster's PD.

A `SharedDatabase` is the running thing: an event loop in a thread, the front end on it, and whatever it embeds. A
`LocalBackend` is one session of it, as `rutile.dbapi` wants sessions. A directory is opened once per process: further
connections to it share what runs, and the last one to leave closes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pyarrow as pa

from rutile.errors import SqlError, from_floor
from rutile.pep249 import DataError, OperationalError, exception_of
from rutile.session.file_access import EVERYWHERE
from rutile.session.result import ResultColumn, SqlWarning
from rutile_coprocessor.value_errors import ColumnValueError
from rutile_kv.client.loop_thread import LoopThread
from rutile_proto.errors import InvalidRequest, RutileError

if TYPE_CHECKING:
    from rutile.ingest.arrow_ingest import IngestTarget
    from rutile.session.engine import Database
    from rutile.session.session import Session
    from rutile.session.streams import ResultStream

Closer: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Shuts down what was opened."""


class StatementResult(Protocol):
    """What a backend gives for a statement; `rutile.session.result.Result` is one."""

    affected_rows: int
    last_insert_id: int

    @property
    def columns(self) -> Sequence[ResultColumn]: ...

    @property
    def row_count(self) -> int:
        """Rows of the result set."""

    @property
    def warnings(self) -> Sequence[SqlWarning]: ...

    def rows(self) -> list[tuple[Any, ...]]: ...

    def arrow(self) -> pa.Table: ...


class StatementStream(Protocol):
    """The rows of a statement on their way; one thread takes them."""

    @property
    def schema(self) -> pa.Schema: ...

    def next_batch(self) -> pa.RecordBatch | None:
        """The next rows; None at the end. Raises the errors of `execute`."""

    def close(self) -> None:
        """Have no more rows read; harmless when it is over."""


class Backend(Protocol):
    """One session somewhere."""

    def execute(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> StatementResult: ...

    def stream(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> StatementStream:
        """Run one statement, its rows to be taken batch by batch. Raises as `execute`."""

    def ingest(
        self, database: str, table: str, reader: pa.RecordBatchReader, mode: str, primary_key: tuple[str, ...]
    ) -> int:
        """Insert Arrow rows, all or none; "" is the session's database, `mode` append, create or replace."""

    @property
    def in_transaction(self) -> bool: ...

    def duplicate(self) -> Backend:
        """A further session on the same database."""

    def cancel(self) -> None:
        """Stop the running statement; callable from another thread."""

    def close(self) -> None: ...


class SharedDatabase:
    """A running `Database`, its loop, and how many sessions use them; the last one to leave shuts both down."""

    def __init__(
        self, open_database: Callable[[], Coroutine[Any, Any, tuple[Database, Closer]]], loop: LoopThread | None = None
    ) -> None:
        """`loop` is stopped with the database."""
        self.loop = loop or LoopThread()
        self.users = 1
        self.on_closed: Callable[[], None] | None = None
        try:
            self.database, self._close = self.loop.run(open_database())
            self.database.files = EVERYWHERE  # its statements are this very process's
        except RutileError as error:
            self.loop.stop()
            raise OperationalError(str(error), 2003) from error
        except BaseException:
            self.loop.stop()
            raise

    def acquire(self) -> SharedDatabase:
        """One session more."""
        with _open_lock:
            self.users += 1
        return self

    def release(self) -> None:
        """One session less. Nobody opens the directory again before it is closed."""
        with _open_lock:
            self.users -= 1
            if self.users > 0:
                return
            if self.on_closed is not None:
                self.on_closed()
            try:
                self.loop.run(self._close())
            finally:
                self.loop.stop()


class LocalStream:
    """A stream of a session whose loop runs in another thread. It ends when its session is closed."""

    def __init__(self, loop: LoopThread, stream: ResultStream) -> None:
        self._loop = loop
        self._stream = stream
        self.schema: pa.Schema = stream.schema

    def next_batch(self) -> pa.RecordBatch | None:
        try:
            return self._loop.run(self._stream.next_batch())
        except SqlError as error:
            raise exception_of(error) from error
        except InvalidRequest as error:  # the loop has ended with the last connection
            raise OperationalError(str(error), 2006) from error

    def close(self) -> None:
        if not self._loop.is_stopped:
            self._loop.run(self._stream.aclose())


class LocalBackend:
    """A session of a `Database` whose loop runs in another thread of this process."""

    def __init__(self, shared: SharedDatabase, schema: str | None) -> None:
        self._shared = shared
        self._schema = schema
        try:
            self._session: Session = shared.loop.run(shared.database.session(schema))
        except BaseException as error:
            shared.release()
            raise exception_of(error) if isinstance(error, SqlError) else error from error

    def execute(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> StatementResult:
        try:
            return self._shared.loop.run(self._session.execute(sql, params, dialect))
        except SqlError as error:
            raise exception_of(error) from error

    def stream(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> LocalStream:
        try:
            return LocalStream(self._shared.loop, self._shared.loop.run(self._session.stream(sql, params, dialect)))
        except SqlError as error:
            raise exception_of(error) from error

    def ingest(
        self, database: str, table: str, reader: pa.RecordBatchReader, mode: str, primary_key: tuple[str, ...]
    ) -> int:
        from rutile.ingest.arrow_ingest import IngestTarget  # the importer is loaded by those who import

        owner = database or self._session.database or ""
        if_exists = {"append": "append", "replace": "replace"}.get(mode, "fail")
        target = IngestTarget(owner, table, create=mode != "append", if_exists=if_exists, primary_key=primary_key)
        try:
            return self._shared.loop.run(_ingest(self._shared.database, self._session, target, reader))
        except RutileError as error:
            raise exception_of(from_floor(error)) from error
        except SqlError as error:
            raise exception_of(error) from error
        except (ColumnValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(str(error).partition("\n")[0], 1366) from error

    @property
    def in_transaction(self) -> bool:
        return self._session.in_transaction

    def duplicate(self) -> LocalBackend:
        return LocalBackend(self._shared.acquire(), self._schema)

    def cancel(self) -> None:
        self._shared.loop.call_soon(self._session.cancel)

    def close(self) -> None:
        try:
            self._shared.loop.run(self._session.close())
        finally:
            self._shared.release()


async def _ingest(database: Database, session: Session, target: IngestTarget, reader: pa.RecordBatchReader) -> int:
    from rutile.ingest.arrow_ingest import ArrowIngest

    job = ArrowIngest(database, target, reader.schema, iter(reader))
    await job.check()
    await job.peek()
    if session.holds_locks or not await job.can_be_bulk():
        return await job.insert(session)
    return await job.load()


_open_lock = threading.Lock()
"""Guards the counts of sessions and the map below: any thread may connect and close."""
_open_directories: dict[Path, SharedDatabase] = {}
"""Embedded databases open in this process."""


def _embedded(path: Path | None) -> SharedDatabase:
    """The running database in `path`, started if need be; a new one in memory for None."""
    if path is None:
        return SharedDatabase(lambda: _open_embedded(None))
    path = path.resolve()
    with _open_lock:
        shared = _open_directories.get(path)
        if shared is not None:
            shared.users += 1
            return shared
        shared = SharedDatabase(lambda: _open_embedded(path))
        shared.on_closed = lambda: _forget(path)
        _open_directories[path] = shared
        return shared


def _forget(path: Path) -> None:
    del _open_directories[path]


async def _open_embedded(path: Path | None) -> tuple[Database, Closer]:
    from rutile.nodes.embedded import (
        EmbeddedNode,  # loads the store, PD and DuckDB: only those who embed them wait for it
    )

    node = await EmbeddedNode.open(path)
    return node.database, node.close


async def _open_cluster(pd_addresses: list[str], *, tikv_only: bool) -> tuple[Database, Closer]:
    from rutile.nodes.cluster import open_database

    client, database = await open_database(pd_addresses, tikv_only=tikv_only)

    async def close() -> None:
        await database.close()
        await client.close()

    return database, close


def shared_database(target: str | Path | None) -> SharedDatabase:
    """The front end in this process for a directory, "pd://...", "tikv://..." or (None) in memory; `release` it after.

    Raises OperationalError 2003 when the directory or the cluster cannot be opened; the message says why.
    """
    scheme, is_cluster, addresses = str(target).partition("://")
    if is_cluster and scheme in ("pd", "tikv"):
        return SharedDatabase(lambda: _open_cluster(addresses.split(","), tikv_only=scheme == "tikv"))
    if target is None or target == ":memory:":  # the second is what sqlite3 and duckdb call it
        return _embedded(None)
    return _embedded(Path(target))
