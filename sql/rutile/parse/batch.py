"""BATCH [ON column] LIMIT n [DRY RUN [QUERY]] and the data change it splits."""

from __future__ import annotations

from collections.abc import Callable

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.token_cursor import TokenCursor


def parse_batch(cursor: TokenCursor, inner: Callable[[str], st.Statement]) -> st.Statement:
    """`inner` parses the data change. Raises 1064, 1235 for what is none."""
    cursor.take()
    column = None
    if cursor.accept("on"):
        column = cursor.name()
        while cursor.accept("."):
            column = cursor.name()
    cursor.expect("limit")
    count = cursor.take()
    if not count.text.isdigit() or int(count.text) == 0:
        raise cursor.error()
    dry_run: st.DryRun = "no"
    if cursor.accept_words("dry", "run"):
        dry_run = "query" if cursor.accept("query") else "statements"
    statement = inner(cursor.rest())
    if not isinstance(statement, st.Insert | st.Update | st.Delete):
        raise not_supported("BATCH of what is no INSERT, REPLACE, UPDATE or DELETE")
    return st.Batch(statement, int(count.text), column, dry_run)
