"""INTERVALs: dates and times moved by so many units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import (
    Typed,
    as_date,
    as_datetime,
    as_integer,
    as_number,
    as_time,
    as_value,
    call,
    cast,
    literal_moment,
    number,
    paren,
    refuse,
    when,
)
from rutile.translate.sql_types import DATE, DATETIME, INT, Base, SqlType

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

DATE_UNITS = {"DAY": ("to_days", 1), "WEEK": ("to_days", 7), "MONTH": ("to_months", 1), "QUARTER": ("to_months", 3),
              "YEAR": ("to_months", 12)}  # fmt: skip
CLOCK_UNITS = {"HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000, "MICROSECOND": 1}
COMPOSITE_UNITS = {
    "YEAR_MONTH": ("YEAR", "MONTH"), "DAY_HOUR": ("DAY", "HOUR"), "DAY_MINUTE": ("DAY", "HOUR", "MINUTE"),
    "DAY_SECOND": ("DAY", "HOUR", "MINUTE", "SECOND"), "HOUR_MINUTE": ("HOUR", "MINUTE"),
    "HOUR_SECOND": ("HOUR", "MINUTE", "SECOND"), "MINUTE_SECOND": ("MINUTE", "SECOND"),
}  # fmt: skip


def interval_function(translator: Translator, node: exp.Expr) -> Typed:
    """INTERVAL(n, a, b, ...): how many of the ascending a, b, ... are at most n; -1 for NULL."""
    if node.args.get("unit") is not None or not isinstance(node.this, exp.Tuple):
        raise refuse(f"an INTERVAL that is not added to a date: {mysql_text(node)}")
    value, *steps = [as_number(translator.visit(item)).node for item in node.this.expressions]
    ifs = [when(exp.Is(this=paren(value.copy()), expression=exp.Null()), number(-1))]
    for place, step in enumerate(steps):
        ifs.append(when(exp.LT(this=paren(value.copy()), expression=paren(step)), number(place)))
    return Typed(exp.Case(ifs=ifs, default=number(len(steps))), INT)


def shift_operator(translator: Translator, node: exp.Expr) -> Typed:
    """date + INTERVAL n unit, and the other orders."""
    interval, date = node.args["expression"], node.this
    if isinstance(date, exp.Interval):
        interval, date = date, interval
    from_interval = interval is node.this and isinstance(node, exp.Sub)
    if from_interval or not isinstance(interval, exp.Interval) or interval.args.get("unit") is None:
        raise refuse(mysql_text(node))
    return shifted(
        translator, translator.visit(date), interval.this, interval.args["unit"].name, isinstance(node, exp.Sub)
    )


def shift(translator: Translator, node: exp.Expr) -> Typed:
    """DATE_ADD, DATE_SUB, TIMESTAMPADD."""
    date, unit = translator.visit(node.this), node.args["unit"].name
    return shifted(translator, date, node.args["expression"], unit, isinstance(node, exp.DateSub))


def shifted(translator: Translator, date: Typed, count: exp.Expr, unit: str, back: bool) -> Typed:
    """The date moved by `count` units; a DATE stays one if the unit is a day or longer."""
    unit = unit.upper().removesuffix("S")
    moved, kind = _moved(date, unit)
    length = _length(translator, count, unit)
    built: exp.Expr = (exp.Sub if back else exp.Add)(this=paren(moved), expression=length)
    return Typed(cast(built, "date") if kind == DATE else exp.Paren(this=built), kind)


def _moved(date: Typed, unit: str) -> tuple[exp.Expr, SqlType]:
    """What is moved, and the type of the result."""
    clock = unit in CLOCK_UNITS or (unit in COMPOSITE_UNITS and unit != "YEAR_MONTH")
    if date.type.base is Base.TIME:
        return date.node, date.type
    if date.type.base is Base.DATE:
        return date.node, SqlType(Base.DATETIME) if clock else DATE
    if date.type.base is Base.TEXT and date.literal is not None:
        moment = literal_moment(date)
        is_date = moment is not None and ":" not in date.literal
        return (as_date(date), DATE) if is_date and not clock else (as_datetime(date), DATETIME)
    if date.type.is_text:
        raise refuse("date arithmetic on text that is no literal (CAST it AS DATE or DATETIME)")
    scale = 6 if unit == "MICROSECOND" else date.type.scale
    return as_datetime(date), SqlType(Base.DATETIME, scale)


def _length(translator: Translator, count: exp.Expr, unit: str) -> exp.Expr:
    """DuckDB's INTERVAL of so many units."""
    if unit in COMPOSITE_UNITS:
        return _composite_length(count, unit)
    value = as_number(translator.visit(count))
    if unit in DATE_UNITS:
        name, factor = DATE_UNITS[unit]
        whole = cast(as_integer(value), "integer")
        return call(name, whole if factor == 1 else exp.Mul(this=whole, expression=number(factor)))
    if unit in CLOCK_UNITS:
        amount = value.node if unit == "SECOND" else as_integer(value)
        factor_node = cast(number(CLOCK_UNITS[unit]), "bigint")
        return call(
            "to_microseconds", cast(exp.Paren(this=exp.Mul(this=paren(amount), expression=factor_node)), "bigint")
        )
    raise refuse(f"INTERVAL unit {unit}")


def _composite_length(count: exp.Expr, unit: str) -> exp.Expr:
    """'1:30' MINUTE_SECOND and its like: the last number belongs to the smallest unit."""
    if not isinstance(count, exp.Literal):
        raise refuse(f"INTERVAL {unit} of something other than a literal")
    text = count.name.strip()
    sign = -1 if text.startswith("-") else 1
    digits = "".join(letter if letter.isdigit() else " " for letter in text).split()
    units = COMPOSITE_UNITS[unit]
    if not digits or len(digits) > len(units):
        raise refuse(f"INTERVAL {text} {unit}")
    pieces = [_fixed_length(name, sign * int(part)) for name, part in zip(units[-len(digits) :], digits, strict=True)]
    total = pieces[0]
    for piece in pieces[1:]:
        total = exp.Add(this=total, expression=piece)
    return exp.Paren(this=total)


def _fixed_length(unit: str, count: int) -> exp.Expr:
    if unit in DATE_UNITS:
        name, factor = DATE_UNITS[unit]
        return call(name, cast(number(count * factor), "integer"))
    return call("to_microseconds", cast(number(count * CLOCK_UNITS[unit]), "bigint"))


def shifted_by_days(translator: Translator, date: Typed, count: exp.Expr, back: bool) -> Typed:
    """ADDDATE and SUBDATE with a number of days, or an INTERVAL."""
    if isinstance(count, exp.Interval):
        return shifted(translator, date, count.this, count.args["unit"].name, back)
    return shifted(translator, date, count, "DAY", back)


def add_time(left: Typed, right: Typed, back: bool) -> Typed:
    """ADDTIME and SUBTIME to a time or a moment."""
    kind = exp.Sub if back else exp.Add
    is_moment = left.type.is_moment or literal_moment(left) is not None
    base = as_datetime(left) if is_moment else as_time(left)
    result = SqlType(Base.DATETIME if is_moment else Base.TIME, max(left.type.scale, right.type.scale))
    return Typed(exp.Paren(this=kind(this=base, expression=as_time(as_value(right)))), result)
