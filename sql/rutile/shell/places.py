"""Where in a statement an error is, as far as its message tells."""

from __future__ import annotations

import re

from rutile.errors import ER_BAD_FIELD, ER_NO_SUCH_TABLE, ER_PARSE, ER_SP_DOES_NOT_EXIST, SqlError
from rutile.parse.lexer import Token, tokens, unquote_name
from rutile.pep249 import DatabaseError

_NEAR = re.compile(r"near '(.*)'\s*(?:at line \d+)?$", re.DOTALL)
_NAME = {
    ER_BAD_FIELD: re.compile(r"column '([^']+)'"),
    ER_NO_SUCH_TABLE: re.compile(r"[Tt]able '([^']+)'"),
    ER_SP_DOES_NOT_EXIST: re.compile(r"FUNCTION (\S+)"),
}
_MAX_LINE_CHARACTERS = 100


def pointed(error: Exception, sql: str) -> str:
    """The line of `sql` where `error` is, with a mark under it; empty when the error names no place."""
    place = _place(error, sql)
    if place is None:
        return ""
    start, length = place
    line_start = sql.rfind("\n", 0, start) + 1
    line = sql[line_start:].partition("\n")[0]
    column = start - line_start
    if len(line) > _MAX_LINE_CHARACTERS:  # a window around the place
        cut = max(0, column - _MAX_LINE_CHARACTERS // 2)
        line, column = line[cut : cut + _MAX_LINE_CHARACTERS], column - cut
    mark = "^" * max(1, min(length, len(line) - column))
    number = sql.count("\n", 0, start) + 1
    head = f"line {number}: " if "\n" in sql.strip() else ""
    return f"  {head}{line}\n  {' ' * (len(head) + column)}{mark}\n"


def _place(error: Exception, sql: str) -> tuple[int, int] | None:
    """(offset, length) in `sql`."""
    if not isinstance(error, DatabaseError):
        return None
    if error.code == ER_PARSE:
        near = _NEAR.search(error.message)
        return _of_text(near[1], sql) if near and near[1] else None
    pattern = _NAME.get(error.code)
    found = pattern.search(error.message) if pattern else None
    return _of_name(found[1], sql) if found else None


def _of_text(text: str, sql: str) -> tuple[int, int] | None:
    """The parser names the rest of the statement, or the one token before it: the last place is the likeliest."""
    at = sql.rfind(text)
    if at < 0:
        return None
    first = next(iter(re.findall(r"\w+|\S", text)), text)
    return at, len(first)


def _of_name(name: str, sql: str) -> tuple[int, int] | None:
    last = name.rpartition(".")[2].lower()
    try:
        found = tokens(sql)
    except SqlError:
        return None
    at = next((token for token in found if _is_named(token, last)), None)
    return (at.start, at.end - at.start) if at is not None else None


def _is_named(token: Token, name: str) -> bool:
    return token.kind in ("word", "name") and unquote_name(token.text).lower() == name
