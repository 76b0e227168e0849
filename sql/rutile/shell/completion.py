"""What may come next in a statement: keywords, tables where tables go, columns of the tables that are named.

Pure: text and names in, suggestions out. `prompt.py` shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rutile.errors import SqlError
from rutile.parse.lexer import Token, tokens, unquote_name
from rutile.shell.commands import command_names
from rutile.shell.names import Names
from rutile.shell.settings import FORMATS

KEYWORDS = (
    "ADD", "ALL", "ALTER TABLE", "ANALYZE", "AND", "AS", "ASC", "AUTO_INCREMENT", "BEGIN", "BETWEEN", "BIGINT", "BLOB",
    "BY", "CASE", "CAST", "CHECK", "COALESCE", "COLUMN", "COMMIT", "COUNT", "CREATE DATABASE", "CREATE INDEX",
    "CREATE TABLE", "CROSS JOIN", "DATE", "DATETIME", "DECIMAL", "DEFAULT", "DELETE FROM", "DESC", "DESCRIBE",
    "DISTINCT", "DOUBLE", "DROP DATABASE", "DROP INDEX", "DROP TABLE", "ELSE", "END", "EXISTS", "EXPLAIN",
    "EXPLAIN ANALYZE", "FOR UPDATE", "FROM", "GROUP BY", "GROUP_CONCAT", "HAVING", "IF EXISTS", "IF NOT EXISTS",
    "IFNULL", "IN", "INDEX", "INNER JOIN", "INSERT INTO", "INT", "INTERVAL", "IS NOT NULL", "IS NULL", "JOIN", "JSON",
    "KEY", "LEFT JOIN", "LIKE", "LIMIT", "MAX", "MIN", "NOT", "NOT NULL", "NOW()", "NULL", "OFFSET", "ON",
    "ON DUPLICATE KEY UPDATE", "OR", "ORDER BY", "OVER", "PARTITION BY", "PRIMARY KEY", "REPLACE INTO", "RIGHT JOIN",
    "ROLLBACK", "ROUND", "ROW_NUMBER", "SAVEPOINT", "SELECT", "SET", "SHOW CREATE TABLE", "SHOW DATABASES",
    "SHOW INDEX FROM", "SHOW TABLES", "SHOW VARIABLES", "SHOW WARNINGS", "START TRANSACTION", "SUM", "TABLE", "TEXT",
    "THEN", "TIMESTAMP", "TRUNCATE TABLE", "UNION", "UNION ALL", "UNIQUE", "UNSIGNED", "UPDATE", "USE", "USING",
    "VALUES", "VARCHAR", "WHEN", "WHERE", "WITH", "WITH RECURSIVE",
)  # fmt: skip
_BEFORE_TABLES = frozenset(("from", "join", "into", "update", "table", "describe", "explain"))
_ENDS_TABLES = frozenset((
    "where", "group", "order", "having", "limit", "on", "using", "set", "values", "value", "select", "union", "join",
    "left", "right", "inner", "cross", "for", "natural", "straight_join", "window",
))  # fmt: skip
_WORDY = ("word", "name")


@dataclass(frozen=True)
class Suggestion:
    """A text to put in place of the word before the cursor, and what it is."""

    text: str
    kind: str


@dataclass(frozen=True)
class NamedTable:
    """A table that a statement reads, under the name it goes by there."""

    alias: str
    table: str
    database: str


def suggestions(before: str, statement: str, names: Names) -> tuple[int, list[Suggestion]]:
    """(length of the word being written, what it could become), for the text `before` the cursor of `statement`."""
    if before.lstrip().startswith(("\\", ".")):
        return _of_command(before.lstrip(), names)
    found = _tokens(before)
    if found is None:
        return 0, []  # within a string
    word, path, context = _split(before, found)
    candidates = _after_dot(path, statement, names) if path else _plain(context, word, statement, names)
    matching = [each for each in candidates if each.text.lower().startswith(word.lower())]
    return len(word), list(dict.fromkeys(matching))


def _tokens(text: str) -> list[Token] | None:
    try:
        return tokens(text)
    except SqlError:
        return None


def _split(before: str, found: list[Token]) -> tuple[str, list[str], list[Token]]:
    """(the word at the cursor, the names and dots before it, the tokens before those)."""
    word = ""
    if found and found[-1].kind in _WORDY and found[-1].end == len(before):
        word = found.pop().text
    path: list[str] = []
    while len(found) >= 2 and found[-1].text == "." and found[-2].kind in _WORDY:
        path.insert(0, unquote_name(found[-2].text))
        found = found[:-2]
    return word, path, found


def _of_command(line: str, names: Names) -> tuple[int, list[Suggestion]]:
    command, blank, argument = line.partition(" ")
    if not blank:
        return len(line), [Suggestion(name, "command") for name in command_names() if name.startswith(line)]
    match command.lstrip("\\."):
        case "mode" | "format":
            choices = list(FORMATS)
        case "timer" | "pager":
            choices = ["on", "off"]
        case "d" | "describe" | "schema":
            choices = names.tables_of()
        case "c" | "use" | "dt" | "tables":
            choices = list(names.tables)
        case _:
            choices = []
    return len(argument), [Suggestion(each, "") for each in choices if each.lower().startswith(argument.lower())]


def _after_dot(path: list[str], statement: str, names: Names) -> Iterator[Suggestion]:
    if len(path) == 2:
        yield from _columns(names.columns_of(path[1], path[0]))
        return
    (first,) = path[-1:]
    for named in tables_in(statement):
        if named.alias.lower() == first.lower():
            yield from _columns(names.columns_of(named.table, named.database))
    yield from (Suggestion(table, "table") for table in names.tables_of(first))
    yield from _columns(names.columns_of(first))


def _plain(context: list[Token], word: str, statement: str, names: Names) -> Iterator[Suggestion]:
    if _is_table_place(context):
        yield from (Suggestion(table, "table") for table in names.tables_of())
        yield from (Suggestion(database, "database") for database in names.tables)
        return
    if context and context[-1].word == "use":
        yield from (Suggestion(database, "database") for database in names.tables)
        return
    if context:
        for named in tables_in(statement):
            yield from _columns(names.columns_of(named.table, named.database))
            if named.alias.lower() != word.lower():  # what is being written may look like an alias
                yield Suggestion(named.alias, "table")
    if word or not context:
        yield from (Suggestion(_cased(keyword, word), "keyword") for keyword in KEYWORDS)


def _cased(keyword: str, word: str) -> str:
    return keyword.lower() if word.islower() else keyword


def _columns(columns: Iterable[str]) -> Iterator[Suggestion]:
    return (Suggestion(column, "column") for column in columns)


def _is_table_place(context: list[Token]) -> bool:
    """After FROM and the like, or after a comma of such a list."""
    if not context:
        return False
    if context[-1].word in _BEFORE_TABLES:
        return True
    if context[-1].text != ",":
        return False
    for token in reversed(context):
        if token.word == "from":
            return True
        if token.word in _ENDS_TABLES or token.text in "()":
            return False
    return False


def tables_in(statement: str) -> list[NamedTable]:
    """The tables a statement names after FROM, JOIN, INTO and UPDATE, with their aliases."""
    found = _tokens(statement)
    if found is None:
        found = _tokens(statement.rpartition("'")[0]) or []
    tables: list[NamedTable] = []
    at = 0
    while at < len(found):
        starts = found[at].word in ("from", "join", "into", "update")
        at += 1
        while starts and at < len(found) and found[at].kind in _WORDY and found[at].word not in _ENDS_TABLES:
            named, at = _table_at(found, at)
            tables.append(named)
            starts = at < len(found) and found[at].text == ","
            at += starts
    return tables


def _table_at(found: list[Token], at: int) -> tuple[NamedTable, int]:
    database, table = "", unquote_name(found[at].text)
    at += 1
    if at + 1 < len(found) and found[at].text == "." and found[at + 1].kind in _WORDY:
        database, table = table, unquote_name(found[at + 1].text)
        at += 2
    if at < len(found) and found[at].word == "as":
        at += 1
    alias = table
    if at < len(found) and found[at].kind in _WORDY and found[at].word not in _ENDS_TABLES:
        alias = unquote_name(found[at].text)
        at += 1
    return NamedTable(alias, table, database), at
