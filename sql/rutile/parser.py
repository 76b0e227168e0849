"""MySQL text to `statements`: the first words choose; queries, data changes and CREATE TABLE go to sqlglot.

sqlglot is a transpiler, so it is generous: it reads SAVEPOINT x as a column with an alias, EXPLAIN as DESCRIBE, and
turns what it does not know into an opaque Command. So everything that is not a query, a data change or CREATE TABLE is
read here, by one small function per verb over the token list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from rutile import statements as st
from rutile.errors import ER_EMPTY_QUERY, SqlError, not_supported, syntax_error
from rutile.lexer import Token, number_parameters, tokens, unquote_name, unquote_string
from rutile.parse_set import parse_set
from rutile.parse_show import parse_show
from rutile.projection_names import name_projections
from rutile.token_cursor import TokenCursor

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns about each construct it passes on as a Command


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
    verb = _VERBS.get(first)
    if verb is not None:
        return verb(TokenCursor(sql, found))
    raise syntax_error(sql[found[0].start :])


def parse_expression(sql: str) -> exp.Expr:
    """An expression by itself, such as a column's stored default. Raises 1064."""
    query = _sqlglot(f"SELECT {sql}")
    return query.expressions[0]  # type: ignore[no-any-return]


def _sqlglot(sql: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, read="mysql")
    except SqlglotError as error:
        raise _syntax_error_of(error, sql) from error
    except RecursionError as error:
        raise syntax_error(sql, "the expression is nested too deeply") from error


def _syntax_error_of(error: SqlglotError, sql: str) -> SqlError:
    facts = (getattr(error, "errors", None) or [{}])[0]
    near = f"{facts.get('highlight') or ''}{facts.get('end_context') or ''}" or sql
    description = str(facts.get("description") or "cannot be read").split(" but got <")[0]
    return syntax_error(near, description.rstrip(".").lower())


# --- queries and data changes -----------------------------------------------------------------------------------------


def _query(cursor: TokenCursor) -> st.Statement:
    expression = _sqlglot(cursor.rest()).transform(_plain_row)
    name_projections(expression, cursor.sql, cursor.tokens)
    if isinstance(expression, exp.Select | exp.SetOperation | exp.Subquery | exp.Values | exp.Table):
        return st.Query(expression)
    if isinstance(expression, exp.Insert):
        return st.Insert(expression)
    if isinstance(expression, exp.Update):
        return st.Update(expression)
    if isinstance(expression, exp.Delete):
        return st.Delete(expression)
    raise syntax_error(cursor.sql)


def _plain_row(node: exp.Expr) -> exp.Expr:
    """VALUES ROW(1, 2) as VALUES (1, 2): sqlglot reads the first as a row of one function call."""
    inner = node.expressions[0] if isinstance(node, exp.Tuple) and len(node.expressions) == 1 else None
    if isinstance(inner, exp.Anonymous) and inner.name.lower() == "row":
        return exp.Tuple(expressions=inner.expressions)
    return node


def _table(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    name = cursor.table_name()
    cursor.expect_end()
    source = exp.table_(name.name, db=name.database, quoted=True)
    return st.Query(exp.select("*").from_(source))


def _replace(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    expression = _sqlglot("INSERT " + cursor.rest())
    if not isinstance(expression, exp.Insert):
        raise syntax_error(cursor.sql)
    return st.Insert(expression, replace=True)


# --- definitions ------------------------------------------------------------------------------------------------------


def _create(cursor: TokenCursor) -> st.Statement:
    start = cursor.rest()
    cursor.take()
    if cursor.accept("database", "schema"):
        if_not_exists = cursor.accept_words("if", "not", "exists")
        return st.CreateDatabase(cursor.name(), if_not_exists)
    if not cursor.at("table"):
        raise not_supported(f"CREATE {cursor.peek_text().upper()}")
    definition = _sqlglot(_with_plain_types(start))
    if not isinstance(definition, exp.Create):
        raise not_supported(_command_words(start))
    target = definition.this.this if isinstance(definition.this, exp.Schema) else definition.this
    name = st.TableName(target.name, target.db or None)
    return st.CreateTable(name, definition, bool(definition.args.get("exists")))


_TYPE_SYNONYMS = {
    "real": "double", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int4": "int", "int8": "bigint",
    "middleint": "mediumint", "float4": "float", "float8": "double", "long": "mediumtext",
}  # fmt: skip
"""Reserved words of MySQL that sqlglot takes for other types than MySQL does."""


def _with_plain_types(sql: str) -> str:
    """CREATE TABLE with MySQL's synonyms of types, and TiDB's CLUSTERED, as sqlglot reads them rightly."""
    parts, position = [], 0
    for token in tokens(sql):
        replacement = "" if token.word == "clustered" and token.kind == "word" else _TYPE_SYNONYMS.get(token.word)
        if token.word == "nonclustered":
            raise not_supported("PRIMARY KEY NONCLUSTERED")
        if replacement is not None:
            parts.append(sql[position : token.start] + replacement)
            position = token.end
    return "".join(parts) + sql[position:]


def _command_words(sql: str) -> str:
    return "a table option or column type in: " + " ".join(sql.split())[:120]


def _drop(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    if cursor.accept("database", "schema"):
        if_exists = cursor.accept_words("if", "exists")
        return st.DropDatabase(cursor.name(), if_exists)
    if not cursor.accept("table", "tables"):
        raise not_supported(f"DROP {cursor.peek_text().upper()}")
    if_exists = cursor.accept_words("if", "exists")
    names = [cursor.table_name()]
    while cursor.accept(","):
        names.append(cursor.table_name())
    cursor.accept("restrict", "cascade")
    cursor.expect_end()
    return st.DropTable(tuple(names), if_exists)


def _truncate(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    cursor.accept("table")
    name = cursor.table_name()
    cursor.expect_end()
    return st.TruncateTable(name)


# --- transactions -----------------------------------------------------------------------------------------------------


def _begin(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    if cursor.accept("pessimistic"):
        raise not_supported("BEGIN PESSIMISTIC")
    cursor.accept("work", "optimistic")
    cursor.expect_end()
    return st.Begin()


def _start(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    cursor.expect("transaction")
    read_only = False
    while not cursor.at_end():
        if cursor.accept_words("read", "only"):
            read_only = True
        elif not (cursor.accept_words("read", "write") or cursor.accept_words("with", "consistent", "snapshot")):
            raise cursor.error()
        cursor.accept(",")
    return st.Begin(read_only)


def _commit(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    _transaction_end(cursor)
    return st.Commit()


def _rollback(cursor: TokenCursor) -> st.Statement:
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


def _savepoint(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    return st.Savepoint(cursor.name())


def _release(cursor: TokenCursor) -> st.Statement:
    cursor.take()
    cursor.expect("savepoint")
    return st.ReleaseSavepoint(cursor.name())


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


def _nothing(cursor: TokenCursor) -> st.Statement:
    return st.Nothing(" ".join(cursor.sql.split()))


_EXPLAINABLE = ("select", "insert", "update", "delete", "replace", "with", "table", "values", "(")

_VERBS: dict[str, Callable[[TokenCursor], st.Statement]] = {
    "select": _query, "with": _query, "(": _query, "values": _query, "insert": _query, "update": _query,
    "delete": _query, "table": _table, "replace": _replace, "create": _create, "drop": _drop, "truncate": _truncate,
    "begin": _begin, "start": _start, "commit": _commit, "rollback": _rollback, "savepoint": _savepoint,
    "release": _release, "use": _use, "set": parse_set, "show": parse_show, "explain": _explain, "desc": _explain,
    "describe": _explain, "flush": _nothing, "unlock": _nothing,
}  # fmt: skip

_UNSUPPORTED = frozenset(
    [
        "admin",
        "alter",
        "analyze",
        "backup",
        "batch",
        "binlog",
        "call",
        "change",
        "check",
        "checksum",
        "deallocate",
        "do",
        "execute",
        "flashback",
        "get",
        "grant",
        "handler",
        "help",
        "import",
        "install",
        "kill",
        "load",
        "lock",
        "optimize",
        "prepare",
        "purge",
        "recover",
        "rename",
        "repair",
        "reset",
        "restore",
        "resume",
        "revoke",
        "signal",
        "split",
        "stop",
        "trace",
        "xa",
    ]
)
"""First words MySQL or TiDB know and Rutile answers with 1235."""
