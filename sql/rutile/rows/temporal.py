"""MySQL's dates and times as text and as numbers: reading them as it does, and writing them as it does.

    DATE       '2026-11-22', '26-11-22', '20261122', 20261122; any punctuation between the parts
    DATETIME   a date, then 'T' or spaces, then 'hh:mm[:ss[.ffffff]]'; or fourteen digits
    TIME       '[-][d ]hh:mm[:ss[.ffffff]]', 'hhmmss', 123456; -838:59:59 to 838:59:59

A reader returns None for what is no such value; who calls knows the column to name in the error. Zero dates
('0000-00-00', '2026-02-00') are no values, as in strict mode with NO_ZERO_DATE.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_DATE = re.compile(r"\s*(\d{1,4})[-/.:^@](\d{1,2})[-/.:^@](\d{1,2})")
_CLOCK = re.compile(r"(?:[T ]\s*)(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?(?:\.(\d{0,9}))?\s*(Z|[+-]\d{2}:\d{2})?\s*$")
_DIGITS = re.compile(r"\s*(\d{6}|\d{8}|\d{12}|\d{14})(?:\.(\d{0,9}))?\s*$")
_TIME = re.compile(r"\s*(-)?(?:(\d+)\s+)?(\d{1,3})(?::(\d{1,2}))?(?::(\d{1,2}))?(?:\.(\d{0,9}))?\s*$")
_PLAIN_TIME = re.compile(r"\s*(-)?(\d{1,7})(?:\.(\d{0,9}))?\s*$")

MAX_TIME = timedelta(hours=838, minutes=59, seconds=59)
_MICROSECOND = timedelta(microseconds=1)


def parse_datetime(text: str) -> datetime | None:
    """The DATETIME in `text`, to the microsecond; midnight if there is only a date. An offset is turned into UTC."""
    compact = _DIGITS.match(text)
    if compact:
        return _from_digits(compact[1], compact[2])
    parts = _DATE.match(text)
    if parts is None:
        return None
    year = _full_year(parts[1])
    rest = text[parts.end() :]
    if not rest.strip():
        return _build(year, int(parts[2]), int(parts[3]))
    clock = _CLOCK.match(rest)
    if clock is None:
        return None
    moment = _build(year, int(parts[2]), int(parts[3]), int(clock[1]), int(clock[2] or 0), int(clock[3] or 0), clock[4])
    return moment if moment is None else moment - _offset(clock[5])


def datetime_from_number(number: int) -> datetime | None:
    """The DATETIME that 20261122 or 20261122103000 stands for."""
    text = str(number)
    if number < 0 or len(text) > 14:
        return None
    width = next(size for size in (6, 8, 12, 14) if len(text) <= size)
    return _from_digits(text.zfill(width), None)


def parse_time(text: str) -> timedelta | None:
    """The TIME in `text`."""
    plain = _PLAIN_TIME.match(text)
    if plain:
        return _signed(plain[1], _from_clock_number(int(plain[2]), plain[3]))
    parts = _TIME.match(text)
    if parts is None:
        moment = parse_datetime(text)
        return None if moment is None else moment - datetime.combine(moment.date(), datetime.min.time())
    hours = int(parts[3]) + 24 * int(parts[2] or 0)
    return _signed(parts[1], _clock(hours, int(parts[4] or 0), int(parts[5] or 0), parts[6]))


def time_from_number(number: int) -> timedelta | None:
    """The TIME that 103000 (10:30:00) stands for."""
    return _signed("-" if number < 0 else None, _from_clock_number(abs(number), None))


def round_fraction(value: timedelta, digits: int) -> timedelta:
    """`value` rounded half up to `digits` digits of a second."""
    unit = 10 ** (6 - digits)
    microseconds = value // _MICROSECOND
    sign = -1 if microseconds < 0 else 1
    return timedelta(microseconds=sign * ((abs(microseconds) + unit // 2) // unit * unit))


def round_datetime(value: datetime, digits: int) -> datetime | None:
    """`value` rounded half up to `digits` digits of a second; None if that leaves the year 9999."""
    if digits == 6 or value.microsecond == 0:
        return value
    midnight = value.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return midnight + round_fraction(value - midnight, digits)
    except OverflowError:
        return None


def format_time(value: timedelta) -> str:
    """`-01:02:03.000004`, the fraction only if there is one."""
    microseconds = value // _MICROSECOND
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def format_datetime(value: datetime) -> str:
    """`2026-11-22 10:30:00`, the fraction only if there is one."""
    return value.isoformat(sep=" ")


def datetime_as_number(value: date) -> int:
    """20261122, or 20261122103000 for a DATETIME: what a date is in arithmetic."""
    return int(value.strftime("%Y%m%d%H%M%S" if isinstance(value, datetime) else "%Y%m%d"))


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < 70 else 1900)


def _from_digits(digits: str, fraction: str | None) -> datetime | None:
    year_width = 4 if len(digits) in (8, 14) else 2
    year = _full_year(digits[:year_width])
    month, day, *clock = (int(digits[at : at + 2]) for at in range(year_width, len(digits), 2))
    hour, minute, second = clock or (0, 0, 0)
    return _build(year, month, day, hour, minute, second, fraction)


def _build(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, fraction: str | None = None
) -> datetime | None:
    try:
        moment = datetime(year, month, day, hour, minute, second)
        return moment + timedelta(microseconds=_microseconds(fraction))
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> timedelta:
    if text is None or text == "Z":
        return timedelta()
    sign = -1 if text[0] == "-" else 1
    return sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))


def _from_clock_number(number: int, fraction: str | None) -> timedelta | None:
    return _clock(number // 10_000, number // 100 % 100, number % 100, fraction)


def _clock(hours: int, minutes: int, seconds: int, fraction: str | None) -> timedelta | None:
    if minutes > 59 or seconds > 59:
        return None
    value = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=_microseconds(fraction))
    return value if value <= MAX_TIME else None


def _signed(sign: str | None, value: timedelta | None) -> timedelta | None:
    return -value if sign and value is not None else value


def _microseconds(fraction: str | None) -> int:
    """Digits after the point as microseconds, rounded half up at the seventh."""
    if not fraction:
        return 0
    return (int(fraction[:7].ljust(7, "0")) + 5) // 10
