"""Python values read as numbers, texts, dates and times, as MySQL reads a value of one kind where it wants another.

None means that the value is nothing of the kind; whoever asks knows the column or operand to name in the error.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from rutile.rows import temporal
from rutile_coprocessor.column_types import ColumnType
from rutile_coprocessor.enumerations import number_of_text


class EnumeratedText(str):
    """The text of an ENUM or SET, which where a number is wanted counts as the number it is stored as."""

    __slots__ = ("number",)
    number: int

    @staticmethod
    def of(kind: ColumnType, text: str) -> EnumeratedText:
        made = EnumeratedText(text)
        made.number = number_of_text(kind, text) or 0
        return made


def number_of(value: object) -> int | float | Decimal | None:
    """The number `value` is or spells completely; None otherwise. Hex literals are big-endian numbers."""
    match value:
        case bool():
            return int(value)
        case int() | float() | Decimal():
            return value
        case EnumeratedText():
            return value.number
        case str():
            return _number_of_text(value)
        case bytes():
            return int.from_bytes(value, "big")
        case date():
            return temporal.datetime_as_number(value)
        case timedelta():
            return _time_as_number(value)
    return None


def _number_of_text(text: str) -> Decimal | int | None:
    text = text.strip()
    if text.isascii() and text.removeprefix("-").isdigit():
        return int(text)
    try:
        number = Decimal(text) if "_" not in text else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _time_as_number(value: timedelta) -> int:
    seconds = round(abs(value).total_seconds())
    number = seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60
    return -number if value < timedelta() else number


def text_of(value: object) -> str:
    """`value` as MySQL writes it where text is wanted."""
    match value:
        case str():
            return value
        case bool():
            return str(int(value))
        case bytes():
            return value.decode("utf-8")
        case Decimal():
            return format(value, "f")
        case float():
            return _text_of_float(value)
        case datetime():
            return temporal.format_datetime(value)
        case timedelta():
            return temporal.format_time(value)
    return str(value)


def _text_of_float(value: float) -> str:
    """Shortest form, exponents from 1e15 up and below 1e-15, as MySQL prints DOUBLE."""
    if value == 0 or 1e-15 <= abs(value) < 1e15:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return repr(value).replace("e+", "e")


def datetime_of(value: object) -> datetime | None:
    """The moment `value` is or spells; None if it is none."""
    match value:
        case datetime():
            return value.replace(tzinfo=None)
        case date():
            return datetime(value.year, value.month, value.day)
        case str():
            return temporal.parse_datetime(value)
        case bytes():
            return temporal.parse_datetime(value.decode("utf-8", "replace"))
        case int() | Decimal() | float():
            return temporal.datetime_from_number(int(value))
    return None


def time_of(value: object) -> timedelta | None:
    """The TIME `value` is or spells; None if it is none."""
    match value:
        case timedelta():
            return value
        case datetime():
            return value - datetime.combine(value.date(), datetime.min.time())
        case str():
            return temporal.parse_time(value)
        case bytes():
            return temporal.parse_time(value.decode("utf-8", "replace"))
        case int() | Decimal() | float():
            return temporal.time_from_number(int(value))
    return None
