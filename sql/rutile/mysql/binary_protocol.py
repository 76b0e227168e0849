"""Values in binary, as prepared statements have them: rows going out, parameters coming in.

| type                      | bytes                                                                              |
|---------------------------|------------------------------------------------------------------------------------|
| integers, FLOAT, DOUBLE   | little endian, 1, 2, 4 or 8 of them                                                |
| DATE, DATETIME, TIMESTAMP | a length (0, 4, 7, 11), then year (2), month, day, hour, minute, second, micros (4) |
| TIME                      | a length (0, 8, 12), then negative (1), days (4), hour, minute, second, micros (4) |
| everything else           | length-encoded; DECIMAL as text                                                    |

NULLs are bits of a map before the values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from rutile.errors import incorrect_value
from rutile.mysql.columns import wire_type
from rutile.mysql.constants import FieldType
from rutile.mysql.problems import malformed_packet
from rutile.mysql.text_protocol import bit_bytes
from rutile.mysql.wire import FieldReader, lenenc_bytes
from rutile.rows.readings import text_of
from rutile.session.charsets import Charset
from rutile.session.result import ResultColumn, Row
from rutile_coprocessor.schema import ColumnType

Encode = Callable[[object], bytes]
ROW_HEADER = b"\x00"
_ROW_NULLS_OFFSET = 2
"""A row's map begins two bits in; a parameter list's does not."""
UNSIGNED_PARAMETER = 0x80

_INTEGER_BYTES = {
    FieldType.TINY: 1, FieldType.SHORT: 2, FieldType.YEAR: 2, FieldType.INT24: 4, FieldType.LONG: 4,
    FieldType.LONGLONG: 8,
}  # fmt: skip
_MOMENTS = (FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP)
_TEXTS = (FieldType.VARCHAR, FieldType.VAR_STRING, FieldType.STRING, FieldType.ENUM, FieldType.SET, FieldType.JSON)
_BYTES = (
    FieldType.TINY_BLOB, FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB, FieldType.BLOB, FieldType.BIT, FieldType.GEOMETRY,
)  # fmt: skip

# --- rows going out ---------------------------------------------------------------------------------------------------


def binary_encoder(columns: Sequence[ResultColumn], charset: Charset) -> Callable[[Row], bytes]:
    """How to write rows of these columns, texts in `charset`."""
    encoders = [_encoder(column.type, charset) for column in columns]
    map_bytes = (len(columns) + _ROW_NULLS_OFFSET + 7) // 8

    def encode(row: Row) -> bytes:
        nulls = bytearray(map_bytes)
        parts = [ROW_HEADER, b""]
        for position, (write, value) in enumerate(zip(encoders, row, strict=True), start=_ROW_NULLS_OFFSET):
            if value is None:
                nulls[position >> 3] |= 1 << (position & 7)
            else:
                parts.append(write(value))
        parts[1] = bytes(nulls)
        return b"".join(parts)

    return encode


def _encoder(kind: ColumnType, charset: Charset) -> Encode:
    field = wire_type(kind).field
    if field in _INTEGER_BYTES:
        return _integer(_INTEGER_BYTES[field], signed=not kind.unsigned)
    if field in (FieldType.FLOAT, FieldType.DOUBLE):
        form = struct.Struct("<f" if field is FieldType.FLOAT else "<d")
        return lambda value: form.pack(value)
    if field in _MOMENTS:
        return _moment
    if field is FieldType.BIT:
        write = bit_bytes(kind)
        return lambda value: lenenc_bytes(write(value))
    if field is FieldType.TIME:
        return _time
    return _text if charset.is_utf8 else _text_in(charset)


def _integer(size: int, *, signed: bool) -> Encode:
    def write(value: object) -> bytes:
        return int(value).to_bytes(size, "little", signed=signed)  # type: ignore[call-overload, no-any-return]

    return write


def _text(value: object) -> bytes:
    return lenenc_bytes(value if isinstance(value, bytes) else text_of(value).encode())


def _text_in(charset: Charset) -> Encode:
    return lambda value: lenenc_bytes(value if isinstance(value, bytes) else charset.encode(text_of(value)))


def _moment(value: object) -> bytes:
    if isinstance(value, datetime):
        clock = bytes((value.hour, value.minute, value.second))
        return (
            _day(value, 11) + clock + value.microsecond.to_bytes(4, "little")
            if value.microsecond
            else (_day(value, 7) + clock)
        )
    assert isinstance(value, date)
    return _day(value, 4)


def _day(value: date, length: int) -> bytes:
    return bytes((length,)) + value.year.to_bytes(2, "little") + bytes((value.month, value.day))


def _time(value: object) -> bytes:
    assert isinstance(value, timedelta)
    if not value:
        return b"\x00"
    size = abs(value)
    hours, seconds = divmod(size.seconds, 3600)
    clock = bytes((hours, seconds // 60, seconds % 60))
    body = bytes((value < timedelta(),)) + size.days.to_bytes(4, "little") + clock
    body += size.microseconds.to_bytes(4, "little") if size.microseconds else b""
    return bytes((len(body),)) + body


# --- parameters coming in ---------------------------------------------------------------------------------------------


def read_parameter(reader: FieldReader, field: int, unsigned: bool, charset: Charset) -> object:
    """A parameter's value as sessions take it: int, float, Decimal, str, bytes, date, datetime, timedelta.

    Raises 1835 for unknown types and impossible values. Text that is not of `charset` stays bytes: a binary column
    takes it, a text column refuses it with 1366.
    """
    if field in _INTEGER_BYTES:
        return reader.number(_INTEGER_BYTES[FieldType(field)], signed=not unsigned)
    if field in (FieldType.FLOAT, FieldType.DOUBLE):
        form = "<f" if field == FieldType.FLOAT else "<d"
        return struct.unpack(form, reader.take(struct.calcsize(form)))[0]
    if field in _MOMENTS:
        return _read_moment(reader, field)
    if field == FieldType.TIME:
        return _read_time(reader)
    if field in (FieldType.DECIMAL, FieldType.NEWDECIMAL):
        return _decimal(reader.lenenc_bytes())
    if field in _TEXTS:
        return text_or_bytes(reader.lenenc_bytes(), charset)
    if field in _BYTES:
        return reader.lenenc_bytes()
    raise malformed_packet()


def text_or_bytes(data: bytes, charset: Charset) -> str | bytes:
    """`data` as text if it is of `charset`."""
    try:
        return charset.decode(data)
    except UnicodeDecodeError:
        return data


def _decimal(data: bytes) -> Decimal:
    try:
        return Decimal(data.decode("ascii"))
    except (InvalidOperation, UnicodeDecodeError):
        raise incorrect_value("decimal", data, "?") from None


def _read_moment(reader: FieldReader, field: int) -> date | str:
    """A date or moment. The zero date is no value of ours: it goes on as its text, to be judged by where it goes."""
    length = reader.number(1)
    if length not in (0, 4, 7, 11):
        raise malformed_packet()
    body = FieldReader(reader.take(length).ljust(11, b"\0"))
    day = body.number(2), body.number(1), body.number(1)
    if not any(day):
        return "0000-00-00"
    clock = body.number(1), body.number(1), body.number(1), body.number(4)
    try:
        return date(*day) if field == FieldType.DATE and length == 4 else datetime(*day, *clock)
    except ValueError:
        raise malformed_packet() from None


def _read_time(reader: FieldReader) -> timedelta:
    length = reader.number(1)
    if length not in (0, 8, 12):
        raise malformed_packet()
    body = FieldReader(reader.take(length).ljust(12, b"\0"))
    negative = body.number(1)
    days, hours, minutes, seconds, micros = (body.number(size) for size in (4, 1, 1, 1, 4))
    try:
        value = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)
    except OverflowError:
        raise malformed_packet() from None
    return -value if negative else value
