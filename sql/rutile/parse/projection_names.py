"""What a result column without an alias is called: the text of its expression, as the user wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from rutile.parse.lexer import Token
from rutile.parse.mysql_text import mysql_text

_BY_TEXT = "rutile_text"
_NUMBERED = re.compile(r":p\d+\b")
_MODIFIERS = ("distinct", "all", "straight_join", "sql_no_cache", "sql_calc_found_rows", "distinctrow")
_ENDS = ("from", "where", "limit", "order", "union", "intersect", "except", "for", "into", "group", "having", ";")


def name_projections(query: exp.Expr, sql: str, tokens: Sequence[Token]) -> None:
    """Give each unnamed expression of the outermost SELECT its text as an alias."""
    if not isinstance(query, exp.Query) or tokens[0].word != "select":
        return
    items = list(query.selects)
    texts = list(_texts(sql, tokens))
    for at, item in enumerate(items):
        if item.alias or isinstance(item, exp.Column) or item.is_star:
            continue
        exact = texts[at] if len(texts) == len(items) else mysql_text(item)
        name = str(item.this) if isinstance(item, exp.Literal) and item.is_string else _NUMBERED.sub("?", exact)
        alias = exp.alias_(item.copy(), name, quoted=True)
        alias.meta[_BY_TEXT] = True
        item.replace(alias)


def is_named_by_text(item: exp.Expr) -> bool:
    """Whether the name was made here."""
    return bool(item.meta.get(_BY_TEXT))


def expression_name(item: exp.Expr) -> str:
    """The same where there is no text left: the expression written out again."""
    return str(item.this) if isinstance(item, exp.Literal) and item.is_string else mysql_text(item)


def _texts(sql: str, tokens: Sequence[Token]) -> Iterator[str]:
    """The texts between the commas of the select list."""
    at = 1
    while at < len(tokens) and tokens[at].word in _MODIFIERS:
        at += 1
    first, depth = at, 0
    while at < len(tokens):
        token = tokens[at]
        if depth == 0 and (token.text == "," or token.word in _ENDS):
            if at > first:
                yield sql[tokens[first].start : tokens[at - 1].end]
            first = at + 1
            if token.text != ",":
                return
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        at += 1
    if at > first:
        yield sql[tokens[first].start : tokens[at - 1].end]
