"""Functions by their MySQL names: what their arguments are read as, and what has the same meaning in DuckDB.

Arguments:  t text   n number   d double   i integer   D datetime   a date   T time   b bytes   x anything
            a letter followed by * takes all arguments from there on; ? may be left out
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.errors import unknown_function
from rutile.translate import dates, intervals, moments, texts
from rutile.translate.build import (
    Typed,
    as_binary,
    as_date,
    as_datetime,
    as_double,
    as_integer,
    as_number,
    as_plain_text,
    as_time,
    as_value,
    call,
    cast,
    refuse,
)
from rutile.translate.sql_types import BINARY, BOOL, DATE, DOUBLE, INT, JSON, TEXT, TIME, TUPLE, SqlType

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

_READERS: dict[str, Callable[[Typed], exp.Expr]] = {
    "t": as_plain_text, "n": lambda item: as_number(item).node, "d": as_double, "i": as_integer, "D": as_datetime,
    "a": as_date, "T": as_time, "b": as_binary, "x": lambda item: as_value(item).node,
}  # fmt: skip


@dataclass(frozen=True)
class Function:
    """One function: `arguments` in the letters of the module, DuckDB's name, the result's type."""

    arguments: str
    duckdb: str
    result: SqlType


FUNCTIONS: dict[str, Function] = {
    # numbers
    "sqrt": Function("d", "mysql_sqrt", DOUBLE), "exp": Function("d", "mysql_exp", DOUBLE),
    "ln": Function("d", "mysql_ln", DOUBLE), "pow": Function("dd", "mysql_pow", DOUBLE),
    "power": Function("dd", "mysql_pow", DOUBLE), "sign": Function("n", "sign", INT), "pi": Function("", "pi", DOUBLE),
    "sin": Function("d", "sin", DOUBLE), "cos": Function("d", "cos", DOUBLE), "tan": Function("d", "tan", DOUBLE),
    "cot": Function("d", "cot", DOUBLE), "asin": Function("d", "mysql_asin", DOUBLE),
    "acos": Function("d", "mysql_acos", DOUBLE), "atan": Function("d", "atan", DOUBLE),
    "atan2": Function("dd", "atan2", DOUBLE), "degrees": Function("d", "degrees", DOUBLE),
    "radians": Function("d", "radians", DOUBLE), "bit_count": Function("i", "bit_count", INT),
    # texts
    "upper": Function("t", "upper", TEXT), "ucase": Function("t", "upper", TEXT), "lower": Function("t", "lower", TEXT),
    "lcase": Function("t", "lower", TEXT), "reverse": Function("t", "reverse", TEXT),
    "repeat": Function("ti", "mysql_repeat", TEXT), "replace": Function("ttt", "replace", TEXT),
    "left": Function("ti", "mysql_left", TEXT), "right": Function("ti", "mysql_right", TEXT),
    "substring_index": Function("tti", "mysql_substring_index", TEXT), "strcmp": Function("tt", "mysql_strcmp", INT),
    "find_in_set": Function("tt", "mysql_find_in_set", INT), "ascii": Function("t", "mysql_ascii", INT),
    "ord": Function("t", "mysql_ord", INT), "insert": Function("tiit", "mysql_insert", TEXT),
    "quote": Function("t", "mysql_quote", TEXT), "md5": Function("t", "md5", TEXT), "sha": Function("t", "sha1", TEXT),
    "sha1": Function("t", "sha1", TEXT), "unhex": Function("t", "mysql_unhex", BINARY),
    "to_base64": Function("b", "mysql_to_base64", TEXT), "bit_length": Function("t", "bit_length", INT),
    "octet_length": Function("b", "octet_length", INT), "inet_aton": Function("t", "mysql_inet_aton", INT),
    "inet_ntoa": Function("i", "mysql_inet_ntoa", TEXT),
    # dates
    "year": Function("a", "year", INT), "quarter": Function("a", "quarter", INT), "month": Function("a", "month", INT),
    "day": Function("a", "day", INT), "dayofmonth": Function("a", "day", INT),
    "dayofyear": Function("a", "dayofyear", INT), "dayofweek": Function("a", "mysql_dayofweek", INT),
    "weekday": Function("a", "mysql_weekday", INT), "weekofyear": Function("a", "weekofyear", INT),
    "dayname": Function("a", "dayname", TEXT), "monthname": Function("a", "monthname", TEXT),
    "last_day": Function("a", "last_day", DATE), "from_days": Function("i", "mysql_from_days", DATE),
    "to_seconds": Function("D", "mysql_to_seconds", INT), "makedate": Function("ii", "mysql_makedate", DATE),
    "sec_to_time": Function("n", "mysql_sec_to_time", TIME), "time_to_sec": Function("T", "mysql_time_to_sec", INT),
    "period_add": Function("ii", "mysql_period_add", INT), "period_diff": Function("ii", "mysql_period_diff", INT),
    # JSON
    "json_valid": Function("t", "json_valid", BOOL), "json_length": Function("t", "mysql_json_length", INT),
    "json_type": Function("t", "mysql_json_type", TEXT), "json_unquote": Function("t", "mysql_json_unquote", TEXT),
    "json_quote": Function("t", "to_json", JSON),
}  # fmt: skip

_NAMES: dict[type[exp.Expr], str] = {
    exp.Sqrt: "sqrt", exp.Exp: "exp", exp.Ln: "ln", exp.Pow: "pow", exp.Sign: "sign", exp.Pi: "pi", exp.Sin: "sin",
    exp.Cos: "cos", exp.Tan: "tan", exp.Cot: "cot", exp.Asin: "asin", exp.Acos: "acos", exp.Atan: "atan",
    exp.Atan2: "atan2", exp.Degrees: "degrees", exp.Radians: "radians", exp.BitwiseCount: "bit_count",
    exp.Upper: "upper", exp.Lower: "lower", exp.Reverse: "reverse", exp.Repeat: "repeat", exp.Replace: "replace",
    exp.Left: "left", exp.Right: "right", exp.SubstringIndex: "substring_index", exp.Ascii: "ascii",
    exp.Stuff: "insert", exp.MD5: "md5", exp.SHA: "sha", exp.Unhex: "unhex", exp.ToBase64: "to_base64",
    exp.BitLength: "bit_length", exp.Year: "year", exp.Quarter: "quarter", exp.Month: "month", exp.Day: "day",
    exp.DayOfMonth: "dayofmonth", exp.DayOfYear: "dayofyear", exp.DayOfWeek: "dayofweek",
    exp.WeekOfYear: "weekofyear", exp.Dayname: "dayname", exp.Monthname: "monthname", exp.LastDay: "last_day",
    exp.JSONType: "json_type", exp.Space: "space", exp.UtcTimestamp: "utc_timestamp", exp.UtcDate: "utc_date",
    exp.UtcTime: "utc_time",
}  # fmt: skip
"""The functions sqlglot has a class for."""

_HARMLESS_FLAGS = frozenset({"safe"})
"""What sqlglot notes about how a dialect behaves."""

_MOMENTS = {
    "now": moments.current_moment, "sysdate": moments.current_moment, "localtime": moments.current_moment,
    "localtimestamp": moments.current_moment, "curtime": moments.current_time,
}  # fmt: skip

_REFUSED = frozenset(
    [
        "rand",
        "uuid",
        "uuid_short",
        "sleep",
        "benchmark",
        "soundex",
        "conv",
        "crc32",
        "compress",
        "uncompress",
        "aes_encrypt",
        "aes_decrypt",
        "get_lock",
        "release_lock",
        "load_file",
        "match",
        "time_format",
        "get_format",
        "make_set",
        "export_set",
        "weight_string",
        "utc_timestamp",
        "utc_date",
        "utc_time",
        "json_set",
        "json_insert",
        "json_replace",
        "json_remove",
        "json_merge",
        "json_merge_patch",
        "json_merge_preserve",
        "json_array_append",
        "json_search",
        "json_contains",
        "json_contains_path",
        "json_keys",
        "json_object",
        "json_array",
        "json_arrayagg",
        "json_objectagg",
        "json_table",
        "json_value",
        "values",
        "from_base64",
        "random_bytes",
        "database",
        "schema",
        "user",
        "current_user",
        "version",
        "connection_id",
        "last_insert_id",
        "row_count",
        "found_rows",
        "charset",
        "collation",
        "coercibility",
        "format_bytes",
        "is_uuid",
        "bin_to_uuid",
        "uuid_to_bin",
        "regexp_like",
        "name_const",
    ]
)
"""MySQL has them and Rutile knows it: error 1235, where 1305 would say that there is no such function."""


def translate_function(translator: Translator, node: exp.Expr) -> Typed:
    """A function without a rule of its own. Raises SqlError 1235 or 1305, naming it."""
    name, arguments = _name_and_arguments(node)
    special = SPECIAL.get(name)
    if special is not None:
        return special(translator, arguments)
    if name in _MOMENTS:
        digits = int(arguments[0].name) if arguments and isinstance(arguments[0], exp.Literal) else 0
        return _MOMENTS[name](translator, digits)
    function = FUNCTIONS.get(name)
    if function is None:
        known = name in _REFUSED or not isinstance(node, exp.Anonymous)
        shown = node.sql_name() if known and isinstance(node, exp.Func) and name not in _REFUSED else name
        raise refuse(f"{shown.upper()}()") if known else unknown_function(name)
    return _apply(translator, name, function, arguments)


def _name_and_arguments(node: exp.Expr) -> tuple[str, list[exp.Expr]]:
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return node.name.lower(), node.expressions
    arguments: list[exp.Expr] = []
    for part in node.arg_types:
        value = node.args.get(part)
        if value is True and part not in _HARMLESS_FLAGS:
            raise refuse(f"{part} of {node.key.upper()}: {node.sql('mysql')[:80]}")
        arguments += value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []
    return _NAMES.get(type(node), node.key), arguments


def _apply(translator: Translator, name: str, function: Function, arguments: list[exp.Expr]) -> Typed:
    if name == "atan" and len(arguments) == 2:
        function = FUNCTIONS["atan2"]
    if len(arguments) != len(function.arguments):
        raise refuse(f"{name.upper()}() with {len(arguments)} arguments")
    values = [translator.visit(argument) for argument in arguments]
    read = [_READERS[letter](value) for letter, value in zip(function.arguments, values, strict=True)]
    return Typed(call(function.duckdb, *read), function.result)


# --- functions that look at their arguments ---------------------------------------------------------------------------

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


SPECIAL: dict[str, Special] = {
    "mid": _mid, "space": _space, "row": _row, "field": texts.field, "bin": _in_base(2), "oct": _in_base(8),
    "unix_timestamp": _unix_timestamp, "bit_count": _bit_count, "adddate": _date_shift(False),
    "subdate": _date_shift(True), "addtime": _time_shift(False), "subtime": _time_shift(True), "timediff": _timediff,
    "yearweek": _yearweek, "microsecond": _microsecond,
}  # fmt: skip
