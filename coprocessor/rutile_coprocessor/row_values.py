"""One value between Python and a row: what `struct` packs for it, and back. The scalar half of the row codec.

Each writer checks that the column can hold the value exactly, and raises a ColumnValueError naming the column if not:
rounding and converting as MySQL does on assignment is the SQL layer's work, done before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from math import isfinite
from struct import pack
from typing import Any, TypeAlias

from rutile_coprocessor.column_types import MAX_INT64_PRECISION, ColumnType, Kind
from rutile_coprocessor.enumerations import enumeration_reader, enumeration_writer
from rutile_coprocessor.schema import Column
from rutile_coprocessor.value_errors import ValueOutOfRange, ValueTooLong, WrongValueType

Converter: TypeAlias = Callable[[Any], Any]

EPOCH = datetime(1970, 1, 1)
EPOCH_ORDINAL = EPOCH.toordinal()
MICROSECONDS_PER_SECOND = 1_000_000
MICROSECONDS_PER_DAY = 86_400 * MICROSECONDS_PER_SECOND
MAX_TIME_US = (838 * 3600 + 59 * 60 + 59) * MICROSECONDS_PER_SECOND
"""MySQL's TIME goes from -838:59:59 to 838:59:59."""
_DECIMAL = Context(prec=80)
"""Wide enough to shift any 38-digit number without rounding."""


def storage_writer(column: Column) -> Converter:
    """A function from a non-null value of the column to what its fixed slot packs, or to its bytes."""
    kind = column.type
    if kind.is_integer:
        return _integer_writer(column)
    if kind.is_enumerated:
        return enumeration_writer(column)
    if kind.is_variable:
        return _text_writer(column) if kind.is_character else _bytes_writer(column)
    makers = {
        Kind.FLOAT: _float_writer, Kind.DOUBLE: _float_writer, Kind.DECIMAL: _decimal_writer, Kind.DATE: _date_writer,
        Kind.DATETIME: _datetime_writer, Kind.TIMESTAMP: _datetime_writer, Kind.TIME: _time_writer,
    }  # fmt: skip
    return makers[kind.kind](column)


def storage_reader(kind: ColumnType) -> Converter | None:
    """The inverse of `storage_writer`; None when a value is stored as it is."""
    if kind.kind is Kind.DECIMAL:
        return _decimal_reader(kind)
    if kind.is_enumerated:
        return enumeration_reader(kind)
    if kind.is_character:
        return lambda data: str(data, "utf-8")
    readers: dict[Kind, Converter] = {
        Kind.DATE: lambda days: date.fromordinal(days + EPOCH_ORDINAL),
        Kind.DATETIME: lambda microseconds: EPOCH + timedelta(microseconds=microseconds),
        Kind.TIMESTAMP: lambda microseconds: EPOCH + timedelta(microseconds=microseconds),
        Kind.TIME: lambda microseconds: timedelta(microseconds=microseconds),
    }
    return readers.get(kind.kind)


def fraction_step_us(kind: ColumnType) -> int:
    """The microseconds between two neighbouring values of a DATETIME(f), TIMESTAMP(f) or TIME(f)."""
    return int(10 ** (6 - kind.scale))


def _wrong_type(column: Column, value: object) -> WrongValueType:
    return WrongValueType(column.name, f"{column.type.mysql_name()} cannot hold {type(value).__name__} {value!r:.80}")


def _out_of_range(column: Column, value: object) -> ValueOutOfRange:
    return ValueOutOfRange(column.name, f"{value!s:.80} is out of range for {column.type.mysql_name()}")


def _integer_writer(column: Column) -> Converter:
    low, high = column.type.integer_bounds

    def write(value: Any) -> int:
        if not isinstance(value, int):
            raise _wrong_type(column, value)
        if not low <= value <= high:
            raise _out_of_range(column, value)
        return value

    return write


def _float_writer(column: Column) -> Converter:
    code, unsigned = "<f" if column.type.kind is Kind.FLOAT else "<d", column.type.unsigned

    def fits(value: float) -> bool:
        try:
            pack(code, value)
        except OverflowError:
            return False
        return isfinite(value) and not (unsigned and value < 0)

    def write(value: Any) -> float:
        if not isinstance(value, float | int):
            raise _wrong_type(column, value)
        if not fits(value):
            raise _out_of_range(column, value)
        return float(value)

    return write


def _decimal_writer(column: Column) -> Converter:
    scale, limit = column.type.scale, 10**column.type.precision
    small, unsigned = column.type.precision <= MAX_INT64_PRECISION, column.type.unsigned

    def write(value: Any) -> int | bytes:
        if not isinstance(value, Decimal | int):
            raise _wrong_type(column, value)
        try:
            shifted = Decimal(value).scaleb(scale, _DECIMAL)
            unscaled = int(shifted)
        except (InvalidOperation, ValueError, OverflowError):
            raise _out_of_range(column, value) from None
        if unscaled != shifted or not -limit < unscaled < limit or (unsigned and unscaled < 0):
            raise _out_of_range(column, value)
        return unscaled if small else unscaled.to_bytes(16, "little", signed=True)

    return write


def _decimal_reader(kind: ColumnType) -> Converter:
    scale = -kind.scale
    if kind.precision <= MAX_INT64_PRECISION:
        return lambda unscaled: Decimal(unscaled).scaleb(scale, _DECIMAL)
    return lambda data: Decimal(int.from_bytes(data, "little", signed=True)).scaleb(scale, _DECIMAL)


def _date_writer(column: Column) -> Converter:
    def write(value: Any) -> int:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise _wrong_type(column, value)
        return value.toordinal() - EPOCH_ORDINAL

    return write


def _datetime_writer(column: Column) -> Converter:
    step = fraction_step_us(column.type)

    def write(value: Any) -> int:
        if not isinstance(value, datetime) or value.tzinfo is not None:
            raise _wrong_type(column, value)
        if value.microsecond % step:
            raise _out_of_range(column, value)
        return _microseconds(value - EPOCH)

    return write


def _time_writer(column: Column) -> Converter:
    step = fraction_step_us(column.type)

    def write(value: Any) -> int:
        if not isinstance(value, timedelta):
            raise _wrong_type(column, value)
        microseconds = _microseconds(value)
        if microseconds % step or abs(microseconds) > MAX_TIME_US:
            raise _out_of_range(column, value)
        return microseconds

    return write


def _microseconds(length: timedelta) -> int:
    return length.days * MICROSECONDS_PER_DAY + length.seconds * MICROSECONDS_PER_SECOND + length.microseconds


def _text_writer(column: Column) -> Converter:
    counts_characters = column.type.kind in (Kind.CHAR, Kind.VARCHAR)
    limit = column.type.length if counts_characters else column.type.max_bytes

    def write(value: Any) -> bytes:
        if not isinstance(value, str):
            raise _wrong_type(column, value)
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise _wrong_type(column, value) from None
        if (len(value) if counts_characters else len(data)) > limit:
            raise ValueTooLong(column.name, f"{len(value)} characters do not fit {column.type.mysql_name()}")
        return data

    return write


def _bytes_writer(column: Column) -> Converter:
    counted = column.type.kind in (Kind.BINARY, Kind.VARBINARY)
    limit = column.type.length if counted else column.type.max_bytes

    def write(value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise _wrong_type(column, value)
        if len(value) > limit:
            raise ValueTooLong(column.name, f"{len(value)} bytes do not fit {column.type.mysql_name()}")
        return value

    return write
