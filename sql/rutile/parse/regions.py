"""SPLIT TABLE and SHOW TABLE ... REGIONS."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_expression


def parse_split(cursor: TokenCursor) -> st.Statement:
    """SPLIT [REGION FOR] TABLE t [INDEX i] BETWEEN (...) AND (...) REGIONS n, or BY (...), (...)."""
    cursor.take()
    cursor.accept_words("region", "for")
    if cursor.at("partition"):
        raise not_supported("SPLIT PARTITION TABLE")
    cursor.expect("table")
    table = cursor.table_name()
    index = _index(cursor)
    if cursor.expect("between", "by").word == "by":
        return st.SplitTable(table, _listed_values(cursor), index=index)
    lower = _values(cursor)
    cursor.expect("and")
    bounds = lower, _values(cursor)
    cursor.expect("regions")
    number = cursor.take()
    if number.kind != "number" or not number.text.isdigit():
        raise cursor.error()
    cursor.expect_end()
    return st.SplitTable(table, bounds, regions=int(number.text), index=index)


def parse_show_regions(cursor: TokenCursor) -> st.Statement:
    """What follows SHOW TABLE: t [INDEX i] REGIONS."""
    table = cursor.table_name()
    index = _index(cursor)
    cursor.expect("regions")
    if cursor.at("where"):
        raise not_supported("SHOW TABLE ... REGIONS WHERE")
    cursor.expect_end()
    return st.ShowRegions(table, index)


def _index(cursor: TokenCursor) -> str | None:
    if cursor.at("partition"):
        raise not_supported("regions of a PARTITION")
    return cursor.name() if cursor.accept("index") else None


def _listed_values(cursor: TokenCursor) -> tuple[st.SplitValues, ...]:
    found = [_values(cursor)]
    while cursor.accept(","):
        found.append(_values(cursor))
    cursor.expect_end()
    return tuple(found)


def _values(cursor: TokenCursor) -> st.SplitValues:
    """The expressions in parentheses; there may be none."""
    cursor.expect("(")
    if cursor.accept(")"):
        return ()
    found: list[exp.Expr] = []
    while not found or cursor.expect(",", ")").text == ",":
        found.append(_value(cursor))
    return tuple(found)


def _value(cursor: TokenCursor) -> exp.Expr:
    """The expression up to the next comma or closing parenthesis, which stays."""
    first = last = None
    depth = 0
    while depth or not cursor.at(",", ")"):
        last = cursor.take()
        first = first or last
        depth += {"(": 1, ")": -1}.get(last.text, 0)
    if first is None or last is None:
        raise cursor.error()
    return parse_expression(cursor.sql[first.start : last.end])
