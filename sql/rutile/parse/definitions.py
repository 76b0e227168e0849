"""CREATE, DROP and TRUNCATE."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.alter import parse_create_index, parse_drop_index
from rutile.parse.partitions import take_partitioning
from rutile.parse.plain_types import with_plain_types
from rutile.parse.sequences import parse_create_sequence, parse_drop_sequence
from rutile.parse.statistics import parse_drop_stats
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_tree
from rutile.privileges.parse import parse_create_user, parse_drop_user


def parse_create(cursor: TokenCursor) -> st.Statement:
    """CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE INDEX."""
    start = cursor.rest()
    cursor.take()
    if cursor.accept_words("global", "temporary"):
        raise not_supported("CREATE GLOBAL TEMPORARY TABLE")
    cursor.accept("local")
    temporary = cursor.accept("temporary")
    if temporary and cursor.at("table"):
        start = f"CREATE {cursor.rest()}"
    if cursor.accept("database", "schema"):
        if_not_exists = cursor.accept_words("if", "not", "exists")
        return st.CreateDatabase(cursor.name(), if_not_exists)
    if cursor.at("user", "role"):
        return parse_create_user(cursor)
    if cursor.at("sequence"):
        return parse_create_sequence(cursor)
    if cursor.at("unique", "index"):
        return parse_create_index(cursor)
    if cursor.at("view", "or", "algorithm", "definer", "sql"):
        return _create_view(cursor)
    if cursor.at("function", "aggregate"):
        raise not_supported("CREATE FUNCTION: code of users does not run beside the data, in Python or otherwise")
    if not cursor.at("table"):
        raise not_supported(f"CREATE {cursor.peek_text().upper()}")
    start, partitioning = take_partitioning(start)
    definition = parse_tree(with_plain_types(start))
    if not isinstance(definition, exp.Create):
        raise not_supported(_command_words(start))
    target = definition.this.this if isinstance(definition.this, exp.Schema) else definition.this
    name = st.TableName(target.name, target.db or None)
    return st.CreateTable(
        name, definition, bool(definition.args.get("exists")), _like(definition), temporary, partitioning
    )


def _like(definition: exp.Create) -> st.TableName | None:
    properties = definition.args.get("properties")
    for option in properties.expressions if properties is not None else []:
        if isinstance(option, exp.LikeProperty):
            return st.TableName(option.this.name, option.this.db or None)
    return None


def _command_words(sql: str) -> str:
    return "a table option or column type in: " + " ".join(sql.split())[:120]


def parse_drop(cursor: TokenCursor) -> st.Statement:
    """DROP DATABASE, DROP TABLE, DROP VIEW, DROP INDEX."""
    cursor.take()
    if cursor.accept("database", "schema"):
        if_exists = cursor.accept_words("if", "exists")
        return st.DropDatabase(cursor.name(), if_exists)
    if cursor.accept("index"):
        return parse_drop_index(cursor)
    if cursor.at("user", "role"):
        return parse_drop_user(cursor)
    if cursor.at("sequence"):
        return parse_drop_sequence(cursor)
    if cursor.accept("view"):
        if_exists, views = _dropped(cursor)
        return st.DropView(views, if_exists)
    if cursor.accept("stats"):
        return parse_drop_stats(cursor)
    temporary = cursor.accept("temporary")
    if not cursor.accept("table", "tables"):
        raise not_supported(f"DROP {cursor.peek_text().upper()}")
    if_exists, names = _dropped(cursor)
    return st.DropTable(names, if_exists, temporary)


def _dropped(cursor: TokenCursor) -> tuple[bool, tuple[st.TableName, ...]]:
    """([IF EXISTS], the names)."""
    if_exists = cursor.accept_words("if", "exists")
    names = [cursor.table_name()]
    while cursor.accept(","):
        names.append(cursor.table_name())
    cursor.accept("restrict", "cascade")
    cursor.expect_end()
    return if_exists, tuple(names)


def _create_view(cursor: TokenCursor) -> st.Statement:
    """[OR REPLACE] [ALGORITHM = a] [DEFINER = d] [SQL SECURITY s] VIEW name [(columns)] AS query; s is DEFINER."""
    or_replace = cursor.accept_words("or", "replace")
    while not cursor.at("view"):
        if cursor.accept_words("sql", "security", "invoker"):
            raise not_supported("SQL SECURITY INVOKER")
        if cursor.at("as", "select"):
            raise cursor.error()
        cursor.take()
    cursor.take()
    name, columns = cursor.table_name(), list[str]()
    if cursor.accept("("):
        columns.append(cursor.name())
        while cursor.accept(","):
            columns.append(cursor.name())
        cursor.expect(")")
    cursor.expect("as")
    query = parse_tree(cursor.rest())
    if not isinstance(query, exp.Query):
        raise not_supported("a view of this statement (WITH CHECK OPTION is not, either: views cannot be written to)")
    return st.CreateView(name, query, tuple(columns), or_replace)


def parse_truncate(cursor: TokenCursor) -> st.Statement:
    """TRUNCATE."""
    cursor.take()
    cursor.accept("table")
    name = cursor.table_name()
    cursor.expect_end()
    return st.TruncateTable(name)
