"""Functions that look at their arguments: at how many there are, at their types, at literals among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.translate import aggregates, dates, documents, intervals, moments, texts
from rutile.translate.build import Typed, as_integer, as_value, call, cast, refuse
from rutile.translate.sql_types import INT, TEXT, TUPLE

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

Special = Callable[["Translator", "list[exp.Expr]"], Typed]


def _visited(translator: Translator, name: str, arguments: list[exp.Expr], least: int, most: int) -> list[Typed]:
    if not least <= len(arguments) <= most:
        raise refuse(f"{name}() with {len(arguments)} arguments")
    return [translator.visit(argument) for argument in arguments]


def _mid(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    value, start, *rest = _visited(translator, "MID", arguments, 2, 3)
    return texts.substring_of(value, start, rest[0] if rest else None)


def _space(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    (count,) = _visited(translator, "SPACE", arguments, 1, 1)
    return Typed(call("mysql_repeat", " ", as_integer(count)), TEXT)


def _row(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    items = [as_value(item).node for item in _visited(translator, "ROW", arguments, 1, len(arguments))]
    return Typed(exp.Tuple(expressions=items), TUPLE)


def _in_base(radix: int) -> Special:
    def translate(translator: Translator, arguments: list[exp.Expr]) -> Typed:
        (value,) = _visited(translator, "BIN", arguments, 1, 1)
        return Typed(call("mysql_base", call("mysql_bits", as_integer(value)), radix), TEXT)

    return translate


def _unix_timestamp(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    if not arguments:
        return dates.unix_timestamp(moments.current_moment(translator))
    (value,) = _visited(translator, "UNIX_TIMESTAMP", arguments, 1, 1)
    return dates.unix_timestamp(value)


def _bit_count(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    (value,) = _visited(translator, "BIT_COUNT", arguments, 1, 1)
    return Typed(cast(call("bit_count", call("mysql_bits", as_integer(value))), "bigint"), INT)


def _date_shift(back: bool) -> Special:
    def translate(translator: Translator, arguments: list[exp.Expr]) -> Typed:
        if len(arguments) != 2:
            raise refuse(f"ADDDATE() with {len(arguments)} arguments")
        return intervals.shifted_by_days(translator, translator.visit(arguments[0]), arguments[1], back)

    return translate


def _time_shift(back: bool) -> Special:
    def translate(translator: Translator, arguments: list[exp.Expr]) -> Typed:
        left, right = _visited(translator, "ADDTIME", arguments, 2, 2)
        return intervals.add_time(left, right, back)

    return translate


def _timediff(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    left, right = _visited(translator, "TIMEDIFF", arguments, 2, 2)
    return dates.time_between(left, right)


def _yearweek(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    date, *mode = _visited(translator, "YEARWEEK", arguments, 1, 2)
    return dates.yearweek(date, mode[0] if mode else None)


def _microsecond(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    (value,) = _visited(translator, "MICROSECOND", arguments, 1, 1)
    return dates.microsecond(value)


_FORMATS = {
    "date": {"USA": "%m.%d.%Y", "JIS": "%Y-%m-%d", "ISO": "%Y-%m-%d", "EUR": "%d.%m.%Y", "INTERNAL": "%Y%m%d"},
    "datetime": {
        "USA": "%Y-%m-%d %H.%i.%s", "JIS": "%Y-%m-%d %H:%i:%s", "ISO": "%Y-%m-%d %H:%i:%s",
        "EUR": "%Y-%m-%d %H.%i.%s", "INTERNAL": "%Y%m%d%H%i%s",
    },
    "time": {"USA": "%h:%i:%s %p", "JIS": "%H:%i:%s", "ISO": "%H:%i:%s", "EUR": "%H.%i.%s", "INTERNAL": "%H%i%s"},
}  # fmt: skip


def _get_format(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    kind, name = (argument.name for argument in arguments)
    found = _FORMATS.get(kind.lower().replace("timestamp", "datetime"), {}).get(name.upper())
    return Typed(exp.Null() if found is None else exp.Literal.string(found), TEXT)


def _charset(name: str, of_text: str) -> Special:
    def translate(translator: Translator, arguments: list[exp.Expr]) -> Typed:
        (value,) = _visited(translator, name, arguments, 1, 1)
        return Typed(exp.Literal.string(of_text if value.type.is_text else "binary"), TEXT)

    return translate


def _name_const(translator: Translator, arguments: list[exp.Expr]) -> Typed:
    return _visited(translator, "NAME_CONST", arguments, 2, 2)[1]


SPECIAL: dict[str, Special] = {
    "mid": _mid, "space": _space, "row": _row, "field": texts.field, "bin": _in_base(2), "oct": _in_base(8),
    "unix_timestamp": _unix_timestamp, "bit_count": _bit_count, "adddate": _date_shift(False),
    "subdate": _date_shift(True), "addtime": _time_shift(False), "subtime": _time_shift(True), "timediff": _timediff,
    "yearweek": _yearweek, "microsecond": _microsecond, "get_format": _get_format, "name_const": _name_const,
    "charset": _charset("CHARSET", "utf8mb4"), "collation": _charset("COLLATION", "utf8mb4_bin"),
    "json_arrayagg": documents.array_aggregate, "approx_percentile": aggregates.percentile,
}  # fmt: skip
