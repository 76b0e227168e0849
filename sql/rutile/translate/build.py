"""Small pieces of DuckDB trees, and conversions of translated expressions from one type to another."""

from __future__ import annotations

import re
from datetime import datetime

from sqlglot import exp

from rutile.errors import SqlError, not_supported
from rutile.expressions.semantics import leading_number
from rutile.parse.mysql_text import mysql_text
from rutile.rows.readings import datetime_of, time_of
from rutile.translate.sql_types import DOUBLE, INT, UNSIGNED, Base, SqlType
from rutile_coprocessor.column_types import ColumnType, Kind


class Typed:
    """A translated expression and its type."""

    __slots__ = ("node", "type")

    def __init__(self, node: exp.Expr, kind: SqlType) -> None:
        self.node = node
        self.type = kind

    @property
    def literal(self) -> str | None:
        """The text of a literal; None if it is something else."""
        return self.node.name if isinstance(self.node, exp.Literal) else None

    @property
    def is_text_literal(self) -> bool:
        return isinstance(self.node, exp.Literal) and self.node.is_string


def call(name: str, *arguments: exp.Expr | str | int) -> exp.Anonymous:
    """A call of a DuckDB function or macro; strings and ints among the arguments become literals."""
    return exp.Anonymous(this=name, expressions=[_literal(argument) for argument in arguments])


def _literal(value: exp.Expr | str | int) -> exp.Expr:
    if isinstance(value, str):
        return exp.Literal.string(value)
    return number(value) if isinstance(value, int) else value


def number(value: int) -> exp.Expr:
    return exp.Literal.number(value) if value >= 0 else exp.Neg(this=exp.Literal.number(-value))


def cast(node: exp.Expr, name: str) -> exp.Cast:
    """CAST to a type in DuckDB's words."""
    return exp.Cast(this=node, to=exp.DataType.build(name, dialect="duckdb"))


def paren(node: exp.Expr) -> exp.Expr:
    """The node so that it may stand as an operand."""
    return exp.Paren(this=node) if isinstance(node, exp.Binary | exp.Unary | exp.Between | exp.In) else node


def when(condition: exp.Expr, value: exp.Expr) -> exp.If:
    return exp.If(this=condition, true=value)


def refuse(what: str) -> SqlError:
    """Error 1235 for what would mean something else in DuckDB."""
    return not_supported(what)


# --- conversions ------------------------------------------------------------------------------------------------------


def as_value(item: Typed) -> Typed:
    """A truth value as 1 or 0; everything else unchanged."""
    if item.type.base is not Base.BOOL:
        return item
    if isinstance(item.node, exp.Boolean):
        return Typed(number(int(item.node.this)), INT)
    return Typed(cast(item.node, "bigint"), INT)


def as_condition(item: Typed) -> exp.Expr:
    """Something true, false or NULL: numbers other than 0 are true, and text that begins with one."""
    base = item.type.base
    if base in (Base.BOOL, Base.UNKNOWN, Base.NULL):
        return item.node
    if base in (Base.INT, Base.DECIMAL, Base.DOUBLE) or item.type.is_text:
        return exp.NEQ(this=paren(as_number(item).node), expression=number(0))
    raise refuse(f"{mysql_text(item.node)} as a condition")


def as_number(item: Typed) -> Typed:
    """For arithmetic: text as the DOUBLE it begins with."""
    item = as_value(item)
    if item.type.enumeration is not None:
        return Typed(enumeration_number(item.node, item.type.enumeration), UNSIGNED)
    if item.type.is_text:
        if item.is_text_literal:
            return _number_of_text(item.node.name)
        return Typed(call("mysql_number", as_plain_text(item)), DOUBLE)
    if item.type.is_number or item.type.base in (Base.NULL, Base.UNKNOWN):
        return item
    if item.type.base is Base.BINARY and isinstance(item.node, exp.Anonymous) and item.node.name == "unhex":
        return _number_of_hex(item.node.expressions[0].name)
    raise refuse(f"{item.type.base.name} {mysql_text(item.node)} as a number (its parts are functions: YEAR, ...)")


def enumeration_number(text: exp.Expr, kind: ColumnType) -> exp.Expr:
    """The number an ENUM or SET is stored as, and ordered by; NULL for NULL."""
    if kind.kind is Kind.ENUM:
        places = [when(exp.Literal.string(member), number(place)) for place, member in enumerate(kind.members, 1)]
        return cast(exp.Case(this=text.copy(), ifs=places), "ubigint")
    delimited = exp.DPipe(
        this=exp.DPipe(this=exp.Literal.string(","), expression=text), expression=exp.Literal.string(",")
    )
    mask: exp.Expr = number(0)
    for place, member in enumerate(kind.members):
        found = exp.GT(this=call("instr", delimited.copy(), f",{member},"), expression=number(0))
        bit = exp.Case(ifs=[when(found, number(1 << place))], default=number(0))
        mask = exp.Add(this=mask, expression=bit)
    known = exp.Not(this=exp.Is(this=text.copy(), expression=exp.Null()))
    return exp.Case(ifs=[when(known, cast(exp.Paren(this=mask), "ubigint"))])


def _number_of_text(text: str) -> Typed:
    value = leading_number(text)
    literal: exp.Expr = exp.Literal.number(repr(abs(value)))
    return Typed(cast(exp.Neg(this=literal) if value < 0 else literal, "double"), DOUBLE)


def _number_of_hex(digits: str) -> Typed:
    """x'0A' where a number is wanted: 64 bits without sign."""
    value = int(digits or "0", 16)
    if value >= 1 << 64:
        raise refuse("hexadecimal literals over 64 bits as numbers")
    return Typed(number(value), UNSIGNED)


def as_double(item: Typed) -> exp.Expr:
    item = as_number(item)
    return item.node if item.type.base is Base.DOUBLE else cast(item.node, "double")


def as_integer(item: Typed) -> exp.Expr:
    """A BIGINT (BIGINT UNSIGNED if it is one): fractions are rounded, half away from zero."""
    item = as_number(item)
    if item.type.base is Base.INT:
        return item.node
    if item.type.base in (Base.NULL, Base.UNKNOWN):
        return cast(item.node, "bigint")
    return cast(call("round", item.node), "bigint")


def as_plain_text(item: Typed) -> exp.Expr:
    """What MySQL shows for the value."""
    item = as_value(item)
    base = item.type.base
    if base is Base.TEXT:
        return item.node
    if base is Base.DOUBLE:
        return call("mysql_double_text", item.node)
    if base is Base.BINARY:
        return call("decode", item.node)
    if base is Base.DATETIME and item.type.scale:
        return call("strftime", item.node, "%Y-%m-%d %H:%M:%S.%f")
    if base is Base.DATETIME:
        return call("strftime", item.node, "%Y-%m-%d %H:%M:%S")
    return cast(item.node, "varchar")


_CLOCK = re.compile(r"\s*-?\d{1,3}:\d{1,2}(:\d{1,2}(\.\d*)?)?\s*")


def literal_moment(item: Typed) -> datetime | None:
    """The date or moment a text literal spells; None for a time of day, and for anything else."""
    if not item.is_text_literal or _CLOCK.fullmatch(item.node.name):
        return None
    return datetime_of(item.node.name)


def as_datetime(item: Typed) -> exp.Expr:
    """A TIMESTAMP; NULL for text that is none."""
    base = item.type.base
    if base in (Base.DATETIME, Base.UNKNOWN):
        return item.node
    if base in (Base.DATE, Base.NULL):
        return cast(item.node, "timestamp")
    if item.is_text_literal:
        return _moment_literal(item.node.name, "timestamp")
    if item.type.is_text:
        return call("mysql_datetime", item.node)
    if base is Base.INT:
        return call("mysql_datetime", cast(item.node, "varchar"))
    raise refuse(f"{base.name} {mysql_text(item.node)} as a date")


def as_date(item: Typed) -> exp.Expr:
    """A DATE; NULL for text that is none."""
    if item.type.base is Base.DATE:
        return item.node
    if item.is_text_literal:
        return _moment_literal(item.node.name, "date")
    return cast(as_datetime(item), "date")


def _moment_literal(text: str, name: str) -> exp.Expr:
    moment = datetime_of(text)
    if moment is None:
        return cast(exp.Null(), name)
    shown = moment.date().isoformat() if name == "date" else moment.isoformat(sep=" ")
    return cast(exp.Literal.string(shown), name)


def as_time(item: Typed) -> exp.Expr:
    """An INTERVAL, which is how TIME is held."""
    base = item.type.base
    if base in (Base.TIME, Base.UNKNOWN):
        return item.node
    if item.type.is_text:
        return _time_literal(item.node.name) if item.is_text_literal else call("mysql_time", item.node)
    if item.type.is_moment:
        return call("mysql_time_of", as_datetime(item))
    if base is Base.NULL:
        return cast(item.node, "interval")
    raise refuse(f"{base.name} {mysql_text(item.node)} as a time")


def _time_literal(text: str) -> exp.Expr:
    length = time_of(text)
    if length is None:
        return cast(exp.Null(), "interval")
    total = round(length.total_seconds() * 1_000_000)
    seconds, fraction = divmod(abs(total), 1_000_000)
    sign = "-" if total < 0 else ""
    shown = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
    return cast(exp.Literal.string(shown), "interval")


def as_binary(item: Typed) -> exp.Expr:
    """Bytes: of text, its UTF-8."""
    if item.type.base in (Base.BINARY, Base.UNKNOWN):
        return item.node
    return call("encode", as_plain_text(item))


def as_json(item: Typed) -> exp.Expr:
    """The value as JSON text, NULL for NULL: text becomes a JSON string."""
    base = item.type.base
    if base is Base.JSON:
        return item.node
    if base in (Base.TEXT, Base.UNKNOWN):
        return call("mysql_json_quote", cast(item.node, "varchar") if base is Base.UNKNOWN else item.node)
    if base is Base.DOUBLE:
        return call("replace", cast(item.node, "varchar"), "e+", "e")
    if base is Base.DATE:
        return call("mysql_json_quote", cast(item.node, "varchar"))
    if base is Base.DATETIME:
        return call("mysql_json_quote", call("strftime", item.node, "%Y-%m-%d %H:%M:%S.%f"))
    if base is Base.TIME:
        return call("mysql_json_quote", call("mysql_time_format", item.node, "%H:%i:%s.%f"))
    if base is Base.BINARY:
        raise refuse("bytes in JSON (CONVERT them USING utf8mb4)")
    return cast(item.node, "varchar")


def as_type(item: Typed, wanted: SqlType) -> exp.Expr:
    """A branch of CASE and the like in the type they have in common."""
    base = wanted.base
    if item.type == wanted or item.type.base in (base, Base.NULL) or base is Base.UNKNOWN:
        return item.node
    if base is Base.INT or base is Base.DECIMAL:
        return as_value(item).node
    convert = {
        Base.DOUBLE: as_double, Base.TEXT: as_plain_text, Base.BINARY: as_binary, Base.DATETIME: as_datetime,
        Base.DATE: as_date, Base.TIME: as_time,
    }  # fmt: skip
    return convert[base](item)
