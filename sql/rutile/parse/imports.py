"""IMPORT INTO, CANCEL IMPORT JOB, and SELECT ... INTO OUTFILE, as TiDB and MySQL spell them."""

from __future__ import annotations

from sqlglot import exp

from rutile.errors import SqlError, not_supported
from rutile.parse import statements as st
from rutile.parse.lexer import Token, tokens, unquote_string
from rutile.parse.token_cursor import TokenCursor
from rutile.parse.tree import parse_tree

ER_UNKNOWN_OPTION = 8163
ER_INVALID_OPTION = 8164
ER_DUPLICATE_OPTION = 8165
TEXT_OPTIONS = frozenset({
    "character_set", "fields_terminated_by", "fields_enclosed_by", "fields_escaped_by", "fields_defined_null_by",
    "lines_terminated_by",
})  # fmt: skip
NUMBER_OPTIONS = frozenset({"skip_rows", "skip_bad"})
FLAG_OPTIONS = frozenset({"detached"})
REFUSED_OPTIONS = frozenset({
    "split_file", "disk_quota", "disable_tikv_import_mode", "thread", "max_write_speed", "checksum_table",
    "cloud_storage_uri", "disable_precheck", "record_errors", "global_sort_uri", "manual_recovery",
})  # fmt: skip
"""TiDB's options that mean nothing here: refused, since nothing would come of them."""


def parse_import(cursor: TokenCursor) -> st.Statement:
    """IMPORT INTO table [(column | @variable, ...)] FROM 'file' [FORMAT 'csv'] [WITH option, ...] | query."""
    cursor.take()
    cursor.expect("into")
    table = cursor.table_name()
    columns = _columns(cursor)
    if cursor.at("set"):
        raise not_supported("IMPORT INTO ... SET")
    cursor.expect("from")
    token = cursor.peek()
    if token is None or token.kind != "string":
        return _from_query(cursor, table, columns)
    path = cursor.string()
    form = cursor.string().lower() if cursor.accept("format") else None
    return st.ImportInto(table, columns, path, form, None, _options(cursor))


def parse_cancel(cursor: TokenCursor) -> st.Statement:
    """CANCEL IMPORT JOB number."""
    cursor.take()
    if not cursor.accept_words("import", "job"):
        raise not_supported(f"CANCEL {cursor.peek_text().upper()}")
    job_id = _number(cursor)
    cursor.expect_end()
    return st.CancelImportJob(job_id)


def parse_show_import(cursor: TokenCursor) -> st.Statement:
    """The rest of SHOW IMPORT JOBS, or JOB number."""
    if cursor.accept("jobs"):
        cursor.expect_end()
        return st.ShowImportJobs()
    if not cursor.accept("job"):
        raise not_supported(f"SHOW IMPORT {cursor.peek_text().upper()}")
    job_id = _number(cursor)
    cursor.expect_end()
    return st.ShowImportJobs(job_id)


def take_outfile(sql: str, found: list[Token]) -> tuple[str, st.Outfile | None]:
    """The text of a query without its INTO OUTFILE, and that. Raises 1064, and 1235 for INTO DUMPFILE."""
    start = next((at for at in range(len(found) - 1) if _is_into(found, at)), None)
    if start is None:
        return sql, None
    if found[start + 1].word == "dumpfile":
        raise not_supported("SELECT ... INTO DUMPFILE")
    cursor = TokenCursor(sql, found[start + 2 :])
    outfile = _outfile(cursor)
    after = cursor.peek()
    rest = "" if after is None else " " + sql[after.start :]
    return sql[: found[start].start] + rest, outfile


def _is_into(found: list[Token], at: int) -> bool:
    return found[at].word == "into" and found[at + 1].word in ("outfile", "dumpfile")


def _outfile(cursor: TokenCursor) -> st.Outfile:
    path = cursor.string()
    if cursor.accept("character") and cursor.expect("set"):
        _check_charset(cursor.take().text)
    form: dict[str, str] = {}
    if cursor.accept("fields", "columns"):
        _field_words(cursor, form)
    if cursor.accept("lines"):
        _line_words(cursor, form)
    return st.Outfile(path, **form)


def _field_words(cursor: TokenCursor, form: dict[str, str]) -> None:
    while True:
        if cursor.accept_words("terminated", "by"):
            form["field_end"] = cursor.string()
        elif cursor.at("optionally", "enclosed"):
            form["optional"] = "yes" if cursor.accept("optionally") else ""
            if not cursor.accept_words("enclosed", "by"):
                raise cursor.error()
            form["enclosed"] = cursor.string()
        elif cursor.accept_words("escaped", "by"):
            form["escape"] = cursor.string()
        else:
            return


def _line_words(cursor: TokenCursor, form: dict[str, str]) -> None:
    while True:
        if cursor.accept_words("terminated", "by"):
            form["line_end"] = cursor.string()
        elif cursor.accept_words("starting", "by"):
            form["line_start"] = cursor.string()
        else:
            return


def _columns(cursor: TokenCursor) -> tuple[str, ...]:
    if not cursor.accept("("):
        return ()
    names: list[str] = []
    while True:
        token = cursor.peek()
        is_variable = token is not None and token.kind == "variable"
        names.append(cursor.take().text if is_variable else cursor.name())
        if not cursor.accept(","):
            cursor.expect(")")
            return tuple(names)


def _from_query(cursor: TokenCursor, table: st.TableName, columns: tuple[str, ...]) -> st.Statement:
    first = cursor.peek()
    if first is None or first.word not in ("select", "with", "(", "values", "table"):
        raise cursor.error()
    text = cursor.sql[first.start :]
    found = tokens(text)
    at = _options_at(found)
    options = _options(TokenCursor(text, found[at:])) if at is not None else {}
    expression = parse_tree(text if at is None else text[: found[at].start])
    if not isinstance(expression, exp.Query):
        raise cursor.error()
    return st.ImportInto(table, columns, None, None, expression, options)


def _options_at(found: list[Token]) -> int | None:
    """Where the options of a query's import begin: at a WITH before the name of one."""
    known = TEXT_OPTIONS | NUMBER_OPTIONS | FLAG_OPTIONS | REFUSED_OPTIONS
    places = range(len(found) - 2, 0, -1)
    return next((at for at in places if found[at].word == "with" and found[at + 1].word in known), None)


def _options(cursor: TokenCursor) -> dict[str, str | int]:
    options: dict[str, str | int] = {}
    if not cursor.accept("with"):
        cursor.expect_end()
        return options
    while True:
        name = cursor.name().lower()
        if name in REFUSED_OPTIONS:
            raise not_supported(f"IMPORT INTO ... WITH {name}")
        if name not in TEXT_OPTIONS | NUMBER_OPTIONS | FLAG_OPTIONS:
            raise SqlError(ER_UNKNOWN_OPTION, f"Unknown option {name}")
        if name in options:
            raise SqlError(ER_DUPLICATE_OPTION, f"Option {name} specified more than once")
        options[name] = _value(cursor, name)
        if not cursor.accept(","):
            cursor.expect_end()
            return options


def _value(cursor: TokenCursor, name: str) -> str | int:
    if not cursor.accept("="):
        if name in FLAG_OPTIONS:
            return 1
        raise SqlError(ER_INVALID_OPTION, f"Invalid option value for {name}")
    token = cursor.take()
    if name in TEXT_OPTIONS and token.kind == "string":
        value = unquote_string(token.text)
        if name == "character_set":
            _check_charset(value)
        return value
    if name in NUMBER_OPTIONS and token.kind == "number" and token.text.isdigit():
        return int(token.text)
    raise SqlError(ER_INVALID_OPTION, f"Invalid option value for {name}")


def _check_charset(name: str) -> None:
    if name.strip("'\"").lower() not in ("utf8mb4", "utf8", "utf8mb3", "binary"):
        raise not_supported(f"files in the character set {name}")


def _number(cursor: TokenCursor) -> int:
    token = cursor.take()
    if token.kind != "number" or not token.text.isdigit():
        raise cursor.error()
    return int(token.text)
