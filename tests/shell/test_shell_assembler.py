"""Lines into statements and commands."""

from __future__ import annotations

import pytest

from rutile.shell.assembler import Assembler, Command, Entry, Statement
from rutile.shell.prompt import is_complete


def fed(text: str) -> list[Entry]:
    """What a script of several lines gives, with its end."""
    assembler = Assembler()
    return [entry for line in text.split("\n") for entry in assembler.feed(line)] + assembler.finish()


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;\n;;\n-- nothing\n", ["SELECT 1"]),
        ('SELECT \'a;b\',\n"\\"; c" ; SELECT 2', ['SELECT \'a;b\',\n"\\"; c"', "SELECT 2"]),
        ("SELECT 'two\nlines;\n' AS x;", ["SELECT 'two\nlines;\n' AS x"]),
        ("SELECT /* a; \n b; */ 1;", ["SELECT /* a; \n b; */ 1"]),
        ("SELECT 1 -- a; comment\n;", ["SELECT 1 -- a; comment"]),
        ("SELECT `a;b` FROM t;", ["SELECT `a;b` FROM t"]),
        ("SELECT '\\d';", ["SELECT '\\d'"]),
        ("SELECT 'x\n.mode json\n';", ["SELECT 'x\n.mode json\n'"]),
    ],
)
def test_statements_end_at_semicolons_outside_of_strings_and_comments(text: str, statements: list[str]) -> None:
    assert fed(text) == [Statement(sql) for sql in statements]


def test_other_endings() -> None:
    assert fed("SELECT 1\\G SELECT 2\\g\nSELECT 3\\G;") == [
        Statement("SELECT 1", vertical=True),
        Statement("SELECT 2"),
        Statement("SELECT 3", vertical=True),
    ]
    assert fed("SELECT 1 \\watch 0.5") == [Statement("SELECT 1", every_s=0.5)]
    assert fed("SELECT 1\n\\watch;") == [Statement("SELECT 1", every_s=2.0)]


def test_commands_stand_alone_on_a_line() -> None:
    assert fed("\\d item\n.mode box;\nexit\n  QUIT;") == [
        Command("d", "item"), Command("mode", "box"), Command("exit", ""), Command("quit", ""),
    ]  # fmt: skip
    assert fed("SELECT 1\n  .5;") == [Statement("SELECT 1\n  .5")]


def test_enter_sends_what_is_finished() -> None:
    assert is_complete("") and is_complete("\\d") and is_complete("SELECT 1;") and is_complete("SELECT 1\\G")
    assert not is_complete("SELECT 1") and not is_complete("SELECT ';") and not is_complete("SELECT 1; SELECT")


def test_a_forgotten_statement_is_gone() -> None:
    assembler = Assembler()
    assert assembler.feed("SELECT 'open") == [] and assembler.is_open
    assembler.clear()
    assert assembler.feed("\\q") == [Command("q", "")]
