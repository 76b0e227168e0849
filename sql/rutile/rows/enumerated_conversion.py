"""Values going into ENUM, SET and BIT columns.

An ENUM or SET takes a text, or the number of one (also spelled as text, where no member is spelled so); anything else
is 1265. A BIT takes a number, or bytes as one; what needs more bits is 1406.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from rutile.errors import SqlError, data_too_long
from rutile.rows.readings import EnumeratedText, number_of
from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.enumerations import number_of_text, text_of_number
from rutile_coprocessor.schema import Scalar

ER_DATA_TRUNCATED = 1265


def data_truncated(column: str, row: int) -> SqlError:
    """1265."""
    return SqlError(ER_DATA_TRUNCATED, f"Data truncated for column '{column}' at row {row}", sqlstate="01000")


def enumeration(name: str, kind: ColumnType) -> Callable[[object, int], Scalar]:
    """For ENUM and SET: the text as the definition spells it."""
    lowest = 1 if kind.kind is Kind.ENUM else 0
    highest = len(kind.members) if kind.kind is Kind.ENUM else (1 << len(kind.members)) - 1

    def convert(value: object, row: int) -> Scalar:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        number = None
        if isinstance(value, str):
            # A copy from another ENUM goes by its text.
            number = number_of_text(kind, str(value).rstrip(" "))
            value = None if isinstance(value, EnumeratedText) else value
        if number is None and value is not None:
            spelled = number_of(value)
            number = round(spelled) if isinstance(spelled, int | float | Decimal) else None
        if number is None or not lowest <= number <= highest:
            raise data_truncated(name, row)
        return text_of_number(kind, number)

    return convert


def bits(name: str, kind: ColumnType) -> Callable[[object, int], Scalar]:
    """For BIT: the number."""
    highest = (1 << kind.length) - 1

    def convert(value: object, row: int) -> Scalar:
        if isinstance(value, str) and not isinstance(value, EnumeratedText):
            value = value.encode()
        number = number_of(value)
        if number is None or not 0 <= number <= highest:
            raise data_too_long(name, row)
        return round(number)

    return convert
