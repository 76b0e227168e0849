"""Dates and times: intervals, parts, differences, formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate.build import (
    Typed,
    as_date,
    as_datetime,
    as_double,
    as_integer,
    as_number,
    as_plain_text,
    as_time,
    call,
    cast,
    literal_moment,
    number,
    paren,
    refuse,
)
from rutile.translate.formats import duckdb_format, format_pieces, has_rare_codes, mysql_format
from rutile.translate.intervals import CLOCK_UNITS, COMPOSITE_UNITS
from rutile.translate.sql_types import DATE, INT, TEXT, TIME, Base, SqlType, decimal

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


_ADJACENT_CODES = re.compile(r"%-?[^aAbBp]%-?[^aAbBp]")


# --- differences ------------------------------------------------------------------------------------------------------


def days_between(translator: Translator, node: exp.Expr) -> Typed:
    """DATEDIFF: midnights between two dates."""
    unit = node.args.get("unit")
    if unit is not None and unit.name.upper() != "DAY":
        raise refuse(f"DATEDIFF in {unit.name}")
    later, earlier = translator.visit(node.this), translator.visit_part(node, "expression")
    return Typed(call("date_diff", "day", as_date(earlier), as_date(later)), INT)


def units_between(translator: Translator, node: exp.Expr) -> Typed:
    """TIMESTAMPDIFF: complete units from the first to the second."""
    unit = node.args["unit"].name.upper().removesuffix("S")
    start, end = as_datetime(translator.visit_part(node, "expression")), as_datetime(translator.visit(node.this))
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
    if unit in months:
        count: exp.Expr = call("mysql_months_between", start, end)
        return Typed(_over(count, months[unit]), INT)
    microseconds = {**CLOCK_UNITS, "DAY": 86_400_000_000, "WEEK": 604_800_000_000}
    if unit not in microseconds:
        raise refuse(f"TIMESTAMPDIFF in {unit}")
    return Typed(_over(call("date_diff", "microsecond", start, end), microseconds[unit]), INT)


def _over(count: exp.Expr, unit: int) -> exp.Expr:
    return count if unit == 1 else exp.Paren(this=exp.IntDiv(this=count, expression=number(unit)))


def time_between(left: Typed, right: Typed) -> Typed:
    """TIMEDIFF of two times, or two moments."""
    if any(side.type.is_moment or literal_moment(side) is not None for side in (left, right)):
        length = call("date_diff", "microsecond", as_datetime(right), as_datetime(left))
        return Typed(call("to_microseconds", length), SqlType(Base.TIME, 6))
    return Typed(exp.Paren(this=exp.Sub(this=as_time(left), expression=as_time(right))), SqlType(Base.TIME, 6))


# --- parts ------------------------------------------------------------------------------------------------------------

_PARTS = {
    "YEAR": "year", "QUARTER": "quarter", "MONTH": "month", "DAY": "day", "HOUR": "hour", "MINUTE": "minute",
    "SECOND": "second", "MICROSECOND": "mysql_microsecond",
}  # fmt: skip


def _part(unit: str, value: Typed) -> exp.Expr:
    if value.type.base is Base.TIME or (value.is_text_literal and literal_moment(value) is None):
        if unit not in CLOCK_UNITS:
            raise refuse(f"{unit} of a TIME")
        return call(f"mysql_time_{unit.lower()}", as_time(value))
    if unit == "WEEK":
        return call("mysql_week0", as_date(value))
    if unit not in _PARTS:
        raise refuse(f"EXTRACT({unit})")
    return call(_PARTS[unit], as_datetime(value) if unit in CLOCK_UNITS else as_date(value))


def extract(translator: Translator, node: exp.Expr) -> Typed:
    """EXTRACT(unit FROM x); YEAR_MONTH and its like are the numbers side by side."""
    unit, value = node.name.upper(), translator.visit_part(node, "expression")
    if unit not in COMPOSITE_UNITS:
        return Typed(_part(unit, value), INT)
    total: exp.Expr | None = None
    for name in COMPOSITE_UNITS[unit]:
        piece = _part(name, value)
        total = (
            piece
            if total is None
            else exp.Add(this=exp.Mul(this=paren(total), expression=number(100)), expression=piece)
        )
    assert total is not None
    return Typed(exp.Paren(this=total), INT)


def clock_part(translator: Translator, node: exp.Expr) -> Typed:
    """HOUR, MINUTE, SECOND of a moment or a time."""
    return Typed(_part(node.key.upper(), translator.visit(node.this)), INT)


def microsecond(value: Typed) -> Typed:
    return Typed(_part("MICROSECOND", value), INT)


def week(translator: Translator, node: exp.Expr) -> Typed:
    """WEEK(date, mode)."""
    mode = node.args.get("mode")
    return week_of(translator.visit(node.this), None if mode is None else translator.visit(mode))


def week_of(date: Typed, mode: Typed | None) -> Typed:
    chosen = "0" if mode is None else mode.literal
    if mode is not None and chosen not in ("0", "1", "2", "3", "4", "5"):
        return Typed(call("mysql_week", as_date(date), as_integer(mode)), INT)
    return Typed(call(f"mysql_week{chosen}", as_date(date)), INT)


def yearweek(date: Typed, mode: Typed | None) -> Typed:
    """YEARWEEK; modes 0 and 2, and 1 and 3, are the same here."""
    chosen = {"0": "0", "2": "0", "1": "1", "3": "1"}.get("0" if mode is None else mode.literal or "")
    if mode is not None and chosen is None:
        return Typed(call("mysql_yearweek", as_date(date), as_integer(mode)), INT)
    return Typed(call(f"mysql_yearweek{chosen}", as_date(date)), INT)


# --- conversions ------------------------------------------------------------------------------------------------------


def to_date(translator: Translator, node: exp.Expr) -> Typed:
    return Typed(as_date(translator.visit(node.this)), DATE)


def to_datetime(translator: Translator, node: exp.Expr) -> Typed:
    """TIMESTAMP(x), and TIMESTAMP(x, time)."""
    value = translator.visit(node.this)
    added = node.args.get("zone")
    kind = SqlType(Base.DATETIME, 6 if value.type.is_text else value.type.scale)
    if added is None:
        return Typed(as_datetime(value), kind)
    total = exp.Add(this=as_datetime(value), expression=as_time(translator.visit(added)))
    return Typed(exp.Paren(this=total), kind)


def to_time(translator: Translator, node: exp.Expr) -> Typed:
    value = translator.visit(node.this)
    return Typed(as_time(value), SqlType(Base.TIME, value.type.scale))


def from_unixtime(translator: Translator, node: exp.Expr) -> Typed:
    """FROM_UNIXTIME in UTC, with or without a format."""
    value = as_number(translator.visit(node.this))
    seconds = as_double(value) if value.type.base is Base.DOUBLE else value.node
    moment = Typed(call("mysql_from_unixtime", seconds), SqlType(Base.DATETIME, min(6, value.type.scale)))
    pattern = node.args.get("format")
    return moment if pattern is None else formatted(moment, pattern)


def unix_timestamp(value: Typed) -> Typed:
    """UNIX_TIMESTAMP(date) in UTC; with the fraction if there can be one."""
    moment = as_datetime(value)
    if value.type.base is Base.DATETIME and value.type.scale:
        micros = cast(call("epoch_us", moment), "decimal(20, 0)")
        unit = cast(exp.Literal.string("0.000001"), "decimal(7, 6)")
        scaled = exp.Paren(this=exp.Mul(this=micros, expression=unit))
        return Typed(call("trunc", scaled, number(value.type.scale)), decimal(value.type.scale))
    return Typed(call("mysql_unix_timestamp", moment), INT)


def maketime(translator: Translator, node: exp.Expr) -> Typed:
    hour, minute = (as_integer(translator.visit_part(node, part)) for part in ("hour", "min"))
    second = as_number(translator.visit_part(node, "sec")).node
    return Typed(call("mysql_maketime", hour, minute, second), TIME)


def convert_tz(translator: Translator, node: exp.Expr) -> Typed:
    """CONVERT_TZ between offsets such as '+01:00' and named zones; NULL for a zone there is not."""
    value = translator.visit_part(node, "timestamp")
    source, target = (as_plain_text(translator.visit_part(node, part)) for part in ("source_tz", "target_tz"))
    moved = call("mysql_from_utc", call("mysql_to_utc", as_datetime(value), source), target)
    return Typed(moved, SqlType(Base.DATETIME, value.type.scale))


# --- formats ----------------------------------------------------------------------------------------------------------


def date_format(translator: Translator, node: exp.Expr) -> Typed:
    """DATE_FORMAT."""
    pattern = node.args["format"]
    if isinstance(pattern, exp.Literal):
        return formatted(translator.visit(node.this), pattern)
    moment, text = as_datetime(translator.visit(node.this)), as_plain_text(translator.visit(pattern))
    return Typed(call("mysql_date_format", moment, text), TEXT)


_SPECIAL_PIECES: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "%D": lambda date: call("mysql_ordinal_day", date),
    "%U": lambda date: _two_digits(call("mysql_week0", date)),
    "%u": lambda date: _two_digits(call("mysql_week1", date)),
    "%V": lambda date: _two_digits(call("mysql_week2", date)),
    "%v": lambda date: _two_digits(call("mysql_week3", date)),
    "%x": lambda date: cast(call("isoyear", date), "varchar"),
}


def formatted(value: Typed, pattern: exp.Expr) -> Typed:
    """The moment as text; `pattern` is in strftime's codes, into which sqlglot translates MySQL's."""
    if not isinstance(pattern, exp.Literal):
        raise refuse("FROM_UNIXTIME with a format that is no literal")
    moment = as_datetime(value)
    if has_rare_codes(pattern.name):
        return Typed(call("mysql_date_format", moment, mysql_format(pattern.name)), TEXT)
    pieces = []
    for piece in format_pieces(pattern.name):
        special = _SPECIAL_PIECES.get(piece)
        pieces.append(call("strftime", moment.copy(), piece) if special is None else special(moment.copy()))
    if not pieces:
        return Typed(exp.Literal.string(""), TEXT)
    built: exp.Expr = pieces[0]
    for part in pieces[1:]:
        built = exp.DPipe(this=built, expression=part)
    return Typed(paren(built), TEXT)


def _two_digits(value: exp.Expr) -> exp.Expr:
    return call("lpad", cast(value, "varchar"), number(2), "0")


def str_to_date(translator: Translator, node: exp.Expr) -> Typed:
    """STR_TO_DATE: a DATE, DATETIME or TIME by what the format mentions; NULL where the text does not match."""
    pattern = node.args["format"]
    if not isinstance(pattern, exp.Literal):
        raise refuse("STR_TO_DATE with a format that is no literal")
    text, value = duckdb_format(pattern.name), as_plain_text(translator.visit(node.this))
    moment: exp.Expr = call("try_strptime", value, text)
    spaceless = text.replace(" ", "")
    if not _ADJACENT_CODES.search(spaceless):  # MySQL skips spaces in front of each part
        again = call("try_strptime", call("replace", value.copy(), " ", ""), spaceless)
        moment = exp.Coalesce(this=moment, expressions=[again])
    has_time = any(code in text for code in ("%H", "%I", "%-H", "%-I", "%M", "%S", "%f", "%p"))
    has_date = any(code in text for code in ("%Y", "%y", "%m", "%-m", "%d", "%-d", "%b", "%B", "%j"))
    if not has_time:
        return Typed(cast(moment, "date"), DATE)
    if not has_date:
        return Typed(call("mysql_time_of", moment), TIME)
    return Typed(moment, SqlType(Base.DATETIME, 6 if "%f" in text else 0))
