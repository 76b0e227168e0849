"""Statement parameters on the wire: Python values to `rutilepb.Value` and back, type by type, nothing pickled."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa

from rutile.pep249 import ProgrammingError
from rutile_proto import rutilepb_pb2 as rutilepb

EPOCH_DATE = datetime.date(1970, 1, 1)
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)


def to_value(value: object) -> rutilepb.Value:
    """The wire form of `value`; ProgrammingError for a type SQL has no word for."""
    match value:
        case None:
            return rutilepb.Value(null=True)
        case bool():
            return rutilepb.Value(boolean=value)
        case int():
            return _integer(value)
        case float():
            return rutilepb.Value(double=value)
        case str():
            return rutilepb.Value(string=value)
        case bytes() | bytearray() | memoryview():
            return rutilepb.Value(bytes=bytes(value))
        case Decimal():
            return rutilepb.Value(decimal=str(value))
        case datetime.datetime():
            return rutilepb.Value(datetime_us=(value.replace(tzinfo=None) - EPOCH) // MICROSECOND)
        case datetime.date():
            return rutilepb.Value(date_days=(value - EPOCH_DATE).days)
        case datetime.timedelta():
            return rutilepb.Value(time_us=value // MICROSECOND)
        case datetime.time():
            midnight = datetime.datetime.combine(EPOCH_DATE, value.replace(tzinfo=None))
            return rutilepb.Value(time_us=(midnight - EPOCH) // MICROSECOND)
        case pa.Table():
            return rutilepb.Value(bytes=_ipc(value))
    if hasattr(value, "item"):  # numpy scalars
        return to_value(value.item())
    raise ProgrammingError(f"cannot pass a {type(value).__name__} as a parameter: use a number, text, bytes or a date")


def _ipc(table: pa.Table) -> bytes:
    """A table as the bytes of an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _integer(value: int) -> rutilepb.Value:
    if -(1 << 63) <= value < 1 << 63:
        return rutilepb.Value(int64=value)
    if value < 1 << 64:
        return rutilepb.Value(uint64=value)
    return rutilepb.Value(decimal=str(value))


def from_value(message: rutilepb.Value) -> object:
    """The Python value of `message`; ProgrammingError for an empty one."""
    match message.WhichOneof("kind"):
        case "null":
            return None
        case "decimal":
            return Decimal(message.decimal)
        case "date_days":
            return EPOCH_DATE + datetime.timedelta(days=message.date_days)
        case "datetime_us":
            return EPOCH + datetime.timedelta(microseconds=message.datetime_us)
        case "time_us":
            return datetime.timedelta(microseconds=message.time_us)
        case None:
            raise ProgrammingError("a parameter without a value")
        case kind:
            return getattr(message, kind)
