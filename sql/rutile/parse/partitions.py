"""Partitions, which Rutile's tables have none of: every form is refused by its name, none is read over."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.errors import SqlError, not_supported
from rutile.parse.lexer import Token

ER_PARTITION_CLAUSE_ON_NONPARTITIONED = 1747


def refuse_partitioned(tokens: Sequence[Token]) -> None:
    """1235 for CREATE TABLE ... PARTITION BY."""
    for at, token in enumerate(tokens[:-1]):
        if token.word == "partition" and tokens[at + 1].word == "by":
            kind = " ".join(each.text.upper() for each in tokens[at : at + 4] if each.text != "(")
            raise not_supported(f"CREATE TABLE ... {kind}")


def refuse_chosen(tokens: Sequence[Token]) -> None:
    """1747 for `t PARTITION (p)` in a query or data change."""
    for at, token in enumerate(tokens[:-1]):
        if token.word == "partition" and token.kind == "word" and tokens[at + 1].text == "(":
            message = "PARTITION () clause on non partitioned table"
            raise SqlError(ER_PARTITION_CLAUSE_ON_NONPARTITIONED, message)
