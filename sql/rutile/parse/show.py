"""SHOW, in the forms Rutile answers; every other form is 1235."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.imports import parse_show_import
from rutile.parse.regions import parse_show_regions
from rutile.parse.statistics import SHOWN
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_expression
from rutile.privileges.parse import parse_show_create_user, parse_show_grants

_PLAIN = {
    "databases": "databases", "schemas": "databases", "warnings": "warnings", "errors": "errors",
    "engines": "engines", "collation": "collation", "charset": "charset", "processlist": "processlist",
    "variables": "variables", "status": "status", "plugins": "plugins", "privileges": "privileges",
    "profiles": "profiles", "profile": "profile",
}  # fmt: skip
_SEVERAL_WORDS = {
    "function status": "routines", "procedure status": "routines", "storage engines": "engines",
    "open tables": "open tables", "master status": "binlog status", "binary log status": "binlog status",
    "slave status": "nothing", "replica status": "nothing", "master logs": "binlogs", "binary logs": "binlogs",
    "engine innodb status": "engine status", "events": "events", "triggers": "triggers",
    "slave hosts": "nothing", "replicas": "nothing",
}  # fmt: skip
_KEYWORD_COLUMNS = frozenset({"charset", "database", "table", "key", "default", "collation", "function", "trigger"})
"""Columns of SHOW that sqlglot does not take for names."""
_OF_TABLE = {"columns": "columns", "fields": "columns", "index": "index", "indexes": "index", "keys": "index"}


def parse_show(cursor: TokenCursor) -> st.Statement:
    """SHOW ... as `statements.Show`."""
    cursor.take()
    if cursor.accept("global"):
        word = cursor.expect("variables", "status").word
        return replace(_ending(cursor, word), is_global=True)
    cursor.accept("session", "local", "extended")
    full = cursor.accept("full")
    if cursor.accept("create"):
        return _show_create(cursor)
    if cursor.accept_words("character", "set"):
        return _ending(cursor, "charset")
    for words, what in _SEVERAL_WORDS.items():
        if cursor.accept_words(*words.split()):
            return _listing(cursor, what)
    if cursor.accept_words("table", "status"):
        return _ending(cursor, "table status", database=_from_database(cursor))
    if cursor.accept("table"):
        return parse_show_regions(cursor)
    if cursor.accept("tables"):
        return _ending(cursor, "tables", database=_from_database(cursor), full=full)
    if cursor.accept_words("analyze", "status"):
        return _ending(cursor, "analyze status")
    if cursor.accept("import"):
        return parse_show_import(cursor)
    if cursor.accept_words("count", "(", "*", ")"):
        return _ending(cursor, {"warnings": "warning count", "errors": "error count"}[_counted(cursor)])
    word = cursor.take().word
    if word == "grants":
        return parse_show_grants(cursor)
    if word in _OF_TABLE:
        return _show_of_table(cursor, _OF_TABLE[word], full)
    if word in SHOWN:
        return _ending(cursor, SHOWN[word])
    if word in _PLAIN:
        return _ending(cursor, _PLAIN[word], full=full)
    raise not_supported(f"SHOW {word.upper()}")


def _counted(cursor: TokenCursor) -> str:
    return cursor.expect("warnings", "errors").word


def _listing(cursor: TokenCursor, what: str) -> st.Show:
    database = _from_database(cursor) if what in ("events", "triggers", "open tables") else None
    return _ending(cursor, what, database=database)


def _show_create(cursor: TokenCursor) -> st.Statement:
    if cursor.accept("database", "schema"):
        cursor.accept_words("if", "not", "exists")
        return _ending(cursor, "create database", database=cursor.name())
    if cursor.accept("user"):
        return parse_show_create_user(cursor)
    if cursor.accept("view"):
        return _ending(cursor, "create view", table=cursor.table_name())
    if cursor.accept("sequence"):
        return _ending(cursor, "create sequence", table=cursor.table_name())
    if not cursor.accept("table"):
        raise not_supported(f"SHOW CREATE {cursor.peek_text().upper()}")
    return _ending(cursor, "create table", table=cursor.table_name())


def _show_of_table(cursor: TokenCursor, what: str, full: bool) -> st.Statement:
    cursor.expect("from", "in")
    table = cursor.table_name()
    database = _from_database(cursor)
    if database is not None:
        table = st.TableName(table.name, database)
    return _ending(cursor, what, table=table, full=full)


def _from_database(cursor: TokenCursor) -> str | None:
    return cursor.name() if cursor.accept("from", "in") else None


def _ending(
    cursor: TokenCursor,
    what: str,
    table: st.TableName | None = None,
    database: str | None = None,
    full: bool = False,
) -> st.Show:
    pattern = None
    if cursor.accept("like"):
        pattern = cursor.string()
    elif cursor.accept("where"):
        return st.Show(what, table, database, None, full, where=_condition(cursor))
    window = _window(cursor) if what in ("warnings", "errors") else (0, None)
    cursor.expect_end()
    return st.Show(what, table, database, pattern, full, window)


def _condition(cursor: TokenCursor) -> exp.Expr:
    """The rest, a condition on the columns of the result."""
    text, start = cursor.rest(), len(cursor.sql[: cursor.tokens[-1].end]) - len(cursor.rest())
    while not cursor.at_end():
        token = cursor.take()
        if token.word in _KEYWORD_COLUMNS:
            at = token.start - start
            text = f"{text[:at]}`{token.text}`{text[at + len(token.text) :]}"
            start -= 2
    return parse_expression(text)


def _window(cursor: TokenCursor) -> tuple[int, int | None]:
    """LIMIT [offset,] count | LIMIT count OFFSET offset."""
    if not cursor.accept("limit"):
        return 0, None
    first = _count(cursor)
    if cursor.accept(","):
        return first, _count(cursor)
    return (_count(cursor), first) if cursor.accept("offset") else (0, first)


def _count(cursor: TokenCursor) -> int:
    token = cursor.take()
    if not token.text.isdigit():
        raise cursor.error()
    return int(token.text)
