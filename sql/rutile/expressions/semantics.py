"""MySQL's meaning of operators on Python values: NULL is None, truth is 1 and 0, types mix as MySQL mixes them.

number op text          the text's leading number, as a double
exact op exact          exact: int within BIGINT, or Decimal; `/` gives four more decimals
exact op double         double
date or time op text    the text is read as a date or time
date or time op number  the date is a number such as 20261122
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

from rutile.errors import ER_TRUNCATED_VALUE, SqlError, value_out_of_range
from rutile.rows import readings, temporal

Number = int | float | Decimal
_CONTEXT = Context(prec=65, rounding=ROUND_HALF_UP)
_LEADING_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
DIVISION_EXTRA_SCALE = 4
"""div_precision_increment."""
MAX_SCALE = 30
SIGNED_RANGE = (-(1 << 63), (1 << 63) - 1)
UNSIGNED_RANGE = (0, (1 << 64) - 1)


def number(value: object) -> Number:
    """`value` as a number for arithmetic; for text the number it begins with, else 0."""
    if isinstance(value, str) and not isinstance(value, readings.EnumeratedText):
        return leading_number(value)
    found = readings.number_of(value)
    if found is None:
        raise SqlError(ER_TRUNCATED_VALUE, f"Truncated incorrect DOUBLE value: '{value}'")
    return found


def leading_number(text: str) -> float:
    """The number a text begins with, as a double; 0 if it begins with none."""
    match = _LEADING_NUMBER.match(text)
    return float(match.group()) if match else 0.0


def _pair(left: object, right: object) -> tuple[Number, Number]:
    """Both as numbers of one kind: two doubles, two Decimals or two ints."""
    a, b = number(left), number(right)
    if isinstance(a, float) or isinstance(b, float):
        return float(a), float(b)
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return Decimal(a), Decimal(b)
    return a, b


def checked(value: Number, unsigned: bool, operator: str) -> Number:
    """`value`, if it is within the result type's range. Raises 1690."""
    if isinstance(value, int):
        low, high = UNSIGNED_RANGE if unsigned else SIGNED_RANGE
        if not low <= value <= high:
            raise value_out_of_range("BIGINT UNSIGNED" if unsigned else "BIGINT", operator)
    elif isinstance(value, float) and (value - value != 0.0):
        raise value_out_of_range("DOUBLE", operator)
    return value


def add(left: object, right: object) -> Number:
    a, b = _pair(left, right)
    return _CONTEXT.add(a, b) if isinstance(a, Decimal) else a + b  # type: ignore[arg-type, operator]


def subtract(left: object, right: object) -> Number:
    a, b = _pair(left, right)
    return _CONTEXT.subtract(a, b) if isinstance(a, Decimal) else a - b  # type: ignore[arg-type, operator]


def multiply(left: object, right: object) -> Number:
    a, b = _pair(left, right)
    if not isinstance(a, Decimal):
        return a * b  # type: ignore[operator]
    return _limit_scale(_CONTEXT.multiply(a, b))  # type: ignore[arg-type]


def divide(left: object, right: object) -> Number | None:
    """`/`: exact numbers give a Decimal with four decimals more than the dividend. None for division by zero."""
    a, b = _pair(left, right)
    if b == 0:
        return None
    if isinstance(a, float):
        return a / float(b)
    dividend = Decimal(a)
    scale = min(_scale(dividend) + DIVISION_EXTRA_SCALE, MAX_SCALE)
    return _CONTEXT.divide(dividend, Decimal(b)).quantize(Decimal(1).scaleb(-scale), context=_CONTEXT)


def integer_divide(left: object, right: object) -> Number | None:
    """DIV: the quotient cut to an integer."""
    a, b = _pair(left, right)
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return _truncate_divide(a, b)
    return int((Decimal(a) / Decimal(b)).to_integral_value(rounding=ROUND_DOWN))


def modulo(left: object, right: object) -> Number | None:
    """%: the remainder with the dividend's sign."""
    a, b = _pair(left, right)
    if b == 0:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return a - b * _truncate_divide(a, b)
    if isinstance(a, float):
        remainder = abs(a) % abs(float(b))
        return -remainder if a < 0 else remainder
    return _CONTEXT.remainder(Decimal(a), Decimal(b))


def negate(value: object) -> Number:
    return -number(value)


def _truncate_divide(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _scale(value: Decimal) -> int:
    return max(0, -int(value.as_tuple().exponent))


def _limit_scale(value: Decimal) -> Decimal:
    return value if _scale(value) <= MAX_SCALE else value.quantize(Decimal(1).scaleb(-MAX_SCALE), context=_CONTEXT)


# --- comparison -------------------------------------------------------------------------------------------------------


def compare(left: object, right: object) -> int:
    """-1, 0 or 1 of two values that are not NULL."""
    a, b = (left, right) if type(left) is type(right) else _comparable(left, right)
    return (a > b) - (a < b)  # type: ignore[operator, no-any-return]


def _comparable(left: object, right: object) -> tuple[object, object]:
    if isinstance(left, date | timedelta) or isinstance(right, date | timedelta):
        return _comparable_times(left, right)
    if isinstance(left, str | bytes) and isinstance(right, str | bytes):
        return _to_bytes(left), _to_bytes(right)
    return _pair(left, right)


def _comparable_times(left: object, right: object) -> tuple[object, object]:
    if isinstance(left, int | float | Decimal) or isinstance(right, int | float | Decimal):
        return _pair(left, right)
    if isinstance(left, timedelta) or isinstance(right, timedelta):
        return _read_time(left), _read_time(right)
    return _read_datetime(left), _read_datetime(right)


def _read_datetime(value: object) -> datetime:
    moment = readings.datetime_of(value)
    if moment is None:
        raise SqlError(1525, f"Incorrect DATETIME value: '{value}'")
    return moment


def _read_time(value: object) -> timedelta:
    length = readings.time_of(value)
    if length is None:
        raise SqlError(1525, f"Incorrect TIME value: '{value}'")
    return length


def _to_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def truth(value: object) -> bool | None:
    """Whether `value` counts as true; None for NULL."""
    if value is None:
        return None
    if isinstance(value, date | timedelta):
        return temporal.datetime_as_number(value) != 0 if isinstance(value, date) else bool(value)
    return number(value) != 0
