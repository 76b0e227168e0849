"""Calls of functions: arguments read as the function's line in the table says, modifiers looked at or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile.errors import SqlError, unknown_function
from rutile.parse.mysql_text import mysql_text
from rutile.translate import moments
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
    as_value,
    call,
    refuse,
)
from rutile.translate.function_table import CLASS_NAMES, FUNCTIONS, REFUSED, Function
from rutile.translate.special_functions import SPECIAL

if TYPE_CHECKING:
    from rutile.translate.translator import Translator

_READERS: dict[str, Callable[[Typed], exp.Expr]] = {
    "t": as_plain_text, "n": lambda item: as_number(item).node, "d": as_double, "i": as_integer, "D": as_datetime,
    "a": as_date, "T": as_time, "b": as_binary, "x": lambda item: as_value(item).node, "J": as_json,
}  # fmt: skip

_HARMLESS_FLAGS = frozenset({"safe"})
"""What sqlglot notes about how a dialect behaves."""

_MOMENTS = {
    "now": moments.current_moment, "sysdate": moments.current_moment, "localtime": moments.current_moment,
    "localtimestamp": moments.current_moment, "curtime": moments.current_time,
}  # fmt: skip


def translate_function(translator: Translator, node: exp.Expr) -> Typed:
    """A function without a rule of its own. Raises SqlError 1235 or 1305, naming it."""
    name, arguments = name_and_arguments(node)
    special = SPECIAL.get(name)
    if special is not None:
        return special(translator, arguments)
    if name in _MOMENTS:
        digits = int(arguments[0].name) if arguments and isinstance(arguments[0], exp.Literal) else 0
        return _MOMENTS[name](translator, digits)
    function = FUNCTIONS.get(name)
    if function is None:
        raise _unknown(name, node)
    return _apply(translator, name, function, arguments)


def _unknown(name: str, node: exp.Expr) -> SqlError:
    known = name in REFUSED or not isinstance(node, exp.Anonymous)
    shown = node.sql_name() if known and isinstance(node, exp.Func) and name not in REFUSED else name
    return refuse(f"{shown.upper()}()") if known else unknown_function(name)


def name_and_arguments(node: exp.Expr) -> tuple[str, list[exp.Expr]]:
    """The MySQL name in lower case and the arguments, in order. Raises 1235 for a modifier."""
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return node.name.lower(), node.expressions
    arguments: list[exp.Expr] = []
    for part in node.arg_types:
        value = node.args.get(part)
        if value is True and part not in _HARMLESS_FLAGS:
            raise refuse(f"{part} of {node.key.upper()}: {mysql_text(node)[:80]}")
        arguments += value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []
    return CLASS_NAMES.get(type(node), node.key), arguments


def _apply(translator: Translator, name: str, function: Function, arguments: list[exp.Expr]) -> Typed:
    if name == "atan" and len(arguments) == 2:
        function = FUNCTIONS["atan2"]
    letters = argument_letters(function, len(arguments))
    if letters is None:
        raise refuse(f"{name.upper()}() with {len(arguments)} arguments")
    values = [translator.visit(argument) for argument in arguments]
    read = [_READERS[letter](value) for letter, value in zip(letters, values, strict=True)]
    return Typed(call(function.duckdb, *read), function.result)


def argument_letters(function: Function, count: int) -> str | None:
    """A letter for each of `count` arguments; None if the function does not take so many."""
    needed, _, optional = function.arguments.partition("?")
    if not function.arguments.endswith("*"):
        letters = needed + optional
        return letters[:count] if len(needed) <= count <= len(letters) else None
    fixed, repeated = _repetition(function.arguments)
    rest = count - len(fixed)
    if rest < 0 or rest % len(repeated):
        return None
    return fixed + repeated * (rest // len(repeated))


def _repetition(arguments: str) -> tuple[str, str]:
    """("t", "tJ") of "t(tJ)*", ("", "J") of "J*"."""
    plain = arguments.replace("?", "").removesuffix("*")
    if plain.endswith(")"):
        fixed, _, repeated = plain[:-1].partition("(")
        return fixed, repeated
    return plain[:-1], plain[-1]
