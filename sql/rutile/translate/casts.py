"""CAST, CONVERT and typed literals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.parse.mysql_text import mysql_text
from rutile.translate.build import (
    Typed,
    as_binary,
    as_date,
    as_datetime,
    as_double,
    as_integer,
    as_json,
    as_number,
    as_plain_text,
    as_time,
    call,
    cast,
    number,
    refuse,
    when,
)
from rutile.translate.sql_types import (
    BINARY,
    DATE,
    DOUBLE,
    INT,
    JSON,
    MAX_PRECISION,
    TEXT,
    UNSIGNED,
    Base,
    SqlType,
    decimal,
)

if TYPE_CHECKING:
    from rutile.translate.translator import Translator


def cast_to(translator: Translator, node: exp.Expr) -> Typed:
    """CAST(x AS type): text gives what it begins with, as in MySQL, never an error."""
    return convert(translator.visit(node.this), node.args["to"])


def convert(value: Typed, target: exp.DataType) -> Typed:
    """The value in another type. Raises 1235 for types there are no casts to."""
    found = _CASTS.get(target.this)
    if found is None:
        raise refuse(f"CAST to {mysql_text(target)}")
    if value.type.enumeration is not None and found in _TO_NUMBERS:
        value = as_number(value)
    return found(value, target)


def _size(target: exp.DataType, place: int = 0) -> int | None:
    parameters = target.expressions
    return int(parameters[place].name) if len(parameters) > place else None


def _to_signed(value: Typed, target: exp.DataType) -> Typed:
    if value.type.is_text:
        return Typed(call("mysql_integer", as_plain_text(value)), INT)
    whole = as_integer(value)
    if value.type.base is Base.INT and value.type.unsigned:
        whole = call("mysql_signed", whole)
    return Typed(cast(whole, "bigint"), INT)


def _to_unsigned(value: Typed, target: exp.DataType) -> Typed:
    return Typed(
        call("mysql_bits", _to_signed(value, target).node if value.type.is_text else as_integer(value)), UNSIGNED
    )


def _to_text(value: Typed, target: exp.DataType) -> Typed:
    text, size = as_plain_text(value), _size(target)
    return Typed(text if size is None else call("left", text, number(size)), TEXT)


def _to_binary(value: Typed, target: exp.DataType) -> Typed:
    if _size(target) is not None:
        raise refuse(f"CAST to {mysql_text(target)}")
    return Typed(as_binary(value), BINARY)


def _to_decimal(value: Typed, target: exp.DataType) -> Typed:
    precision, scale = _size(target) or 10, _size(target, 1) or 0
    if precision > MAX_PRECISION:
        raise refuse(f"DECIMAL({precision}): precision over {MAX_PRECISION}")
    exact = _decimal_text(value) if value.type.is_text else as_number(value).node
    return Typed(cast(exact, f"decimal({precision}, {scale})"), decimal(scale))


def _decimal_text(value: Typed) -> exp.Expr:
    """The number a text begins with, still as text so that no digit is lost; '0' if there is none."""
    digits = call("regexp_extract", as_plain_text(value), r"^\s*([-+]?(?:\d+\.?\d*|\.\d+))", number(1))
    empty = exp.EQ(this=digits, expression=exp.Literal.string(""))
    return exp.Case(ifs=[when(empty, exp.Literal.string("0"))], default=digits.copy())


def _to_double(value: Typed, target: exp.DataType) -> Typed:
    return Typed(as_double(value), DOUBLE)


def _to_float(value: Typed, target: exp.DataType) -> Typed:
    return Typed(cast(as_double(value), "float"), DOUBLE)


def _to_date(value: Typed, target: exp.DataType) -> Typed:
    return Typed(as_date(value), DATE)


def _to_datetime(value: Typed, target: exp.DataType) -> Typed:
    digits = _size(target) or 0
    if target.this is exp.DataType.Type.TIMESTAMPTZ:  # TIMESTAMP '...' has the digits it is written with
        digits = len(value.node.name.partition(".")[2]) if value.is_text_literal else 6
    return Typed(_rounded(as_datetime(value), digits, value), SqlType(Base.DATETIME, digits))


def _rounded(moment: exp.Expr, digits: int, value: Typed) -> exp.Expr:
    """To so many digits of a second, half up, where the value may have more."""
    if digits == 6 or value.type.base is Base.DATE or (value.type.base is Base.DATETIME and value.type.scale <= digits):
        return moment
    if isinstance(moment, exp.Cast) and isinstance(moment.this, exp.Literal) and "." not in moment.this.name:
        return moment
    step = 10 ** (6 - digits)
    half = call("to_microseconds", number(step // 2))
    later = exp.Paren(this=exp.Add(this=moment, expression=half))
    steps = exp.Mul(this=exp.IntDiv(this=call("epoch_us", later), expression=number(step)), expression=number(step))
    return call("make_timestamp", steps)


def _to_time(value: Typed, target: exp.DataType) -> Typed:
    return Typed(as_time(value), SqlType(Base.TIME, _size(target) or 0))


def _to_json(value: Typed, target: exp.DataType) -> Typed:
    return Typed(call("mysql_json", as_plain_text(value)) if value.type.base is Base.TEXT else as_json(value), JSON)


def _to_year(value: Typed, target: exp.DataType) -> Typed:
    if value.type.is_moment:
        return Typed(call("year", value.node), INT)
    return Typed(as_integer(value), INT)


_T = exp.DataType.Type
_CASTS: dict[exp.DType, Callable[[Typed, exp.DataType], Typed]] = {
    _T.BIGINT: _to_signed, _T.INT: _to_signed, _T.UBIGINT: _to_unsigned, _T.CHAR: _to_text, _T.NCHAR: _to_text,
    _T.VARCHAR: _to_text, _T.TEXT: _to_text, _T.CHARACTER_SET: _to_text, _T.BINARY: _to_binary,
    _T.VARBINARY: _to_binary, _T.DECIMAL: _to_decimal, _T.DOUBLE: _to_double, _T.FLOAT: _to_float,
    _T.DATE: _to_date, _T.DATETIME: _to_datetime, _T.TIMESTAMP: _to_datetime, _T.TIMESTAMPTZ: _to_datetime,
    _T.TIME: _to_time, _T.JSON: _to_json, _T.YEAR: _to_year,
}  # fmt: skip
_TO_NUMBERS = (_to_signed, _to_unsigned, _to_decimal, _to_double, _to_float, _to_year)
