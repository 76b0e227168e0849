"""Text written under other SQL modes, and what becomes of it."""

from __future__ import annotations

import asyncio

import pytest
from fake_client import FakeClient
from hypothesis import given
from hypothesis import strategies as st
from sql_runner import make_database

from rutile.errors import SqlError
from rutile.parse.lexer import split_statements, tokens, unquote_name, unquote_string
from rutile.parse.other_modes import in_default_mode, split_other
from rutile.rows.sql_modes import STRICT, modes_of
from rutile.session.variables import SessionVariables

ANSI = modes_of("ANSI_QUOTES")
PLAIN_BACKSLASH = modes_of("NO_BACKSLASH_ESCAPES")
TEXTS = st.text(alphabet="ab\\'\"`;-# \n*/", max_size=12)


@given(TEXTS)
def test_a_string_without_escapes_keeps_its_value(value: str) -> None:
    written = "SELECT '" + value.replace("'", "''") + "'"
    (_, literal) = tokens(in_default_mode(written, PLAIN_BACKSLASH))
    assert unquote_string(literal.text) == value


@given(TEXTS)
def test_a_name_in_double_quotes_keeps_its_letters(value: str) -> None:
    written = 'SELECT "' + value.replace('"', '""') + '"'
    backslashes = "\\" in value  # within double quotes they escape, ANSI_QUOTES or not
    if not backslashes:
        (_, name) = tokens(in_default_mode(written, ANSI))
        assert unquote_name(name.text) == value


@given(st.lists(TEXTS, max_size=3))
def test_scripts_are_cut_outside_of_strings(values: list[str]) -> None:
    statements = ["SELECT '" + value.replace("'", "''") + "'" for value in values]
    assert split_other(";".join(statements), PLAIN_BACKSLASH) == statements


def test_default_text_is_left_alone() -> None:
    text = """SELECT "a", `b`, 'c\\'' -- "d" """
    assert in_default_mode(text, STRICT) is text
    assert split_statements("SELECT 1; SELECT 2;") == ["SELECT 1", "SELECT 2"]


def test_comments_keep_their_quotes() -> None:
    text = 'SELECT /* "x" */ 1 -- "y"'
    assert in_default_mode(text, ANSI) == text


def test_traditional_is_spelled_out() -> None:
    variables = SessionVariables()
    variables.set("sql_mode", "traditional")
    assert "STRICT_ALL_TABLES" in str(variables.get("sql_mode")) and variables.modes.strict
    assert not variables.modes.full_group_by


@pytest.mark.parametrize("mode", ["PIPES_AS_CONCAT", "ANSI", "HIGH_NOT_PRECEDENCE", "ALLOW_INVALID_DATES", "nonsense"])
def test_modes_that_are_not_there_are_refused_by_name(mode: str) -> None:
    with pytest.raises(SqlError, match=f"sql_mode {mode.upper()}"):
        SessionVariables().set("sql_mode", mode)


def test_a_session_without_backslash_escapes() -> None:
    async def run() -> None:
        database = make_database(FakeClient())
        await database.start()
        session = await database.session("test")
        await session.execute("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
        (result,) = await session.execute_script(r"SELECT 'a\', '\', LENGTH('\\n');")
        assert result.rows() == [("a\\", "\\", 3)]
        assert (await session.describe(r"SELECT '\' = ?")).parameters
        await session.close()
        await database.close()

    asyncio.run(run())
