"""Partitioning expressions: integers, one or more columns, arithmetic, and a few functions of dates.

They are read here rather than by sqlglot because their text is kept and shown (TiDB's SHOW CREATE TABLE writes
YEAR(`d`)), and because only what is listed here is allowed in them: what does not depend on the moment, on chance or on
a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from rutile.errors import SqlError
from rutile.parse.lexer import tokens
from rutile.parse.partition_clause import Term
from rutile.parse.token_cursor import TokenCursor
from rutile.rows.readings import datetime_of

ER_FUNCTION_NOT_ALLOWED = 1564
ER_BAD_EXPRESSION = 1486


def read_term(text: str) -> Term:
    """The expression. Raises 1064, 1564."""
    cursor = TokenCursor(text, tokens(text))
    found = read_term_at(cursor)
    cursor.expect_end()
    return found


def read_term_at(cursor: TokenCursor) -> Term:
    """The expression that begins here. Raises 1064, 1564."""
    found = _product(cursor)
    while cursor.at("+", "-"):
        operator = cursor.take().text
        found = Term("operator", operator, (found, _product(cursor)))
    return found


def _product(cursor: TokenCursor) -> Term:
    found = _primary(cursor)
    while cursor.at("*", "%", "div", "mod", "/"):
        operator = cursor.take().word
        if operator == "/":
            raise _not_allowed()
        found = Term("operator", operator, (found, _primary(cursor)))
    return found


def _primary(cursor: TokenCursor) -> Term:
    token = cursor.peek()
    if cursor.accept("("):
        inner = read_term_at(cursor)
        cursor.expect(")")
        return inner
    if cursor.accept("-"):
        inner = _primary(cursor)
        return Term("number", -int(inner.value)) if inner.kind == "number" else Term("negative", "-", (inner,))
    if token is not None and token.kind == "number":
        if not token.text.isdigit():
            raise _not_allowed()
        return Term("number", int(cursor.take().text))
    if token is not None and token.kind == "string":
        return Term("text", cursor.string())
    name = cursor.name()
    if not cursor.accept("("):
        return Term("column", name)
    arguments = [] if cursor.at(")") else [read_term_at(cursor)]
    while cursor.accept(","):
        arguments.append(read_term_at(cursor))
    cursor.expect(")")
    return _call(_ALIASES.get(name.upper(), name.upper()), tuple(arguments))


def _call(name: str, arguments: tuple[Term, ...]) -> Term:
    if name == "MOD" and len(arguments) == 2:
        return Term("call", name, arguments)
    if name not in _FUNCTIONS:
        raise _not_allowed()
    if len(arguments) != 1:
        raise SqlError(ER_BAD_EXPRESSION, _TIMEZONE_DEPENDENT)
    if name == "UNIX_TIMESTAMP" and arguments[0].kind == "text":
        raise SqlError(ER_BAD_EXPRESSION, f"{_TIMEZONE_DEPENDENT}: give the number of UNIX_TIMESTAMP")
    return Term("call", name, arguments)


_TIMEZONE_DEPENDENT = "Constant, random or timezone-dependent expressions in (sub)partitioning function are not allowed"


def _not_allowed() -> SqlError:
    return SqlError(ER_FUNCTION_NOT_ALLOWED, "This partition function is not allowed")


# --- values -----------------------------------------------------------------------------------------------------------

Compute = Callable[[Sequence[object]], int | None]
"""An integer, or NULL, of a row."""


def compute(term: Term, places: Mapping[str, int]) -> Compute:
    """The function of a row whose columns (by name in lower case) are at `places`."""
    return lambda row: _whole(_value(term, row, places))


def constant(term: Term) -> int | None:
    """The value of an expression without columns. Raises 1486."""
    if next(term.columns(), None) is not None:
        raise SqlError(ER_BAD_EXPRESSION, "Expression in RANGE/LIST VALUES must be constant")
    return _whole(_value(term, (), {}))


def _whole(value: object) -> int | None:
    if value is not None and not isinstance(value, int):
        raise SqlError(ER_BAD_EXPRESSION, "VALUES must have type INT")
    return value


def _value(term: Term, row: Sequence[object], places: Mapping[str, int]) -> object:
    if term.kind == "column":
        return row[places[str(term.value).lower()]]
    if term.kind in ("number", "text"):
        return term.value
    parts = [_value(part, row, places) for part in term.parts]
    if None in parts:
        return None
    if term.kind == "negative":
        return -_integer(parts[0])
    if term.kind == "operator" or term.value == "MOD":
        return _arithmetic(str(term.value).lower(), _integer(parts[0]), _integer(parts[1]))
    return _FUNCTIONS[str(term.value)](parts[0])


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise SqlError(ER_BAD_EXPRESSION, "The PARTITION function returns the wrong type")
    return value


def _arithmetic(operator: str, left: int, right: int) -> int | None:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right == 0:
        return None
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return quotient if operator == "div" else left - right * quotient


def _moment(value: object) -> datetime:
    found = datetime_of(value) if isinstance(value, str) else value
    if isinstance(found, datetime):
        return found
    if isinstance(found, date):
        return datetime.combine(found, datetime.min.time())
    raise SqlError(ER_BAD_EXPRESSION, "The PARTITION function returns the wrong type")


_DAY_ZERO = 365
"""TO_DAYS counts from year 0."""


def _days(value: object) -> int:
    return _moment(value).toordinal() + _DAY_ZERO


def _seconds(value: object) -> int:
    moment = _moment(value)
    return _days(moment) * 86_400 + moment.hour * 3_600 + moment.minute * 60 + moment.second


def _unix(value: object) -> int:
    return max(0, int(_moment(value).replace(tzinfo=UTC, microsecond=0).timestamp()))


_FUNCTIONS: dict[str, Callable[[object], int]] = {
    "YEAR": lambda value: _moment(value).year,
    "TO_DAYS": _days,
    "TO_SECONDS": _seconds,
    "UNIX_TIMESTAMP": _unix,
    "QUARTER": lambda value: (_moment(value).month + 2) // 3,
    "MONTH": lambda value: _moment(value).month,
    "DAY": lambda value: _moment(value).day,
    "DAYOFWEEK": lambda value: _moment(value).isoweekday() % 7 + 1,
    "DAYOFYEAR": lambda value: _moment(value).timetuple().tm_yday,
    "WEEKDAY": lambda value: _moment(value).weekday(),
    "HOUR": lambda value: _moment(value).hour,
    "MINUTE": lambda value: _moment(value).minute,
    "SECOND": lambda value: _moment(value).second,
    "ABS": lambda value: abs(_integer(value)),
}
_ALIASES = {"DAYOFMONTH": "DAY"}
OF_DATES = frozenset(_FUNCTIONS) - {"ABS"}
"""The functions that need a date, not an integer."""
