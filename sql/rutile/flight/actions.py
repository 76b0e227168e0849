"""Flight SQL's actions: prepared statements, transactions, savepoints, cancel."""

from __future__ import annotations

import secrets

import pyarrow as pa
from google.protobuf.message import Message

from rutile.errors import ER_UNKNOWN, SqlError, not_supported
from rutile.flight.cancels import Cancels
from rutile.flight.prepared import PreparedStatements
from rutile.flight.statements import NO_COLUMNS, Statements
from rutile.flight.transactions import Caller, Transactions
from rutile.flight.wire import pack, unpack
from rutile_kv.env.flight_cancel import CANCEL_ACTION, cancelled_endpoints, endpoints_of
from rutile_proto import flightsqlpb_pb2 as flightsqlpb

ACTIONS = {
    "CreatePreparedStatement": "prepare a statement",
    "ClosePreparedStatement": "forget a prepared statement",
    "BeginTransaction": "begin a transaction",
    "EndTransaction": "commit or roll back a transaction",
    "BeginSavepoint": "remember a point in a transaction",
    "EndSavepoint": "go back to a savepoint, or forget it",
    CANCEL_ACTION: "give up the result of a query, and end the scans of its parts",
    "CancelQuery": "the same, as older clients say it",
}
"""What list_actions tells."""
_End = flightsqlpb.ActionEndTransactionRequest
_EndSavepoint = flightsqlpb.ActionEndSavepointRequest


class Actions:
    """Runs actions for callers. All calls come on one loop."""

    def __init__(
        self, statements: Statements, transactions: Transactions, prepared: PreparedStatements, cancels: Cancels
    ) -> None:
        self._statements = statements
        self._transactions = transactions
        self._prepared = prepared
        self._cancels = cancels

    async def run(self, caller: Caller, kind: str, body: bytes) -> list[bytes]:
        """The results of an action, ready to be sent. Raises SqlError."""
        if kind not in ACTIONS:
            raise not_supported(f"Flight action {kind}")
        if kind == CANCEL_ACTION:
            return [(await self._cancels.cancel(caller, cancelled_endpoints(body))).SerializeToString()]
        result = await self._run(caller, unpack(body))
        return [] if result is None else [pack(result)]

    async def _run(self, caller: Caller, request: Message) -> Message | None:
        match request:
            case flightsqlpb.ActionCreatePreparedStatementRequest():
                return await self._prepare(caller, request)
            case flightsqlpb.ActionClosePreparedStatementRequest():
                self._prepared.close(request.prepared_statement_handle, caller.user)
            case flightsqlpb.ActionBeginTransactionRequest():
                transaction_id = await self._transactions.begin(caller)
                return flightsqlpb.ActionBeginTransactionResult(transaction_id=transaction_id)
            case flightsqlpb.ActionEndTransactionRequest():
                await self._end(caller, request)
            case flightsqlpb.ActionBeginSavepointRequest():
                return await self._begin_savepoint(caller, request)
            case flightsqlpb.ActionEndSavepointRequest():
                await self._end_savepoint(caller, request)
            case flightsqlpb.ActionCancelQueryRequest():
                return await self._cancels.cancel(caller, endpoints_of(request.info))
            case _:
                raise not_supported(f"an action of {request.DESCRIPTOR.name}")
        return None

    async def _prepare(
        self, caller: Caller, request: flightsqlpb.ActionCreatePreparedStatementRequest
    ) -> flightsqlpb.ActionCreatePreparedStatementResult:
        prepared, schema = await self._statements.prepare(caller, request.query, request.transaction_id)
        # NULL's type stands for "any": SQL takes what is bound.
        parameters = pa.schema([pa.field(f"p{place}", pa.null()) for place in range(prepared.parameters)])
        return flightsqlpb.ActionCreatePreparedStatementResult(
            prepared_statement_handle=self._prepared.add(prepared),
            dataset_schema=b"" if schema.equals(NO_COLUMNS) else schema.serialize().to_pybytes(),
            parameter_schema=parameters.serialize().to_pybytes(),
        )

    async def _end(self, caller: Caller, request: flightsqlpb.ActionEndTransactionRequest) -> None:
        if request.action == _End.END_TRANSACTION_UNSPECIFIED:
            raise SqlError(ER_UNKNOWN, "EndTransaction says neither commit nor rollback")
        is_commit = request.action == _End.END_TRANSACTION_COMMIT
        await self._transactions.end(caller, request.transaction_id, commit=is_commit)

    async def _begin_savepoint(
        self, caller: Caller, request: flightsqlpb.ActionBeginSavepointRequest
    ) -> flightsqlpb.ActionBeginSavepointResult:
        """The id is that of the transaction and a name of our own: savepoints may share the client's."""
        name = f"flight_{secrets.token_hex(8)}"
        await self._transactions.session_of(caller, request.transaction_id).execute(f"SAVEPOINT {name}")
        return flightsqlpb.ActionBeginSavepointResult(savepoint_id=request.transaction_id + name.encode())

    async def _end_savepoint(self, caller: Caller, request: flightsqlpb.ActionEndSavepointRequest) -> None:
        transaction_id, name = request.savepoint_id[:16], request.savepoint_id[16:]
        if not name.replace(b"_", b"").isalnum():
            raise SqlError(ER_UNKNOWN, "no such savepoint")
        session = self._transactions.session_of(caller, transaction_id)
        verb = "RELEASE SAVEPOINT" if request.action == _EndSavepoint.END_SAVEPOINT_RELEASE else "ROLLBACK TO SAVEPOINT"
        await session.execute(f"{verb} {name.decode()}")
