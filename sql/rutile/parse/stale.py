"""`... FROM t AS OF TIMESTAMP expression`: read here, for sqlglot knows no such clause."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import not_supported
from rutile.parse.lexer import Token
from rutile.parse.tree import parse_expression

_WORDS = ["as", "of", "timestamp"]
_ENDS = frozenset({
    ",", ")", ";", "where", "group", "having", "order", "limit", "join", "inner", "cross", "left", "right", "natural",
    "straight_join", "on", "using", "as", "for", "union", "intersect", "except", "window",
})  # fmt: skip
"""What may follow the clause."""


def take_as_of(sql: str, tokens: list[Token]) -> tuple[str, exp.Expr | None]:
    """The text with its clauses blanked out, every token where it was, and the one moment they name.

    Raises 1064 for an expression that is none, 1235 for clauses with different moments.
    """
    moments: dict[str, exp.Expr] = {}
    for at in range(len(tokens) - 3):
        if [token.word for token in tokens[at : at + 3]] != _WORDS:
            continue
        end = _end(tokens, at + 3)
        text = sql[tokens[at + 3].start : tokens[end - 1].end]
        moments[text] = parse_expression(text)
        first, last = tokens[at].start, tokens[end - 1].end
        sql = sql[:first] + " " * (last - first) + sql[last:]
    if len(moments) > 1:
        raise not_supported("AS OF TIMESTAMP with different moments in one statement")
    return sql, next(iter(moments.values()), None)


def _end(tokens: list[Token], start: int) -> int:
    """The token after the expression that begins at `start`."""
    depth, at = 0, start
    while at < len(tokens) and not (depth == 0 and at > start and tokens[at].word in _ENDS):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        at += 1
    return at
