"""FLASHBACK and RECOVER."""

from __future__ import annotations

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.token_cursor import TokenCursor


def parse_flashback(cursor: TokenCursor) -> st.Statement:
    """FLASHBACK TABLE t [TO u], FLASHBACK DATABASE d [TO e]."""
    cursor.take()
    if cursor.accept("database", "schema"):
        name = cursor.name()
        return st.RecoverDatabase(name, _new_name(cursor))
    if not cursor.accept("table"):
        raise not_supported(f"FLASHBACK {cursor.peek_text().upper()}")
    table = cursor.table_name()
    if cursor.at(","):
        raise not_supported("FLASHBACK TABLE of several tables")
    return st.RecoverTable(table, new_name=_new_name(cursor))


def parse_recover(cursor: TokenCursor) -> st.Statement:
    """RECOVER TABLE t, RECOVER TABLE BY JOB n."""
    cursor.take()
    cursor.expect("table")
    if cursor.accept_words("by", "job"):
        number = cursor.take()
        if not number.text.isdigit():
            raise cursor.error()
        cursor.expect_end()
        return st.RecoverTable(None, int(number.text))
    table = cursor.table_name()
    if not cursor.at_end():
        raise not_supported("RECOVER TABLE t n: RECOVER TABLE BY JOB n")
    return st.RecoverTable(table)


def _new_name(cursor: TokenCursor) -> str | None:
    name = cursor.name() if cursor.accept("to") else None
    cursor.expect_end()
    return name
