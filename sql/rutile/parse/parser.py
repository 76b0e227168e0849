"""MySQL text to `statements`: the first words choose; queries, data changes and CREATE TABLE go to sqlglot.

sqlglot is a transpiler, so it is generous: it reads SAVEPOINT x as a column with an alias, EXPLAIN as DESCRIBE, and
turns what it does not know into an opaque Command. So everything that is not a query, a data change or CREATE TABLE is
read here, by one small function per verb over the token list.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rutile.errors import ER_EMPTY_QUERY, SqlError, not_supported, syntax_error
from rutile.parse import statements as st
from rutile.parse.alter import parse_admin, parse_alter, parse_rename
from rutile.parse.assignments import parse_set
from rutile.parse.batch import parse_batch
from rutile.parse.definitions import parse_create, parse_drop, parse_truncate
from rutile.parse.imports import parse_cancel, parse_import, take_outfile
from rutile.parse.lexer import Token, number_parameters, tokens, unquote_name, unquote_string
from rutile.parse.modifiers import take_modifiers, without_national
from rutile.parse.prepared import parse_deallocate, parse_execute, parse_prepare
from rutile.parse.projection_names import name_projections
from rutile.parse.recovery import parse_flashback, parse_recover
from rutile.parse.regions import parse_split
from rutile.parse.sequences import with_sequence_calls
from rutile.parse.show import parse_show
from rutile.parse.stale import take_as_of
from rutile.parse.statistics import parse_analyze
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.transactions import (
    parse_begin,
    parse_commit,
    parse_release,
    parse_rollback,
    parse_savepoint,
    parse_start,
)
from rutile.parse.tree import parse_tree
from rutile.privileges.parse import parse_grant, parse_revoke


def parse(sql: str) -> st.Parsed:
    """One statement. Raises 1064 for what is not MySQL, 1235 for what MySQL has and Rutile does not."""
    numbered, count = number_parameters(sql)
    found = tokens(numbered)
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise SqlError(ER_EMPTY_QUERY, "Query was empty")
    text = numbered[: found[-1].end]
    return st.Parsed(_parse_tokens(text, found), count, sql)


def _parse_tokens(sql: str, found: list[Token]) -> st.Statement:
    first = found[0].word
    if first in _UNSUPPORTED:
        raise not_supported(" ".join(token.text.upper() for token in found[:2]))
    if first in ("create", "alter"):
        sql, found = without_national(sql, found)
    verb = VERBS.get(first)
    if verb is not None:
        return verb(TokenCursor(sql, found))
    raise syntax_error(sql[found[0].start :])


# --- queries and data changes -----------------------------------------------------------------------------------------


def _query(cursor: TokenCursor) -> st.Statement:
    called = with_sequence_calls(cursor.sql)
    if called is not cursor.sql:
        cursor = TokenCursor(called, tokens(called))
    sql, outfile = take_outfile(cursor.sql, cursor.tokens)
    if outfile is not None:
        query = _query(TokenCursor(sql, tokens(sql)))
        if not isinstance(query, st.Query):
            raise not_supported("INTO OUTFILE in a statement that writes")
        return st.SelectIntoOutfile(query, outfile)
    text, as_of = take_as_of(cursor.sql, cursor.tokens)
    text, ignores = take_modifiers(text, cursor.tokens) if cursor.at(*_CHANGES) else (text, False)
    if text != cursor.sql:
        cursor = TokenCursor(text, tokens(text))
    expression = parse_tree(cursor.rest()).transform(_repaired)
    if isinstance(expression, exp.Values):
        return st.Query(_values(expression), as_of)
    if any(each.name.upper() == "SQL_CALC_FOUND_ROWS" for each in expression.args.get("operation_modifiers") or ()):
        raise not_supported("SQL_CALC_FOUND_ROWS: ask for COUNT(*) in a query of its own")
    name_projections(expression, cursor.sql, cursor.tokens)
    if isinstance(expression, exp.Select | exp.SetOperation | exp.Subquery | exp.Values | exp.Table):
        return st.Query(expression, as_of)
    if as_of is not None:
        raise not_supported("AS OF TIMESTAMP in a statement that writes")
    if isinstance(expression, exp.Insert):
        return st.Insert(expression)
    if isinstance(expression, exp.Update):
        return st.Update(expression, ignores)
    if isinstance(expression, exp.Delete):
        return st.Delete(expression, ignores)
    raise syntax_error(cursor.sql)


def _values(rows: exp.Values) -> exp.Select:
    """VALUES ROW(...), ... as a query of columns named as MySQL names them."""
    first = rows.expressions[0]
    width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
    columns = [exp.to_identifier(f"column_{at}", quoted=True) for at in range(width)]
    rows.set("alias", exp.TableAlias(this=exp.to_identifier("rows", quoted=True), columns=columns))
    return exp.select("*").from_(rows)


_AGGREGATES = ("approx_percentile", "json_arrayagg")
"""Aggregates that sqlglot takes for functions of one row."""


def _repaired(node: exp.Expr) -> exp.Expr:
    """What sqlglot reads otherwise: VALUES ROW(1, 2), FROM DUAL, counts without end, the first word of GET_FORMAT,
    aggregates it does not know."""
    inner = node.expressions[0] if isinstance(node, exp.Tuple) and len(node.expressions) == 1 else None
    if isinstance(inner, exp.Anonymous) and inner.name.lower() == "row":
        return exp.Tuple(expressions=inner.expressions)
    if isinstance(node, exp.Limit | exp.Offset) and _is_beyond(node.expression):
        node.set("expression", exp.Literal.number(_MOST_ROWS))
    if isinstance(node, exp.Partition):
        node.set("expressions", [exp.to_identifier(each.name, quoted=True) for each in node.expressions])
    source = node.args.get("from_") if isinstance(node, exp.Select) else None
    if source is not None and isinstance(source.this, exp.Table) and source.this.sql().upper() == "DUAL":
        node.set("from_", None)
    if isinstance(node, exp.Anonymous) and node.name.lower() in _AGGREGATES:
        return exp.AnonymousAggFunc(this=node.name.upper(), expressions=node.expressions)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "get_format" and len(node.expressions) == 2:
        kind, name = node.expressions
        return exp.Anonymous(this="get_format", expressions=[exp.Literal.string(kind.name), name])
    return node


def _is_beyond(count: exp.Expr | None) -> bool:
    """Whether it is one of MySQL's ways to say no limit, such as 18446744073709551615."""
    return isinstance(count, exp.Literal) and count.is_int and int(count.name) > _MOST_ROWS


def _table(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    name = cursor.table_name()
    cursor.expect_end()
    source = exp.table_(name.name, db=name.database, quoted=True)
    return st.Query(exp.select("*").from_(source))


def _replace(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    while cursor.accept("low_priority", "delayed"):
        continue
    expression = parse_tree("INSERT " + with_sequence_calls(cursor.rest())).transform(_repaired)
    if not isinstance(expression, exp.Insert):
        raise syntax_error(cursor.sql)
    return st.Insert(expression, replace=True)


# --- the session ------------------------------------------------------------------------------------------------------


def _use(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    name = cursor.name()
    cursor.expect_end()
    return st.Use(name)


def _explain(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    if cursor.at("format"):
        raise not_supported("EXPLAIN FORMAT")
    analyze = cursor.accept("analyze")
    if not analyze and not cursor.at(*_EXPLAINABLE):
        table = cursor.table_name()
        pattern = None
        if not cursor.at_end():
            token = cursor.take()
            pattern = unquote_string(token.text) if token.kind == "string" else unquote_name(token.text)
        cursor.expect_end()
        return st.Show("columns", table=table, pattern=pattern)
    sql = cursor.rest()
    statement = _parse_tokens(sql, tokens(sql))
    if not isinstance(statement, st.Query | st.Insert | st.Update | st.Delete):
        raise not_supported(f"EXPLAIN {sql.split()[0].upper()}")
    return st.Explain(statement, sql, analyze)


def _kill(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    query_only = cursor.accept("query")
    if not query_only:
        cursor.accept("connection", "tidb")
    number = cursor.take()
    if number.kind != "number" or not number.text.isdigit():
        raise cursor.error()
    cursor.expect_end()
    return st.Kill(int(number.text), query_only)


def _batch(cursor: TokenCursor) -> st.Statement:
    return parse_batch(cursor, lambda sql: _parse_tokens(sql, tokens(sql)))


def _nothing(cursor: TokenCursor) -> st.Statement:
    return st.Nothing(" ".join(cursor.sql.split()))


_MOST_ROWS = (1 << 63) - 1
_CHANGES = ("insert", "update", "delete")
_EXPLAINABLE = ("select", "insert", "update", "delete", "replace", "with", "table", "values", "(")

VERBS: dict[str, Callable[[TokenCursor], st.Statement]] = {
    "batch": _batch,
    "select": _query, "with": _query, "(": _query, "values": _query, "insert": _query, "update": _query,
    "delete": _query, "table": _table, "replace": _replace, "create": parse_create, "drop": parse_drop,
    "truncate": parse_truncate, "begin": parse_begin, "start": parse_start, "commit": parse_commit,
    "rollback": parse_rollback, "savepoint": parse_savepoint, "release": parse_release, "use": _use,
    "set": parse_set, "show": parse_show, "explain": _explain, "desc": _explain, "describe": _explain,
    "alter": parse_alter, "flashback": parse_flashback, "recover": parse_recover,
    "rename": parse_rename, "admin": parse_admin, "flush": _nothing,
    "lock": _nothing, "unlock": _nothing,
    "grant": parse_grant, "revoke": parse_revoke, "kill": _kill, "prepare": parse_prepare, "execute": parse_execute,
    "deallocate": parse_deallocate, "split": parse_split, "analyze": parse_analyze, "import": parse_import,
    "cancel": parse_cancel,
}  # fmt: skip

_UNSUPPORTED = frozenset({
    "backup", "binlog", "call", "change", "check", "checksum",
    "do", "get", "handler", "help", "install",
    "load", "optimize", "purge", "repair", "reset", "restore", "resume",
    "signal", "stop", "trace", "xa",
})  # fmt: skip
"""First words MySQL or TiDB know and Rutile answers with 1235."""
