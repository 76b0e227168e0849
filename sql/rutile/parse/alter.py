"""ALTER TABLE, CREATE INDEX, DROP INDEX, RENAME TABLE and ADMIN."""

from __future__ import annotations

from sqlglot import exp

from rutile.ddl.foreign_keys import read_foreign_key
from rutile.ddl.indexes import IndexDefinition, read_index
from rutile.errors import not_supported, syntax_error
from rutile.parse import alterations as alter
from rutile.parse import statements as st
from rutile.parse.lexer import Token, tokens
from rutile.parse.mysql_text import mysql_text
from rutile.parse.partitions import take_partition_change
from rutile.parse.plain_types import with_plain_types
from rutile.parse.sequences import parse_alter_sequence
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_expression, parse_tree
from rutile.privileges.parse import parse_alter_user, parse_rename_user


def parse_alter(cursor: TokenCursor) -> st.Statement:
    """ALTER TABLE t change, change, ..."""
    cursor.take()
    if cursor.at("user"):
        return parse_alter_user(cursor)
    if cursor.at("sequence"):
        return parse_alter_sequence(cursor)
    if not cursor.accept("table"):
        raise not_supported(f"ALTER {cursor.peek_text().upper()}")
    table = cursor.table_name()
    of_partitions = take_partition_change(cursor)
    if of_partitions is not None:
        return st.AlterTable(table, (of_partitions,))
    changes: list[alter.Alteration] = []
    while not cursor.at_end():
        part = cursor.take_until_comma()
        text = cursor.sql[part[0].start : part[-1].end]
        changes += _alteration(TokenCursor(text, tokens(text)))
        cursor.accept(",")
    return st.AlterTable(table, tuple(changes))


def _alteration(cursor: TokenCursor) -> list[alter.Alteration]:
    verb = cursor.take().word
    match verb:
        case "add":
            return _add(cursor)
        case "drop":
            return [_drop(cursor)]
        case "rename":
            return [_rename(cursor)]
        case "modify" | "change":
            cursor.accept("column")
            old = cursor.name() if verb == "change" else None
            definition, place = _column(cursor)
            return [alter.ModifyColumn(old or definition.name, definition, place)]
        case "alter":
            return [_alter_column(cursor)]
        case "comment":
            cursor.accept("=")
            return [alter.SetComment(cursor.string())]
        case "auto_increment":
            cursor.accept("=")
            return [alter.SetAutoIncrement(int(cursor.take().text))]
        case "engine" | "algorithm" | "lock" | "row_format":
            cursor.accept("=")
            cursor.take()
            cursor.expect_end()
            return []
        case "disable" | "enable" if cursor.at("keys"):
            return []
    raise not_supported(f"ALTER TABLE ... {verb.upper()} {cursor.peek_text().upper()}".rstrip())


def _add(cursor: TokenCursor) -> list[alter.Alteration]:
    if cursor.at("primary", "partition", "fulltext", "spatial"):
        raise not_supported(f"ALTER TABLE ... ADD {cursor.peek_text().upper()}")
    if cursor.at("index", "key", "unique", "constraint", "check", "foreign"):
        element = _element(_without_if_not_exists(cursor))
        if isinstance(element, exp.Constraint):
            return [_constraint(inner, element.this.name) for inner in element.expressions]
        return [_constraint(element, None)]
    cursor.accept("column")
    if_not_exists = cursor.accept_words("if", "not", "exists")
    if cursor.at("("):
        schema = parse_tree(with_plain_types(f"CREATE TABLE x {cursor.rest()}")).this
        return [_added(element) for element in schema.expressions]
    definition, place = _column(cursor)
    return [alter.AddColumn(definition, place, if_not_exists)]


def _constraint(element: exp.Expr, name: str | None) -> alter.Alteration:
    if isinstance(element, exp.CheckColumnConstraint):
        return alter.AddCheck(name, element.this)
    if isinstance(element, exp.ForeignKey):
        return alter.AddForeignKey(read_foreign_key(element, name))
    return alter.AddIndex(_index(element, name))


def _added(element: exp.Expr) -> alter.Alteration:
    if isinstance(element, exp.ColumnDef):
        return alter.AddColumn(element, alter.Place())
    return _constraint(element, None)


def _index(element: exp.Expr, constraint: str | None) -> IndexDefinition:
    if not isinstance(element, exp.UniqueColumnConstraint | exp.IndexColumnConstraint):
        raise not_supported(f"ALTER TABLE ... ADD {mysql_text(element)}")
    return read_index(element, constraint)


def _without_if_not_exists(cursor: TokenCursor) -> str:
    """The rest; ADD INDEX IF NOT EXISTS is MariaDB's and TiDB's."""
    text = cursor.rest()
    words = [token.word for token in tokens(text)]
    if "exists" in words[:5]:
        raise not_supported("ADD INDEX IF NOT EXISTS")
    return text


def _element(text: str) -> exp.Expr:
    """One element of a CREATE TABLE."""
    tree = parse_tree(with_plain_types(f"CREATE TABLE x ({text})"))
    if not isinstance(tree, exp.Create) or len(tree.this.expressions) != 1:
        raise syntax_error(text)
    element: exp.Expr = tree.this.expressions[0]
    return element


def _column(cursor: TokenCursor) -> tuple[exp.ColumnDef, alter.Place]:
    """A column's definition, with FIRST or AFTER taken off its end."""
    rest = cursor.rest()
    found = tokens(rest)
    place = alter.Place()
    if found[-1].word == "first":
        place, rest = alter.Place(first=True), rest[: found[-1].start]
    elif len(found) > 2 and found[-2].word == "after":
        place, rest = alter.Place(after=found[-1].text.strip("`")), rest[: found[-2].start]
    element = _element(rest)
    if not isinstance(element, exp.ColumnDef):
        raise syntax_error(rest)
    return element, place


def _drop(cursor: TokenCursor) -> alter.Alteration:
    if cursor.accept("check", "constraint"):
        return alter.DropCheck(cursor.name())
    if cursor.accept_words("foreign", "key"):
        if_exists = cursor.accept_words("if", "exists")
        return alter.DropForeignKey(cursor.name(), if_exists)
    if cursor.at("primary", "partition"):
        raise not_supported(f"ALTER TABLE ... DROP {cursor.peek_text().upper()}")
    if cursor.accept("index", "key"):
        if_exists = cursor.accept_words("if", "exists")
        return alter.DropIndex(cursor.name(), if_exists)
    cursor.accept("column")
    if_exists = cursor.accept_words("if", "exists")
    return alter.DropColumn(cursor.name(), if_exists)


def _rename(cursor: TokenCursor) -> alter.Alteration:
    kind = cursor.take().word if cursor.at("column", "index", "key") else ""
    if kind:
        old = cursor.name()
        cursor.expect("to")
        new = cursor.name()
        return alter.RenameColumn(old, new) if kind == "column" else alter.RenameIndex(old, new)
    cursor.accept("to", "as")
    name = cursor.table_name()
    return alter.RenameTable(name.database, name.name)


def _alter_column(cursor: TokenCursor) -> alter.Alteration:
    if cursor.at("index", "check", "constraint"):
        raise not_supported(f"ALTER TABLE ... ALTER {cursor.peek_text().upper()}")
    cursor.accept("column")
    name = cursor.name()
    if cursor.accept_words("drop", "default"):
        return alter.SetDefault(name, None)
    cursor.expect("set")
    cursor.expect("default")
    return alter.SetDefault(name, parse_expression(cursor.rest()))


def parse_create_index(cursor: TokenCursor) -> st.Statement:
    """CREATE [UNIQUE] INDEX i ON t (...), from UNIQUE or INDEX on."""
    unique = cursor.accept("unique")
    if not cursor.accept("index"):
        raise not_supported(f"CREATE {cursor.peek_text().upper()}")
    if_not_exists = cursor.accept_words("if", "not", "exists")
    name = cursor.name()
    if cursor.accept("using"):
        cursor.take()
    cursor.expect("on")
    table = cursor.table_name()
    quoted = "`" + name.replace("`", "``") + "`"
    element = _element(f"{'UNIQUE ' if unique else ''}INDEX {quoted} {_without_options(cursor.rest())}")
    return st.AlterTable(table, (alter.AddIndex(_index(element, None), if_not_exists),))


def _without_options(text: str) -> str:
    """ALGORITHM and LOCK mean nothing here: every index is made online."""
    for token in tokens(text):
        if token.word in ("algorithm", "lock"):
            return text[: token.start]
    return text


def parse_drop_index(cursor: TokenCursor) -> st.Statement:
    """DROP INDEX i ON t, from the name on."""
    if_exists = cursor.accept_words("if", "exists")
    name = cursor.name()
    cursor.expect("on")
    return st.AlterTable(cursor.table_name(), (alter.DropIndex(name, if_exists),))


def parse_rename(cursor: TokenCursor) -> st.Statement:
    """RENAME TABLE a TO b, ..."""
    cursor.take()
    if cursor.at("user"):
        return parse_rename_user(cursor)
    if not cursor.accept("table"):
        raise not_supported(f"RENAME {cursor.peek_text().upper()}")
    pairs = []
    while True:
        old = cursor.table_name()
        cursor.expect("to")
        pairs.append((old, cursor.table_name()))
        if not cursor.accept(","):
            break
    cursor.expect_end()
    return st.RenameTables(tuple(pairs))


def parse_admin(cursor: TokenCursor) -> st.Statement:
    """ADMIN SHOW DDL JOBS [n], ADMIN CANCEL DDL JOBS id, ..., ADMIN CHECK TABLE t, ..."""
    cursor.take()
    if cursor.accept_words("show", "ddl", "jobs"):
        limit = None if cursor.at_end() else int(cursor.take().text)
        return st.Admin("show ddl jobs", numbers=() if limit is None else (limit,))
    if cursor.accept_words("cancel", "ddl", "jobs"):
        return st.Admin("cancel ddl jobs", numbers=tuple(int(token.text) for token in _listed(cursor)))
    if cursor.accept_words("check", "table"):
        tables = [cursor.table_name()]
        while cursor.accept(","):
            tables.append(cursor.table_name())
        return st.Admin("check table", tables=tuple(tables))
    raise not_supported(f"ADMIN {cursor.peek_text().upper()}")


def _listed(cursor: TokenCursor) -> list[Token]:
    found = [cursor.take()]
    while cursor.accept(","):
        found.append(cursor.take())
    if any(not token.text.isdigit() for token in found):
        raise cursor.error()
    return found
