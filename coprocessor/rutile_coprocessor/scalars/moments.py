"""Dates and times: weeks by all of MySQL's modes, formats, time zones."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rutile_coprocessor.scalars.scalar import Scalar

_OFFSET = re.compile(r"([+-])(\d{1,2}):([0-5]\d)")
_CODE = re.compile(r"%(.)", re.DOTALL)
_MONDAY_FIRST, _WEEK_YEAR, _WHOLE_WEEK = 1, 2, 4


# --- weeks ------------------------------------------------------------------------------------------------------------


def week_and_year(day: date, mode: int) -> tuple[int, int]:
    """(week, the year it belongs to) by WEEK's mode.

    Bit 0: weeks begin on Monday; bit 1: the first days of a year may belong to the last week of the one before, rather
    than to a week 0; bit 2: which week is the first, the one with most of its days in the year or the first whole one.
    """
    mode = mode & 7
    if not mode & _MONDAY_FIRST:
        mode ^= _WHOLE_WEEK
    monday, whole = bool(mode & _MONDAY_FIRST), bool(mode & _WHOLE_WEEK)
    year, start = day.year, _weekday(date(day.year, 1, 1), monday)
    counted = bool(mode & _WEEK_YEAR)
    if day.month == 1 and day.day <= 7 - start:  # in the week that New Year's Day is in
        if not counted and _is_short(start, whole):
            return 0, year
        year, start, counted = year - 1, _weekday(date(year - 1, 1, 1), monday), True
    days = (day - date(year, 1, 1)).days + (start - 7 if _is_short(start, whole) else start)
    if counted and days >= 52 * 7 and not _is_short((start + _days_in(year)) % 7, whole):
        return 1, year + 1
    return days // 7 + 1, year


def _is_short(start: int, whole: bool) -> bool:
    """Whether the week with New Year's Day, the `start`-th day of it, still belongs to the old year."""
    return start != 0 if whole else start >= 4


def _weekday(day: date, monday: bool) -> int:
    return day.weekday() if monday else day.isoweekday() % 7


def _days_in(year: int) -> int:
    return (date(year + 1, 1, 1) - date(year, 1, 1)).days if year < date.max.year else 365


def week(day: date, mode: int) -> int:
    """WEEK(date, mode)."""
    return week_and_year(day, mode)[0]


def yearweek(day: date, mode: int) -> int:
    """YEARWEEK(date, mode): always counts weeks from 1."""
    number, year = week_and_year(day, mode | _WEEK_YEAR)
    return year * 100 + number


# --- formats ----------------------------------------------------------------------------------------------------------


def _ordinal(day: int) -> str:
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_DATE_CODES: dict[str, Callable[[datetime], str]] = {
    "a": lambda at: _DAYS[at.weekday()][:3], "b": lambda at: _MONTHS[at.month - 1][:3], "c": lambda at: str(at.month),
    "D": lambda at: _ordinal(at.day), "d": lambda at: f"{at.day:02}", "e": lambda at: str(at.day),
    "f": lambda at: f"{at.microsecond:06}", "H": lambda at: f"{at.hour:02}", "h": lambda at: f"{_half(at.hour):02}",
    "I": lambda at: f"{_half(at.hour):02}", "i": lambda at: f"{at.minute:02}", "j": lambda at: f"{_day_of_year(at):03}",
    "k": lambda at: str(at.hour), "l": lambda at: str(_half(at.hour)), "M": lambda at: _MONTHS[at.month - 1],
    "m": lambda at: f"{at.month:02}", "p": lambda at: "PM" if at.hour >= 12 else "AM",
    "r": lambda at: f"{_half(at.hour):02}:{at.minute:02}:{at.second:02} {'PM' if at.hour >= 12 else 'AM'}",
    "S": lambda at: f"{at.second:02}", "s": lambda at: f"{at.second:02}",
    "T": lambda at: f"{at.hour:02}:{at.minute:02}:{at.second:02}", "U": lambda at: f"{week(at.date(), 0):02}",
    "u": lambda at: f"{week(at.date(), 1):02}", "V": lambda at: f"{week(at.date(), 2):02}",
    "v": lambda at: f"{week(at.date(), 3):02}", "W": lambda at: _DAYS[at.weekday()],
    "w": lambda at: str(at.isoweekday() % 7), "X": lambda at: f"{week_and_year(at.date(), 2)[1]:04}",
    "x": lambda at: f"{week_and_year(at.date(), 3)[1]:04}", "Y": lambda at: f"{at.year:04}",
    "y": lambda at: f"{at.year % 100:02}",
}  # fmt: skip


def _half(hour: int) -> int:
    return hour % 12 or 12


def _day_of_year(at: datetime) -> int:
    return at.timetuple().tm_yday


def date_format(at: datetime, pattern: str) -> str:
    """DATE_FORMAT, all of its codes; an unknown one is its own letter."""
    return _CODE.sub(lambda code: _DATE_CODES[code[1]](at) if code[1] in _DATE_CODES else code[1], pattern)


def time_format(length: timedelta, pattern: str) -> str:
    """TIME_FORMAT: hours may be more than 23; codes of dates give zeros."""
    micros = abs(length) // timedelta(microseconds=1)
    hours, rest = divmod(micros, 3_600_000_000)
    at = datetime(1, 1, 1) + timedelta(microseconds=rest, hours=hours % 24)
    sign = "-" if length < timedelta() else ""

    def written(code: re.Match[str]) -> str:
        letter = code[1]
        if letter in "Hk":
            return f"{sign}{hours:02}" if letter == "H" else f"{sign}{hours}"
        if letter == "T":
            return f"{sign}{hours:02}:{at.minute:02}:{at.second:02}"
        if letter in _ZEROS:
            return _ZEROS[letter]
        return _DATE_CODES[letter](at) if letter in "fhIilprSs" else letter

    return _CODE.sub(written, pattern)


_ZEROS = {"Y": "0000", "y": "00", "m": "00", "c": "0", "d": "00", "e": "0"}


# --- time zones -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo | None:
    """The zone: UTC and SYSTEM (which is UTC), offsets from -13:59 to +14:00, names of the IANA database, or None."""
    if name.upper() in ("UTC", "SYSTEM"):
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        minutes = int(offset[2]) * 60 + int(offset[3])
        minutes = -minutes if offset[1] == "-" else minutes
        return timezone(timedelta(minutes=minutes)) if -840 < minutes <= 840 else None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def to_utc(local: datetime, zone: str) -> datetime | None:
    """The moment in UTC that clocks of the zone show as `local`; NULL for a zone there is not."""
    found = zone_of(zone)
    if found is None:
        return None
    try:
        return local.replace(tzinfo=found).astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def from_utc(moment: datetime, zone: str) -> datetime | None:
    """What clocks of the zone show at a moment in UTC; NULL for a zone there is not."""
    found = zone_of(zone)
    if found is None:
        return None
    try:
        return moment.replace(tzinfo=UTC).astimezone(found).replace(tzinfo=None)
    except OverflowError:
        return None


SCALARS = (
    Scalar("mysql_week", "DATE BIGINT", "BIGINT", week),
    Scalar("mysql_yearweek", "DATE BIGINT", "BIGINT", yearweek),
    Scalar("mysql_date_format", "TIMESTAMP VARCHAR", "VARCHAR", date_format),
    Scalar("mysql_time_format", "INTERVAL VARCHAR", "VARCHAR", time_format),
    Scalar("mysql_to_utc", "TIMESTAMP VARCHAR", "TIMESTAMP", to_utc),
    Scalar("mysql_from_utc", "TIMESTAMP VARCHAR", "TIMESTAMP", from_utc),
)
