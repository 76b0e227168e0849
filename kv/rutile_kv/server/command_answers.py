"""The commands of a BatchCommands stream: which method serves each, and where an answer or a failure stands.

Clients count on the answer having the request's number in the oneof, and on every id being answered: one that is not
makes them wait until they time out (wire.md 7.7). So whatever ends a command becomes an answer of the right type.
"""

from __future__ import annotations

from typing import Any, Final

import grpc

from rutile_proto import tikvpb_pb2 as tikvpb
from rutile_proto.wire_status import response_of_status

Response = tikvpb.BatchCommandsResponse.Response

METHODS: Final = {
    "Get": "KvGet",
    "Scan": "KvScan",
    "Prewrite": "KvPrewrite",
    "Commit": "KvCommit",
    "Cleanup": "KvCleanup",
    "BatchGet": "KvBatchGet",
    "BatchRollback": "KvBatchRollback",
    "ScanLock": "KvScanLock",
    "ResolveLock": "KvResolveLock",
    "GC": "KvGC",
    "DeleteRange": "KvDeleteRange",
    "RawGet": "RawGet",
    "RawBatchGet": "RawBatchGet",
    "RawPut": "RawPut",
    "RawBatchPut": "RawBatchPut",
    "RawDelete": "RawDelete",
    "RawBatchDelete": "RawBatchDelete",
    "RawScan": "RawScan",
    "RawDeleteRange": "RawDeleteRange",
    "RawBatchScan": "RawBatchScan",
    "Coprocessor": "Coprocessor",
    "PessimisticLock": "KvPessimisticLock",
    "PessimisticRollback": "KVPessimisticRollback",
    "CheckTxnStatus": "KvCheckTxnStatus",
    "TxnHeartBeat": "KvTxnHeartBeat",
    "CheckSecondaryLocks": "KvCheckSecondaryLocks",
    "GetHealthFeedback": "GetHealthFeedback",
}
"""Field of the oneof -> method of the Tikv service. `Empty` is the stream's own."""

_TYPES: Final = {name: type(getattr(Response(), name)) for name in METHODS}


class CommandFailed(Exception):
    """One command ended as a call of its own would have: with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


def answer(name: str, response: Any) -> Response:
    """The answer to command `name`."""
    fields: dict[str, Any] = {name: response}
    return Response(**fields)


def failed(name: str, error: CommandFailed) -> Response:
    """The answer to command `name` that ended with a status (see rutile_proto.wire_status)."""
    response_type = _TYPES[name]
    return answer(name, response_of_status(response_type, error.code.name, error.details))


def unanswerable() -> Response:
    """The answer to a command with a number that is not known here: one without a type, which clients report."""
    return Response()
