"""Flight SQL's messages in their envelopes: google.protobuf.Any under the public protocol's names."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message

from rutile.errors import ER_UNKNOWN, SqlError, not_supported
from rutile_proto import flightsqlpb_pb2 as flightsqlpb

URL_PREFIX = "type.googleapis.com/arrow.flight.protocol.sql."
_MESSAGES: dict[str, type[Message]] = {
    name: getattr(flightsqlpb, name) for name in flightsqlpb.DESCRIPTOR.message_types_by_name
}


def pack(message: Message) -> bytes:
    """`message` in its envelope."""
    url = URL_PREFIX + message.DESCRIPTOR.name
    data: bytes = Any(type_url=url, value=message.SerializeToString()).SerializeToString()
    return data


def unpack(data: bytes) -> Message:
    """The message in an envelope. Raises 1235 for one that is not served, 1105 for what is no envelope."""
    try:
        envelope = Any.FromString(data)
        name = envelope.type_url.removeprefix(URL_PREFIX)
        if not envelope.type_url:
            raise DecodeError("no type")
        if name not in _MESSAGES:
            raise not_supported(f"Flight SQL's {name.rpartition('.')[2]}")
        return _MESSAGES[name].FromString(envelope.value)
    except DecodeError as error:
        raise SqlError(ER_UNKNOWN, "not a Flight SQL message: use a Flight SQL client, such as ADBC's") from error


def text_or_none(message: Message, field: str) -> str | None:
    """An optional text field; None if it is not there."""
    return getattr(message, field) if message.HasField(field) else None
