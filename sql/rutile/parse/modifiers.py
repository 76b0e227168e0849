"""The words between a data change's verb and its table: IGNORE, and priorities, which mean nothing to this storage.

sqlglot reads IGNORE after INSERT alone, and takes the other words for table names.
"""

from __future__ import annotations

from rutile.parse.lexer import Token

_PRIORITIES = frozenset({"low_priority", "high_priority", "delayed", "quick"})
"""InnoDB and TiDB accept and ignore them too."""


def take_modifiers(sql: str, tokens: list[Token]) -> tuple[str, bool]:
    """The text with such words blanked out, every token where it was; and whether UPDATE or DELETE had IGNORE."""
    verb = tokens[0].word
    ignores = False
    for token in tokens[1:4]:
        is_ignore = token.word == "ignore" and verb in ("update", "delete")
        if token.kind != "word" or not (is_ignore or token.word in _PRIORITIES or token.word == "ignore"):
            break
        ignores |= is_ignore
        if is_ignore or token.word in _PRIORITIES:
            sql = sql[: token.start] + " " * (token.end - token.start) + sql[token.end :]
    return sql, ignores


def without_national(sql: str, tokens: list[Token]) -> tuple[str, list[Token]]:
    """The text and tokens of a definition without NATIONAL before CHAR or VARCHAR: every text is UTF-8."""
    kept = []
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.word == "national" and after is not None and after.word in ("char", "character", "varchar"):
            sql = sql[: token.start] + " " * (token.end - token.start) + sql[token.end :]
        else:
            kept.append(token)
    return sql, kept
