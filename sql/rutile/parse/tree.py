"""sqlglot, with its errors as MySQL's."""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from rutile.errors import SqlError, syntax_error

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about each construct it passes on as a Command


def parse_expression(sql: str) -> exp.Expr:
    """An expression by itself, such as a column's stored default. Raises 1064."""
    query = parse_tree(f"SELECT {sql}")
    return query.expressions[0]  # type: ignore[no-any-return]


def parse_tree(sql: str, dialect: str = "mysql") -> exp.Expr:
    """The tree of one statement. Raises 1064."""
    try:
        return sqlglot.parse_one(sql, read=dialect)
    except (SqlglotError, TypeError) as error:  # its compiled classes raise TypeError for some malformed input
        raise _syntax_error_of(error, sql) from error
    except RecursionError as error:
        raise syntax_error(sql, "the expression is nested too deeply") from error


def _syntax_error_of(error: Exception, sql: str) -> SqlError:
    facts = (getattr(error, "errors", None) or [{}])[0]
    near = f"{facts.get('highlight') or ''}{facts.get('end_context') or ''}" or sql
    description = str(facts.get("description") or "cannot be read").split(" but got <")[0]
    return syntax_error(near, description.rstrip(".").lower())
