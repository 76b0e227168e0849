"""The commands of a BatchCommands stream: which method serves each, and where an answer or a failure stands.

Clients count on the answer having the request's number in the oneof, and on every id being answered: one that is not
makes them wait until they time out (wire.md 7.7). So whatever ends a command becomes an answer of the right type.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf.descriptor import FieldDescriptor

from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import tikvpb_pb2 as tikvpb

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

_FINAL = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
)
"""Statuses that would come again if the client tried again."""


class CommandFailed(Exception):
    """One command ended as a call of its own would have: with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code


def answer(name: str, response: Any) -> Response:
    """The answer to command `name`."""
    fields: dict[str, Any] = {name: response}
    return Response(**fields)


def failed(name: str, error: CommandFailed) -> Response:
    """The answer to command `name` that ended with a status.

    A status that would come again goes where clients report errors and do not retry; any other one, or one whose
    answer has no such place, is a region error with a text: clients look the region up again and retry, as they would
    after a broken connection.
    """
    kind = Response.DESCRIPTOR.fields_by_name[name].message_type
    fields = kind.fields_by_name
    text = str(error)
    body: dict[str, Any] = {"region_error": errorpb.Error(message=text)}
    if error.code in _FINAL:
        if "errors" in fields:
            body = {"errors": [kvrpcpb.KeyError(abort=text)]}
        elif "error" in fields:
            is_text = fields["error"].type == FieldDescriptor.TYPE_STRING
            body = {"error": text if is_text else kvrpcpb.KeyError(abort=text)}
        elif "other_error" in fields:
            body = {"other_error": text}
    return Response(**{name: body})


def unanswerable() -> Response:
    """The answer to a command with a number that is not known here: one without a type, which clients report."""
    return Response()
