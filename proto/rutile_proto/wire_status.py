"""A call's status inside an answer, for commands that have no call of their own (tikvpb.Tikv.BatchCommands).

A command that ended with a gRPC status must still be answered, in its own type. The status goes into the text of an
error there, as `CODE: details`, where every client of TiKV at least reports it; Rutile's own client takes it out again
and treats it as what it was.

    a status that would come again    KeyError.abort, or the error text of raw requests: clients report it
    any other                         a region error with nothing but a message: clients look again and retry
"""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb

FINAL_CODES = ("INVALID_ARGUMENT", "UNIMPLEMENTED", "FAILED_PRECONDITION", "OUT_OF_RANGE")
"""Names of the statuses that would come again if the client tried again."""
_CODES = (
    *FINAL_CODES,
    *("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED"),
)


def response_of_status(response_type: type[Message], code: str, details: str) -> Message:
    """The answer that carries a status; `code` is the name of a grpc.StatusCode."""
    fields = response_type.DESCRIPTOR.fields_by_name
    text = f"{code}: {details}"
    body: dict[str, Any] = {"region_error": errorpb.Error(message=text)}
    if code in FINAL_CODES:
        if "errors" in fields:
            body = {"errors": [kvrpcpb.KeyError(abort=text)]}
        elif "error" in fields:
            is_text = fields["error"].type == FieldDescriptor.TYPE_STRING
            body = {"error": text if is_text else kvrpcpb.KeyError(abort=text)}
        elif "other_error" in fields:
            body = {"other_error": text}
    return response_type(**body)


def status_in(response: Any) -> tuple[str, str] | None:
    """(code, details) of the status that an answer carries, or None: then it is an ordinary answer."""
    if response.HasField("region_error"):
        return _parsed(response.region_error.message)
    for name in ("error", "errors", "other_error"):
        place: Any = getattr(response, name, None)
        if place:
            first = place if isinstance(place, str | kvrpcpb.KeyError) else place[0]
            return _parsed(first if isinstance(first, str) else first.abort)
    return None


def _parsed(text: str) -> tuple[str, str] | None:
    code, colon, details = text.partition(": ")
    return (code, details) if colon and code in _CODES else None
