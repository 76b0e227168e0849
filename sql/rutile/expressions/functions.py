"""The functions point statements use; each takes evaluated arguments, or the closures where NULL must not stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlglot import exp

from rutile.expressions import semantics
from rutile.expressions.compile import (
    Compiled,
    Environment,
    Evaluate,
    NotCompilable,
    Scope,
    compile_evaluate,
)
from rutile.expressions.scalars import compile_scalar
from rutile.rows.readings import text_of

SESSION_FUNCTIONS = frozenset({
    "database", "schema", "user", "current_user", "session_user", "system_user", "version", "connection_id",
    "last_insert_id", "row_count", "found_rows", "current_role",
})  # fmt: skip
"""Functions of the session: answered by Environment.session_value under their name with `()`."""

_NODE_NAMES: dict[type[exp.Expr], str] = {
    exp.CurrentSchema: "database", exp.CurrentUser: "current_user", exp.CurrentRole: "current_role",
    exp.SessionUser: "session_user", exp.CurrentDatabase: "database", exp.CurrentVersion: "version",
}  # fmt: skip


def session_function_name(node: exp.Expr) -> str | None:
    """The session function `node` calls, if it calls one."""
    if type(node) in _NODE_NAMES:
        return _NODE_NAMES[type(node)]
    if isinstance(node, exp.Anonymous) and node.name.lower() in SESSION_FUNCTIONS and not node.expressions:
        return node.name.lower()
    return None


def moment_function(node: exp.Expr) -> Callable[[Environment], object] | None:
    """NOW(), CURDATE(), CURTIME(), UTC_TIMESTAMP() and their like: what they give for the statement's moment."""
    name = _moment_name(node)
    if name is None:
        return None
    if name == "unix_timestamp":
        return lambda env: int(env.now.replace(tzinfo=UTC).timestamp())
    read, digits = _READ_MOMENT[name.removeprefix("utc_")], _digits(node)
    unit = 10 ** (6 - digits)

    def evaluate(env: Environment) -> object:
        moment = env.now if name.startswith("utc_") else env.local
        return read(moment.replace(microsecond=moment.microsecond // unit * unit))

    return evaluate


_READ_MOMENT: dict[str, Callable[[datetime], object]] = {
    "datetime": lambda moment: moment, "date": lambda moment: moment.date(),
    "time": lambda moment: moment - datetime.combine(moment.date(), time()),
}  # fmt: skip

_MOMENT_NAMES = {
    "now": "datetime", "localtime": "datetime", "localtimestamp": "datetime", "utc_timestamp": "utc_datetime",
    "current_timestamp": "datetime", "sysdate": "datetime", "curdate": "date", "current_date": "date",
    "utc_date": "utc_date", "curtime": "time", "current_time": "time", "utc_time": "utc_time",
}  # fmt: skip
_MOMENT_CLASSES: dict[type[exp.Expr], str] = {
    exp.CurrentTimestamp: "datetime", exp.Localtimestamp: "datetime", exp.Localtime: "datetime",
    exp.UtcTimestamp: "utc_datetime", exp.CurrentDate: "date", exp.UtcDate: "utc_date", exp.CurrentTime: "time",
    exp.UtcTime: "utc_time",
}  # fmt: skip


def _moment_name(node: exp.Expr) -> str | None:
    """What it gives: "datetime", "date" or "time", with "utc_" before it where it is not the session's."""
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        return name if name == "unix_timestamp" and not node.expressions else _MOMENT_NAMES.get(name)
    return _MOMENT_CLASSES.get(type(node))


def _digits(node: exp.Expr) -> int:
    argument = node.expressions[0] if isinstance(node, exp.Anonymous) and node.expressions else node.this
    return int(argument.name) if isinstance(argument, exp.Literal) and argument.name.isdigit() else 0


def compile_function(node: exp.Expr, scope: Scope) -> Compiled:
    """The closure for a function call. Raises NotCompilable for what is not in the tables below."""
    moment = moment_function(node)
    if moment is not None:
        return Compiled(lambda row, env: moment(env))
    session_name = session_function_name(node)
    if session_name is not None:
        return _session_call(session_name)
    special = _SPECIAL.get(type(node))
    if special is not None:
        return Compiled(special(node, scope))
    strict = _STRICT.get(type(node))
    if strict is None:
        return compile_scalar(node, scope)
    return Compiled(_null_in_null_out(strict, [compile_evaluate(argument, scope) for argument in _arguments(node)]))


def _session_call(name: str) -> Compiled:
    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        if env.session_value is None:
            raise NotCompilable(name)
        return env.session_value(f"{name}()")

    return Compiled(evaluate)


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    found = [node.args.get(key) for key in ("this", "expression", "decimals")]
    arguments = [argument for argument in found if isinstance(argument, exp.Expr)]
    known = {"this", "expression", "expressions", "decimals", "safe", "coalesce", "binary"}
    if any(value for key, value in node.args.items() if key not in known):
        raise NotCompilable(type(node).__name__)
    return arguments + list(node.expressions)


def _null_in_null_out(function: Callable[..., Any], arguments: list[Evaluate]) -> Evaluate:
    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        values = [argument(row, env) for argument in arguments]
        return None if None in values else function(*values)

    return evaluate


# --- functions that give NULL for any NULL argument -------------------------------------------------------------------


def _concat(*values: object) -> str:
    return "".join(map(text_of, values))


def _byte_length(value: object) -> int:
    return len(value) if isinstance(value, bytes) else len(text_of(value).encode())


def _absolute(value: object) -> Any:
    exact = semantics.number(value)
    return semantics.checked(-exact if exact < 0 else exact, False, f"abs({value})")


def _round(value: object, digits: object = 0) -> Any:
    exact, places = semantics.number(value), int(semantics.number(digits))
    if isinstance(exact, float):
        return round(exact, places)
    rounded = Decimal(exact).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return int(rounded) if isinstance(exact, int) or places <= 0 else rounded


_STRICT: dict[type[exp.Expr], Callable[..., Any]] = {
    exp.Concat: _concat, exp.Abs: _absolute, exp.Round: _round,
    exp.Lower: lambda value: text_of(value).lower(), exp.Upper: lambda value: text_of(value).upper(),
}  # fmt: skip


# --- functions with their own idea of NULL ----------------------------------------------------------------------------


def _length(node: exp.Expr, scope: Scope) -> Evaluate:
    measure = _byte_length if node.args.get("binary") else lambda value: len(text_of(value))
    return _null_in_null_out(measure, [compile_evaluate(node.this, scope)])


def _coalesce(node: exp.Expr, scope: Scope) -> Evaluate:
    choices = [compile_evaluate(choice, scope) for choice in (node.this, *node.expressions)]

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        for choice in choices:
            value = choice(row, env)
            if value is not None:
                return value
        return None

    return evaluate


def _if(node: exp.Expr, scope: Scope) -> Evaluate:
    condition, then = compile_evaluate(node.this, scope), compile_evaluate(node.args["true"], scope)
    otherwise = _optional(node.args.get("false"), scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        return then(row, env) if semantics.truth(condition(row, env)) else otherwise(row, env)

    return evaluate


def _case(node: exp.Expr, scope: Scope) -> Evaluate:
    subject = node.args.get("this")
    branches = []
    for branch in node.args["ifs"]:
        condition = exp.EQ(this=subject.copy(), expression=branch.this.copy()) if subject else branch.this
        branches.append((compile_evaluate(condition, scope), compile_evaluate(branch.args["true"], scope)))
    default = _optional(node.args.get("default"), scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        for condition, value in branches:
            if semantics.truth(condition(row, env)):
                return value(row, env)
        return default(row, env)

    return evaluate


def _nullif(node: exp.Expr, scope: Scope) -> Evaluate:
    left, right = compile_evaluate(node.this, scope), compile_evaluate(node.expression, scope)

    def evaluate(row: Sequence[Any], env: Environment) -> Any:
        a, b = left(row, env), right(row, env)
        return None if a is not None and b is not None and semantics.compare(a, b) == 0 else a

    return evaluate


def _optional(node: exp.Expr | None, scope: Scope) -> Evaluate:
    return compile_evaluate(node, scope) if node is not None else lambda row, env: None


_SPECIAL: dict[type[exp.Expr], Callable[[exp.Expr, Scope], Evaluate]] = {
    exp.Length: _length, exp.Coalesce: _coalesce, exp.If: _if, exp.Case: _case, exp.Nullif: _nullif,
}  # fmt: skip
