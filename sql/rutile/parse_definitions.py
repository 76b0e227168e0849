"""CREATE, DROP and TRUNCATE."""

from __future__ import annotations

from sqlglot import exp

from rutile import statements as st
from rutile.errors import not_supported
from rutile.lexer import tokens
from rutile.parse_tree import parse_tree
from rutile.token_cursor import TokenCursor


def parse_create(cursor: TokenCursor) -> st.Statement:
    """CREATE DATABASE, CREATE TABLE."""
    start = cursor.rest()
    cursor.take()
    if cursor.accept("database", "schema"):
        if_not_exists = cursor.accept_words("if", "not", "exists")
        return st.CreateDatabase(cursor.name(), if_not_exists)
    if not cursor.at("table"):
        raise not_supported(f"CREATE {cursor.peek_text().upper()}")
    definition = parse_tree(_with_plain_types(start))
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


def parse_drop(cursor: TokenCursor) -> st.Statement:
    """DROP DATABASE, DROP TABLE."""
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


def parse_truncate(cursor: TokenCursor) -> st.Statement:
    """TRUNCATE."""
    cursor.take()
    cursor.accept("table")
    name = cursor.table_name()
    cursor.expect_end()
    return st.TruncateTable(name)
