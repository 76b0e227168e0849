"""The client of `rutilepb.Sql`: a DB-API backend that sends statements to a SQL server and reads Arrow pages back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import grpc
import pyarrow as pa

from rutile.ingest.remote_ingest import RemoteIngest
from rutile.nodes.values import to_value
from rutile.pep249 import DatabaseError, InterfaceError, OperationalError, exception_of_code
from rutile.session.result import ResultColumn, SqlWarning, columns_from_schema, rows_of_table
from rutile_kv.env.rpc import GRPC_CHANNEL_OPTIONS
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto import rutilepb_pb2_grpc as rutilepb_grpc


class ConnectionLost(OperationalError):
    """2013: the server went away; connect again."""

    def __init__(self, address: str, detail: str = "") -> None:
        super().__init__(f"Lost connection to the SQL server at {address}{detail and ': '}{detail}", 2013)


class RemoteResult:
    """What a server answered: Arrow pages, or counts."""

    def __init__(
        self, table: pa.Table | None, done: rutilepb.SqlDone, ask_warnings: Callable[[], list[SqlWarning]]
    ) -> None:
        """`ask_warnings` is called when they are looked at, and there are some."""
        self._table = table
        self._ask_warnings = ask_warnings if done.warnings else list
        self.affected_rows: int = done.affected_rows
        self.last_insert_id: int = done.last_insert_id
        self.info: str = done.info
        self.columns: list[ResultColumn] = [] if table is None else columns_from_schema(table.schema)

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table; empty when the statement had none."""
        return self._table if self._table is not None else pa.table({})

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return 0 if self._table is None else self._table.num_rows

    @cached_property
    def warnings(self) -> list[SqlWarning]:
        """What SHOW WARNINGS says; of this statement as long as it was the session's last."""
        return self._ask_warnings()

    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as Python values."""
        return [] if self._table is None else rows_of_table(self._table)


class RemoteStream:
    """Pages of one statement, read from the session when they are asked for; the session's next statement ends it."""

    def __init__(self, backend: RemoteBackend, request_id: int) -> None:
        """Raises what the statement raises."""
        self._backend = backend
        self._id = request_id
        self._over = False
        first = self._page()
        self.schema: pa.Schema = first.schema if first is not None else pa.schema([])
        self._ready = [] if first is None else first.to_batches()

    def next_batch(self) -> pa.RecordBatch | None:
        while not self._ready:
            page = self._page()
            if page is None:
                return None
            self._ready = page.to_batches()
        return self._ready.pop(0)

    def close(self) -> None:
        """The server is told; what is on its way is passed over by the session's next statement."""
        if not self._over:
            self._over = True
            self._backend._give_up(self._id)

    def __del__(self) -> None:
        self.close()

    def _page(self) -> pa.Table | None:
        if self._over:
            return None
        try:
            response = self._backend._next_response(self._id)
        except BaseException:
            self._over = True
            raise
        if response.HasField("done"):
            self._over = True
            return None
        return pa.ipc.open_stream(response.arrow_ipc).read_all()


class RemoteBackend:
    """One session on a SQL server. A lost connection raises OperationalError 2013; connect again."""

    def __init__(self, channel: grpc.Channel, address: str, hello: rutilepb.SqlHello) -> None:
        self._channel = channel
        self._hello = hello
        self._address = address
        self._outbox: queue.SimpleQueue[rutilepb.SqlRequest | None] = queue.SimpleQueue()
        self._next_id = 0
        self._streaming = 0
        """The id of the stream that is open."""
        self._lock = threading.Lock()
        self._in_transaction = False
        stub = rutilepb_grpc.SqlStub(channel)  # type: ignore[no-untyped-call]
        self._call = stub.Session(iter(self._outbox.get, None))

    @classmethod
    def open(cls, address: str, database: str | None, user: str = "root", password: str = "") -> Self:
        """Connect and say hello; OperationalError 2003 when nothing listens at `address`, 1045 for a wrong password."""
        return cls._greeted(address, rutilepb.SqlHello(user=user, password=password, database=database or ""))

    @classmethod
    def _greeted(cls, address: str, hello: rutilepb.SqlHello) -> Self:
        channel = grpc.insecure_channel(address, options=GRPC_CHANNEL_OPTIONS)
        backend = cls(channel, address, hello)
        try:
            backend._converse(rutilepb.SqlRequest(hello=hello))
        except ConnectionLost as error:
            backend.close()
            hint = "is `rutile playground` running?"
            raise OperationalError(f"Can't connect to a Rutile SQL server at {address}: {hint}", 2003) from error
        except BaseException:
            backend.close()
            raise
        return backend

    @property
    def in_transaction(self) -> bool:
        """Whether the server said a transaction was open after the last statement."""
        return self._in_transaction

    def execute(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> RemoteResult:
        """Run one statement; raises the server's error with its MySQL code."""
        execute = rutilepb.SqlExecute(sql=sql, params=[to_value(value) for value in params], dialect=dialect)
        return self._converse(rutilepb.SqlRequest(execute=execute))

    def stream(self, sql: str, params: Sequence[object], dialect: str = "mysql") -> RemoteStream:
        """Run one statement, its pages to be read as they come. Raises as `execute`."""
        values = [to_value(value) for value in params]
        execute = rutilepb.SqlExecute(sql=sql, params=values, dialect=dialect, stream=True)
        with self._lock:
            request_id = self._streaming = self._sent(rutilepb.SqlRequest(execute=execute))
        return RemoteStream(self, request_id)

    def ingest(
        self, database: str, table: str, reader: pa.RecordBatchReader, mode: str, primary_key: tuple[str, ...]
    ) -> int:
        """Insert Arrow rows by INSERT statements, in one transaction; a table that is made is dropped on an error."""
        return RemoteIngest(self.execute, database, table).run(
            reader, mode, primary_key, in_transaction=self.in_transaction
        )

    def duplicate(self) -> RemoteBackend:
        """Another session on the same server."""
        return RemoteBackend._greeted(self._address, self._hello)

    def cancel(self) -> None:
        """Stop the running statement (it raises 1317 where it runs); callable from any thread."""
        self._outbox.put(rutilepb.SqlRequest(id=self._next_id, cancel=True))

    def close(self) -> None:
        """End the stream; the server rolls back what was open."""
        self._outbox.put(None)
        self._call.cancel()
        self._channel.close()

    def _warnings(self) -> list[SqlWarning]:
        return [SqlWarning(level, int(code), text) for level, code, text in self.execute("SHOW WARNINGS", ()).rows()]

    def _converse(self, request: rutilepb.SqlRequest) -> RemoteResult:
        with self._lock:
            return self._collect(self._sent(request))

    def _sent(self, request: rutilepb.SqlRequest) -> int:
        """The id of a request that is on its way. A stream that is open ends: a session answers one at a time."""
        if self._streaming:
            self._outbox.put(rutilepb.SqlRequest(id=self._streaming, cancel=True))
            self._streaming = 0
        self._next_id += 1
        request.id = self._next_id
        self._outbox.put(request)
        return self._next_id

    def _give_up(self, request_id: int) -> None:
        """Have the server read no more of a stream; nothing if it is not the one that is open. From any thread."""
        if self._streaming == request_id:
            self._streaming = 0
            self._outbox.put(rutilepb.SqlRequest(id=request_id, cancel=True))

    def _collect(self, request_id: int) -> RemoteResult:
        pages: list[pa.Table] = []
        while not (response := self._answer(request_id)).HasField("done"):
            pages.append(pa.ipc.open_stream(response.arrow_ipc).read_all())
        table = pa.concat_tables(pages) if pages else None
        return RemoteResult(table, response.done, self._warnings)

    def _next_response(self, request_id: int) -> rutilepb.SqlResponse:
        """What comes next of the stream. Raises InterfaceError if another statement has ended it."""
        with self._lock:
            if self._streaming != request_id:
                raise InterfaceError("the session ran another statement, which ends the stream: take `duplicate()`")
            try:
                response = self._answer(request_id)
            except BaseException:
                self._streaming = 0
                raise
            if response.HasField("done"):
                self._streaming = 0
            return response

    def _answer(self, request_id: int) -> rutilepb.SqlResponse:
        """A page, or the end, of a request. Raises its error."""
        for response in self._responses():
            if response.id not in (request_id, 0):
                continue  # the rest of a statement whose caller was interrupted, or has had enough of it
            if response.HasField("error"):
                self._in_transaction = response.error.in_transaction
                raise _to_exception(response.error)
            if response.HasField("done"):
                self._in_transaction = response.done.in_transaction
            return response
        raise ConnectionLost(self._address)

    def _responses(self) -> Iterator[rutilepb.SqlResponse]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise ConnectionLost(self._address, error.details() or "") from None


def _to_exception(error: rutilepb.SqlError) -> DatabaseError:
    return exception_of_code(error.code, error.sqlstate, error.message, error.retryable)
