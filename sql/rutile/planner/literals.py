"""Python values as literals of a MySQL expression, and what a session knows put in their place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from rutile.expressions.compile import UTC, Environment
from rutile.expressions.functions import moment_function, session_function_name
from rutile.expressions.operators import variable_name
from rutile.rows.temporal import format_datetime, format_time


def literal_node(value: object) -> exp.Expr:
    """The expression that has this value."""
    match value:
        case None:
            return exp.null()
        case bool() | int() | Decimal():
            number = int(value) if isinstance(value, bool) else value
            node = exp.Literal.number(format(abs(number), "f") if isinstance(number, Decimal) else abs(number))
            return exp.Neg(this=node) if number < 0 else node
        case float():
            return _cast(repr(value), "DOUBLE")
        case str():
            return exp.Literal.string(value)
        case bytes() | bytearray() | memoryview():
            return exp.HexString(this=bytes(value).hex())
        case datetime():
            return _cast(format_datetime(value.replace(tzinfo=None)), "DATETIME(6)")
        case date():
            return _cast(value.isoformat(), "DATE")
        case timedelta():
            return _cast(format_time(value), "TIME(6)")
    if hasattr(value, "item"):  # numpy scalars
        return literal_node(value.item())
    raise TypeError(f"cannot pass a {type(value).__name__} as a parameter")


def _cast(text: str, kind: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), kind, dialect="mysql")


def in_zone(expression: exp.Expr, zone: str) -> exp.Expr:
    """A copy in which UNIX_TIMESTAMP and FROM_UNIXTIME mean the session's time zone, in terms of CONVERT_TZ."""
    copied = exp.Paren(this=expression.copy())
    for node in list(copied.find_all(exp.Anonymous, exp.UnixToTime)):
        if isinstance(node, exp.UnixToTime):
            pattern = node.args.get("format")
            node.set("format", None)
            local: exp.Expr = _converted(node.copy(), UTC, zone)
            node.replace(local if pattern is None else exp.TimeToStr(this=local, format=pattern))
        elif node.name.lower() == "unix_timestamp" and node.expressions:
            node.set("expressions", [_converted(node.expressions[0], zone, UTC)])
    return copied.this  # type: ignore[no-any-return]


def _converted(moment: exp.Expr, source: str, target: str) -> exp.Expr:
    zones = {"source_tz": exp.Literal.string(source), "target_tz": exp.Literal.string(target)}
    return exp.ConvertTimezone(timestamp=moment, **zones)


def bind(expression: exp.Expr, environment: Environment) -> tuple[exp.Expr, bool]:
    """`expression` (a copy) with parameters, variables and the session's and the moment's functions as literals.

    So the text means the same wherever it runs, and every NOW() of a statement is one moment. The second value tells
    whether nothing of the session went in, so that a plan of the same text may be used again.
    """
    reusable = environment.zone == UTC
    if not reusable:
        expression = in_zone(expression, environment.zone)

    def replace(node: exp.Expr) -> exp.Expr:
        nonlocal reusable
        found = _bound_value(node, environment)
        if found is None:
            return node
        reusable = False
        return literal_node(found())

    return expression.transform(replace), reusable


def _bound_value(node: exp.Expr, environment: Environment) -> Callable[[], object] | None:
    if isinstance(node, exp.Placeholder):
        return lambda: environment.params[int(str(node.this)[1:])]
    if isinstance(node, exp.Parameter):
        return lambda: (environment.user_variables or {}).get(node.name.lower())
    session_value = environment.session_value
    if isinstance(node, exp.SessionParameter) and session_value is not None:
        return lambda: session_value(variable_name(node))
    if not isinstance(node, exp.Func):
        return None
    moment = moment_function(node)
    if moment is not None:
        return lambda: moment(environment)
    name = session_function_name(node)
    if name is not None and session_value is not None:
        return lambda: session_value(f"{name}()")
    return None
