"""LOAD DATA LOCAL INFILE, read: the file, the table, and how the file's text is cut into fields."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.lexer import tokens
from rutile.parse.token_cursor import TokenCursor


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is cut; MySQL's defaults."""

    field_end: str = "\t"
    line_end: str = "\n"
    line_start: str = ""
    enclosed: str = ""
    escape: str = "\\"


@dataclass(frozen=True, slots=True)
class LoadData:
    """The statement."""

    file: str
    table: st.TableName
    columns: tuple[str, ...]
    """Empty for all of the table's."""
    format: Format
    skipped_lines: int = 0
    replaces: bool = False


def read_load_data(sql: str) -> LoadData | None:
    """The statement; None if `sql` is another one. Raises 1064, 1235."""
    if sql.lstrip()[:4].lower() != "load":
        return None
    cursor = TokenCursor(sql, tokens(sql))
    cursor.take()
    cursor.expect("data")
    cursor.accept("low_priority", "concurrent")
    if not cursor.accept("local"):
        raise not_supported("LOAD DATA of a file on the server: LOAD DATA LOCAL sends the client's")
    cursor.expect("infile")
    file = cursor.string()
    replaces = cursor.at("replace")
    cursor.accept("replace", "ignore")
    cursor.expect("into")
    cursor.expect("table")
    table = cursor.table_name()
    _character_set(cursor)
    form = _format(cursor)
    skipped = _skipped_lines(cursor)
    columns = _columns(cursor)
    if cursor.at("set"):
        raise not_supported("LOAD DATA ... SET")
    cursor.accept(";")
    cursor.expect_end()
    return LoadData(file, table, columns, form, skipped, replaces)


def _character_set(cursor: TokenCursor) -> None:
    if cursor.accept_words("character", "set"):
        name = cursor.take().text.strip("'\"").lower()
        if name not in ("utf8mb4", "utf8", "utf8mb3", "ascii"):
            raise not_supported(f"LOAD DATA in the character set {name}")


def _format(cursor: TokenCursor) -> Format:
    form = Format()
    if cursor.accept("fields", "columns"):
        while cursor.at("terminated", "optionally", "enclosed", "escaped"):
            cursor.accept("optionally")
            name = {"terminated": "field_end", "enclosed": "enclosed", "escaped": "escape"}[cursor.take().word]
            cursor.expect("by")
            form = replace(form, **{name: cursor.string()})
    if cursor.accept("lines"):
        while cursor.at("terminated", "starting"):
            name = {"terminated": "line_end", "starting": "line_start"}[cursor.take().word]
            cursor.expect("by")
            form = replace(form, **{name: cursor.string()})
    if not form.field_end or not form.line_end or max(len(form.enclosed), len(form.escape)) > 1:
        raise not_supported("LOAD DATA with fields of fixed width, or quotes of several characters")
    return form


def _skipped_lines(cursor: TokenCursor) -> int:
    if not cursor.accept("ignore"):
        return 0
    number = cursor.take()
    cursor.expect("lines", "rows")
    if not number.text.isdigit():
        raise cursor.error()
    return int(number.text)


def _columns(cursor: TokenCursor) -> tuple[str, ...]:
    if not cursor.accept("("):
        return ()
    names = []
    while True:
        following = cursor.peek()
        if following is not None and following.text.startswith("@"):
            raise not_supported("LOAD DATA into a variable")
        names.append(cursor.name())
        if not cursor.accept(","):
            break
    cursor.expect(")")
    return tuple(names)
