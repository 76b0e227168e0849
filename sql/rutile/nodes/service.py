"""`rutilepb.Sql`: the SQL front end over gRPC. One bidirectional stream is one session.

    client                               server
    hello(user, password)        ──►     opens the session      ──►  done
    execute(sql, params), id 7   ──►     runs it                ──►  Arrow pages (7) ... done (7), or error (7)
    cancel, id 7                 ──►     stops the running statement
    (stream ends)                        rolls back, closes

Statements of a session run one after the other; a cancel overtakes them. Results leave as Arrow IPC streams of bounded
pages, so that gRPC's flow control holds a fast server back to a slow reader's pace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pyarrow as pa

from rutile.errors import SqlError
from rutile.nodes.values import from_value
from rutile.privileges.logins import Logins
from rutile.privileges.model import ROOT
from rutile.session.engine import Database
from rutile.session.result import Result
from rutile.session.session import Session
from rutile.session.streams import ResultStream
from rutile_proto import rutilepb_pb2 as rutilepb

log = logging.getLogger(__name__)

PAGE_ROWS = 65_536
"""Rows in one Arrow page; a page of a wide table stays in the tens of megabytes."""
MAX_QUEUED_STATEMENTS = 64
"""Requests a client may send ahead; when it sends more, the stream is read no further until one is done."""


class SqlServicer:
    """Serves `Database` sessions to `rutile.nodes.remote` and the shell."""

    def __init__(self, database: Database, max_sessions: int = 1000, *, root_password: str = "") -> None:
        """`root_password` is root's here; empty: the catalogue's."""
        self._database = database
        self._logins = Logins(database.catalog, root_password)
        self._max_sessions = max_sessions
        self._open = 0

    async def Session(
        self, requests: AsyncIterator[rutilepb.SqlRequest], context: object
    ) -> AsyncIterator[rutilepb.SqlResponse]:
        """One session from hello to the end of the stream."""
        if self._open >= self._max_sessions:
            yield _error(0, SqlError(1040, f"Too many connections (limit {self._max_sessions})", sqlstate="08004"))
            return
        self._open += 1
        conversation = _Conversation(self._database, self._logins)
        try:
            async for response in conversation.run(requests):
                yield response
        finally:
            self._open -= 1
            await conversation.close()


class _Conversation:
    """The state of one stream: a reader that queues statements (and acts on cancels at once), and a runner."""

    def __init__(self, database: Database, logins: Logins) -> None:
        self._database = database
        self._logins = logins
        self._session: Session | None = None
        self._queue: asyncio.Queue[rutilepb.SqlRequest | None] = asyncio.Queue(MAX_QUEUED_STATEMENTS)
        self._reader: asyncio.Task[None] | None = None
        self._stream: ResultStream | None = None

    async def run(self, requests: AsyncIterator[rutilepb.SqlRequest]) -> AsyncIterator[rutilepb.SqlResponse]:
        self._reader = asyncio.create_task(self._read(requests))
        while (request := await self._queue.get()) is not None:
            async for response in self._answer(request):
                yield response

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _read(self, requests: AsyncIterator[rutilepb.SqlRequest]) -> None:
        try:
            async for request in requests:
                if request.cancel:
                    self._stop()
                else:
                    await self._queue.put(request)
        finally:
            self._stop()  # nobody is left to read what is running
            await self._queue.put(None)

    def _stop(self) -> None:
        if self._session is not None:
            self._session.cancel()
        if self._stream is not None:
            self._stream.cancel()

    async def _answer(self, request: rutilepb.SqlRequest) -> AsyncIterator[rutilepb.SqlResponse]:
        try:
            async for response in self._run_request(request):
                yield response
        except SqlError as error:
            yield _error(request.id, error, self._session)
        except Exception:
            log.exception("statement failed unexpectedly")
            unexpected = SqlError(1105, "internal error; the server's log has the details")
            yield _error(request.id, unexpected, self._session)

    async def _run_request(self, request: rutilepb.SqlRequest) -> AsyncIterator[rutilepb.SqlResponse]:
        if request.HasField("hello"):
            identity = await self._logins.by_password(request.hello.user or ROOT[0], request.hello.password)
            self._session = await self._database.session(request.hello.database or None, identity)
            yield rutilepb.SqlResponse(id=request.id, done=rutilepb.SqlDone())
            return
        if self._session is None:
            raise SqlError(1043, "Bad handshake: the first message of a session is hello", sqlstate="08S01")
        if request.execute.stream:
            async for response in self._streamed(request.id, request.execute, self._session):
                yield response
            return
        params = [from_value(value) for value in request.execute.params]
        result = await self._session.execute(request.execute.sql, params, request.execute.dialect or "mysql")
        if result.columns:
            async for page in _pages(result.arrow()):
                yield rutilepb.SqlResponse(id=request.id, arrow_ipc=page)
        yield rutilepb.SqlResponse(id=request.id, done=_done(result, self._session))

    async def _streamed(
        self, request_id: int, execute: rutilepb.SqlExecute, session: Session
    ) -> AsyncIterator[rutilepb.SqlResponse]:
        """Pages as they are read: the next one when the one before has left."""
        params = [from_value(value) for value in execute.params]
        self._stream = stream = await session.stream(execute.sql, params, execute.dialect or "mysql")
        try:
            if stream.schema.names:
                yield rutilepb.SqlResponse(id=request_id, arrow_ipc=_ipc(stream.schema.empty_table()))
            while (batch := await stream.next_batch()) is not None:
                async for page in _pages(pa.Table.from_batches([batch])):
                    yield rutilepb.SqlResponse(id=request_id, arrow_ipc=page)
            done = rutilepb.SqlDone(in_transaction=session.in_transaction, has_result=bool(stream.schema.names))
            yield rutilepb.SqlResponse(id=request_id, done=done)
        finally:
            self._stream = None
            await stream.aclose()


async def _pages(table: pa.Table) -> AsyncIterator[bytes]:
    """`table` as complete Arrow IPC streams of at most PAGE_ROWS rows; at least one, so that the schema travels."""
    for start in range(0, max(1, table.num_rows), PAGE_ROWS):
        page = table.slice(start, PAGE_ROWS)
        yield await asyncio.to_thread(_ipc, page) if page.num_rows > 1000 else _ipc(page)


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _done(result: Result, session: Session) -> rutilepb.SqlDone:
    return rutilepb.SqlDone(
        affected_rows=result.affected_rows,
        last_insert_id=result.last_insert_id,
        warnings=len(result.warnings),
        in_transaction=session.in_transaction,
        info=result.info,
        has_result=bool(result.columns),
    )


def _error(request_id: int, error: SqlError, session: Session | None = None) -> rutilepb.SqlResponse:
    detail = rutilepb.SqlError(
        code=error.code,
        sqlstate=error.sqlstate,
        message=error.message,
        retryable=error.retryable,
        in_transaction=session is not None and session.in_transaction,
    )
    return rutilepb.SqlResponse(id=request_id, error=detail)
