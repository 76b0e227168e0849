"""SET: assignments of session, global and user variables, and the forms that only look like it."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import SqlError, not_supported, syntax_error
from rutile.parse import statements as st
from rutile.parse.lexer import Token, unquote_name
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_expression
from rutile.privileges.parse import parse_set_default_role, parse_set_password, parse_set_role

_PREFIXES: dict[str, st.VariableScope] = {"global.": "global", "session.": "session", "local.": "session"}
_ISOLATION_LEVELS = ("repeatable read", "read committed", "serializable", "read uncommitted")


def parse_set(cursor: TokenCursor) -> st.Statement:
    """SET name = value, ...; SET NAMES; SET CHARACTER SET; SET TRANSACTION ISOLATION LEVEL."""
    cursor.take()
    if cursor.at("password"):
        return parse_set_password(cursor)
    if cursor.at("role"):
        return parse_set_role(cursor)
    if cursor.at("default"):
        return parse_set_default_role(cursor)
    if cursor.at("resource"):
        raise not_supported(f"SET {cursor.peek_text().upper()}")
    assignments = []
    while True:
        assignments.extend(_assignment(cursor))
        if not cursor.accept(","):
            break
    cursor.expect_end()
    return st.SetVariables(tuple(assignments))


def _character_set(cursor: TokenCursor) -> list[st.Assignment]:
    """NAMES c [COLLATE d]: how the client writes and what it wants to read; DEFAULT is the cluster's."""
    name = _name(cursor)
    changed = ["character_set_client", "character_set_connection", "character_set_results"]
    assignments = [_session(variable, name) for variable in changed]
    return [*assignments, _session("collation_connection", _name(cursor))] if cursor.accept("collate") else assignments


def _name(cursor: TokenCursor) -> str:
    return unquote_name(cursor.take().text).strip("'\"").lower()


def _session(name: str, value: str) -> st.Assignment:
    return st.Assignment("session", name, exp.Literal.string(value))


def _assignment(cursor: TokenCursor) -> list[st.Assignment]:
    if cursor.accept("names", "charset") or cursor.accept_words("character", "set"):
        return _character_set(cursor)
    scope: st.VariableScope = "global" if cursor.accept("global") else "session"
    if scope == "session":
        cursor.accept("session", "local")
    if cursor.accept("transaction"):
        return _transaction_characteristics(cursor, scope)
    if cursor.at("persist", "persist_only"):
        raise _not_persist(cursor)
    token = cursor.take()
    if token.text.startswith("@@"):
        scope, name = _system_name(token, scope)
    elif token.text.startswith("@"):
        scope, name = "user", unquote_name(token.text[1:]).lower()
    else:
        name = unquote_name(token.text).lower()
    cursor.expect("=", ":=")
    return [st.Assignment(scope, name, _value(cursor))]


def _not_persist(cursor: TokenCursor) -> SqlError:
    """As TiDB, whose grammar has no PERSIST: SET GLOBAL is kept there, and here."""
    return syntax_error(cursor.rest(), "SET GLOBAL is kept by the cluster; there is no SET PERSIST")


def _system_name(token: Token, scope: st.VariableScope) -> tuple[st.VariableScope, str]:
    name = token.text[2:].lower()
    for prefix, meaning in _PREFIXES.items():
        if name.startswith(prefix):
            return meaning, unquote_name(name.removeprefix(prefix))
    return scope, unquote_name(name)


def _transaction_characteristics(cursor: TokenCursor, scope: st.VariableScope) -> list[st.Assignment]:
    if cursor.accept_words("read", "write"):
        return [st.Assignment(scope, "transaction_read_only", exp.Literal.number(0))]
    if cursor.accept_words("read", "only"):
        return [st.Assignment(scope, "transaction_read_only", exp.Literal.number(1))]
    cursor.expect("isolation")
    cursor.expect("level")
    level = " ".join(token.word for token in cursor.take_until_comma())
    if level not in _ISOLATION_LEVELS:
        raise cursor.error()
    value = exp.Literal.string(level.replace(" ", "-").upper())
    return [st.Assignment(scope, "transaction_isolation", value)]


def _value(cursor: TokenCursor) -> exp.Expr:
    """A single word stands for itself (ON, utf8mb4, DEFAULT); anything else is an expression."""
    taken = cursor.take_until_comma()
    if len(taken) == 1 and taken[0].kind in ("word", "name") and taken[0].word not in ("null", "true", "false"):
        return exp.Literal.string(unquote_name(taken[0].text))
    return parse_expression(cursor.sql[taken[0].start : taken[-1].end])
