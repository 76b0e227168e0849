"""BEGIN, COMMIT, ROLLBACK and savepoints."""

from __future__ import annotations

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.lexer import tokens
from rutile.parse.stale import take_as_of
from rutile.parse.token_cursor import TokenCursor


def parse_begin(cursor: TokenCursor) -> st.Statement:
    """BEGIN."""
    cursor.take()
    pessimistic = None
    if cursor.at("pessimistic", "optimistic"):
        pessimistic = cursor.take().word == "pessimistic"
    cursor.accept("work")
    cursor.expect_end()
    return st.Begin(pessimistic=pessimistic)


def parse_start(cursor: TokenCursor) -> st.Statement:
    """START TRANSACTION."""
    cursor.take()
    cursor.expect("transaction")
    text, as_of = take_as_of(cursor.sql, cursor.tokens)
    if as_of is not None:
        cursor = TokenCursor(text, tokens(text)[2:])
    read_only = False
    while not cursor.at_end():
        if cursor.accept_words("read", "only"):
            read_only = True
        elif not (cursor.accept_words("read", "write") or cursor.accept_words("with", "consistent", "snapshot")):
            raise cursor.error()
        cursor.accept(",")
    if as_of is not None and not read_only:
        raise not_supported("START TRANSACTION AS OF TIMESTAMP without READ ONLY")
    return st.Begin(read_only, as_of=as_of)


def parse_commit(cursor: TokenCursor) -> st.Statement:
    """COMMIT."""
    cursor.take()
    _transaction_end(cursor)
    return st.Commit()


def parse_rollback(cursor: TokenCursor) -> st.Statement:
    """ROLLBACK [TO savepoint]."""
    cursor.take()
    cursor.accept("work")
    if cursor.accept("to"):
        cursor.accept("savepoint")
        return st.Rollback(cursor.name())
    _transaction_end(cursor)
    return st.Rollback()


def _transaction_end(cursor: TokenCursor) -> None:
    cursor.accept("work")
    if cursor.at("and", "release") and not cursor.accept_words("and", "no", "chain"):
        raise not_supported("COMMIT AND CHAIN, RELEASE")
    cursor.expect_end()


def parse_savepoint(cursor: TokenCursor) -> st.Statement:
    """SAVEPOINT."""
    cursor.take()
    return st.Savepoint(cursor.name())


def parse_release(cursor: TokenCursor) -> st.Statement:
    """RELEASE SAVEPOINT."""
    cursor.take()
    cursor.expect("savepoint")
    return st.ReleaseSavepoint(cursor.name())
