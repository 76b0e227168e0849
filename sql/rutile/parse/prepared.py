"""PREPARE, EXECUTE and DEALLOCATE PREPARE as statements."""

from __future__ import annotations

from rutile.parse import statements as st
from rutile.parse.lexer import unquote_name
from rutile.parse.token_cursor import TokenCursor


def parse_prepare(cursor: TokenCursor) -> st.Statement:
    """PREPARE name FROM 'text' or FROM @variable."""
    cursor.take()
    name = cursor.name().lower()
    cursor.expect("from")
    following = cursor.peek()
    if following is not None and following.kind == "variable":
        statement = st.Prepare(name, variable=_variable(cursor))
    else:
        statement = st.Prepare(name, sql=cursor.string())
    cursor.expect_end()
    return statement


def parse_execute(cursor: TokenCursor) -> st.Statement:
    """EXECUTE name [USING @a, @b]."""
    cursor.take()
    name = cursor.name().lower()
    values = []
    if cursor.accept("using"):
        values.append(_variable(cursor))
        while cursor.accept(","):
            values.append(_variable(cursor))
    cursor.expect_end()
    return st.ExecutePrepared(name, tuple(values))


def parse_deallocate(cursor: TokenCursor) -> st.Statement:
    """DEALLOCATE PREPARE name."""
    cursor.take()
    cursor.expect("prepare")
    name = cursor.name().lower()
    cursor.expect_end()
    return st.Deallocate(name)


def _variable(cursor: TokenCursor) -> str:
    """The name of a user variable. Raises 1064."""
    token = cursor.peek()
    if token is None or token.kind != "variable" or token.text.startswith("@@"):
        raise cursor.error()
    return unquote_name(cursor.take().text[1:]).lower()
