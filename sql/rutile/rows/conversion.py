"""Values going into columns, as MySQL's strict mode has it: converted where that loses nothing, refused otherwise.

`converter_for(column)` gives a function of (value, row number) that returns the value the row codec stores, or raises:
1048 NULL, 1264 out of range, 1406 too long, 1366 wrong kind, 1265 no member of an ENUM, 1292 no such date or time.
Numbers are rounded half up to the column's scale, as MySQL does without a warning. The common case (an int for an
integer column, a short text for a VARCHAR) returns after one comparison: this runs for every value inserted.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

from rutile.errors import (
    SqlError,
    data_too_long,
    incorrect_time,
    incorrect_value,
    null_not_allowed,
    out_of_range,
)
from rutile.rows import temporal
from rutile.rows.enumerated_conversion import bits, enumeration
from rutile.rows.readings import datetime_of, number_of, text_of, time_of
from rutile_coprocessor.scalars import ScalarError, normalized
from rutile_coprocessor.schema import Column, ColumnType, Kind, Scalar

Converter = Callable[[object, int], Scalar]
_WIDE = Context(prec=80, rounding=ROUND_HALF_UP)
_MAX_FLOAT32 = 3.4028234663852886e38
ER_INVALID_JSON_TEXT = 3140


def converter_for(column: Column) -> Converter:
    """How to make `column`'s stored value of any Python value a statement can hold."""
    convert = _maker(column.type)(column.name, column.type)
    name, nullable = column.name, column.nullable

    def convert_or_null(value: object, row: int) -> Scalar:
        if value is None:
            if nullable:
                return None
            raise null_not_allowed(name)
        return convert(value, row)

    return convert_or_null


def _maker(kind: ColumnType) -> Callable[[str, ColumnType], Converter]:
    if kind.kind is Kind.YEAR:
        return _year
    if kind.kind is Kind.JSON:
        return _json
    if kind.is_enumerated:
        return enumeration
    if kind.kind is Kind.BIT:
        return bits
    if kind.is_integer:
        return _integer
    if kind.is_character:
        return _text
    if kind.is_binary:
        return _binary
    return _OTHERS[kind.kind]


# --- numbers ----------------------------------------------------------------------------------------------------------


def _integer(name: str, kind: ColumnType) -> Converter:
    low, high = kind.integer_bounds

    def convert(value: object, row: int) -> Scalar:
        number = value if type(value) is int else _integer_of(value, name, row)
        if low <= number <= high:
            return number
        raise out_of_range(name, row)

    return convert


def _integer_of(value: object, name: str, row: int) -> int:
    number = number_of(value)
    if number is None:
        raise incorrect_value("integer", value, name, row)
    return _round(number, name, row)


def _round(number: float | Decimal, name: str, row: int) -> int:
    if isinstance(number, int):
        return number
    if isinstance(number, float):
        if not math.isfinite(number):
            raise out_of_range(name, row)
        return round(number)
    if number.adjusted() > 40:
        raise out_of_range(name, row)
    return int(number.to_integral_value(rounding=ROUND_HALF_UP, context=_WIDE))


def _year(name: str, kind: ColumnType) -> Converter:
    def convert(value: object, row: int) -> Scalar:
        number = number_of(value)
        if number is None:
            raise incorrect_value("integer", value, name, row)
        year = _round(number, name, row)
        if 0 < year < 100 or (year == 0 and isinstance(value, str)):
            year += 2000 if year < 70 else 1900
        if year == 0 or 1901 <= year <= 2155:
            return year
        raise out_of_range(name, row)

    return convert


def _decimal(name: str, kind: ColumnType) -> Converter:
    quantum = Decimal(1).scaleb(-kind.scale)
    limit = Decimal(10) ** (kind.precision - kind.scale)

    def convert(value: object, row: int) -> Scalar:
        number = number_of(value)
        if number is None:
            raise incorrect_value("decimal", value, name, row)
        if isinstance(number, float):
            if not math.isfinite(number):
                raise out_of_range(name, row)
            number = Decimal(repr(number))
        exact = Decimal(number)
        if exact.adjusted() > kind.precision or (kind.unsigned and exact < 0):
            raise out_of_range(name, row)
        rounded = exact.quantize(quantum, context=_WIDE)
        if abs(rounded) >= limit:
            raise out_of_range(name, row)
        return rounded if rounded else abs(rounded)

    return convert


def _floating(name: str, kind: ColumnType) -> Converter:
    single = kind.kind is Kind.FLOAT

    def convert(value: object, row: int) -> Scalar:
        number = number_of(value)
        if number is None:
            raise incorrect_value("double", value, name, row)
        try:
            result = float(number)
        except OverflowError:
            raise out_of_range(name, row) from None
        if not math.isfinite(result) or (kind.unsigned and result < 0) or (single and abs(result) > _MAX_FLOAT32):
            raise out_of_range(name, row)
        # A FLOAT reads back as the nearest single: make it so at once.
        return float(struct.unpack("<f", struct.pack("<f", result))[0]) if single else result

    return convert


# --- texts and bytes --------------------------------------------------------------------------------------------------


def _text(name: str, kind: ColumnType) -> Converter:
    in_characters = kind.kind in (Kind.CHAR, Kind.VARCHAR)
    limit = kind.length if in_characters else kind.max_bytes
    pads = kind.kind is Kind.CHAR

    def convert(value: object, row: int) -> Scalar:
        try:
            text = text_of(value)
        except UnicodeDecodeError:
            raise incorrect_value("string", value, name, row) from None
        if pads:
            text = text.rstrip(" ")
        if len(text) > limit if in_characters else len(text.encode()) > limit:
            text = text.rstrip(" ") if in_characters else text
            if (len(text) if in_characters else len(text.encode())) > limit:
                raise data_too_long(name, row)
            text = text.ljust(limit)
        return text

    return convert


def _binary(name: str, kind: ColumnType) -> Converter:
    fixed = kind.kind is Kind.BINARY
    limit = kind.length if kind.kind in (Kind.BINARY, Kind.VARBINARY) else kind.max_bytes

    def convert(value: object, row: int) -> Scalar:
        data = value if isinstance(value, bytes) else text_of(value).encode()
        if len(data) > limit:
            raise data_too_long(name, row)
        return data.ljust(limit, b"\0") if fixed else data

    return convert


def _json(name: str, kind: ColumnType) -> Converter:
    def convert(value: object, row: int) -> Scalar:
        try:
            text = value.decode() if isinstance(value, bytes) else text_of(value)
            return normalized(text)
        except (ScalarError, UnicodeDecodeError) as error:
            raise SqlError(
                ER_INVALID_JSON_TEXT,
                f"Invalid JSON text: \"{error.__cause__ or error}\" for column '{name}' at row {row}",
            ) from None

    return convert


# --- dates and times --------------------------------------------------------------------------------------------------


def _date(name: str, kind: ColumnType) -> Converter:
    def convert(value: object, row: int) -> Scalar:
        if type(value) is date:
            return value
        moment = datetime_of(value)
        if moment is None:
            raise incorrect_time("date", value, name, row)
        return moment.date()

    return convert


def _datetime(name: str, kind: ColumnType) -> Converter:
    def convert(value: object, row: int) -> Scalar:
        moment = datetime_of(value)
        rounded = None if moment is None else temporal.round_datetime(moment, kind.scale)
        if rounded is None:
            raise incorrect_time("datetime", value, name, row)
        return rounded

    return convert


def _time(name: str, kind: ColumnType) -> Converter:
    def convert(value: object, row: int) -> Scalar:
        length = time_of(value)
        if length is None or abs(length) > temporal.MAX_TIME:
            raise incorrect_time("time", value, name, row)
        return temporal.round_fraction(length, kind.scale)

    return convert


_OTHERS: dict[Kind, Callable[[str, ColumnType], Converter]] = {
    Kind.DECIMAL: _decimal, Kind.FLOAT: _floating, Kind.DOUBLE: _floating, Kind.DATE: _date,
    Kind.DATETIME: _datetime, Kind.TIMESTAMP: _datetime, Kind.TIME: _time,
}  # fmt: skip
