"""The shell on an embedded database, without a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

import rutile
from rutile.shell import Settings, Shell
from rutile.shell.commands import COMMANDS, help_text
from rutile.shell.places import pointed
from rutile.shell.plans import plan_text


@pytest.fixture(scope="module")
def connection() -> Iterator[rutile.Connection]:
    with rutile.connect() as opened:
        opened.execute("CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(20), KEY by_name (name))")
        opened.execute("INSERT INTO item VALUES (1, 'fig'), (2, 'pear')")
        yield opened


class Screen(io.StringIO):
    """What the shell wrote."""


@pytest.fixture
def shell(connection: rutile.Connection) -> Shell:
    return Shell(connection, Settings(timer=False), Screen())


def shown(shell: Shell, *texts: str) -> str:
    """Feed `texts` as at a prompt, one after the other; everything that is written."""
    lines = iter(texts)

    def prompt(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    shell.interact(prompt)
    screen = shell.output._screen
    assert isinstance(screen, Screen)
    return screen.getvalue()


def test_statements_over_several_lines_and_what_is_said_of_them(shell: Shell) -> None:
    text = shown(shell, "SELECT name", "FROM item ORDER BY id;", "SELECT * FROM item WHERE id = 9;")
    assert "| fig  |" in text and "2 rows in set" in text and "Empty set" in text


def test_an_error_is_shown_with_its_place_and_the_session_goes_on(shell: Shell) -> None:
    text = shown(shell, "SELECT nam FROM item;", "SELECT 6 * 7 AS answer;")
    assert "  SELECT nam FROM item\n         ^^^\nERROR 1054" in text and "42" in text


def test_commands_of_the_catalogue(shell: Shell) -> None:
    assert "index by_name (name)" in shown(shell, "\\d item")
    assert "| item " in shown(shell, "\\dt")
    assert "information_schema" in shown(shell, "\\l") or "test" in shown(shell, "\\l")
    assert "CREATE TABLE `item`" in shown(shell, ".schema")


def test_modes(shell: Shell) -> None:
    assert '"name": "fig"' in shown(shell, ".mode json", "SELECT * FROM item;")
    assert "id,name\n1,fig" in shown(shell, ".mode csv", "SELECT * FROM item;")
    assert "*** 1. row ***" in shown(shell, "SELECT * FROM item\\G")
    assert "want one of table, box" in shown(shell, ".mode pretty")
    assert "want on or off" in shown(shell, ".timer maybe")
    assert "there is no command nonsense" in shown(shell, "\\nonsense")


def test_every_command_is_in_the_help(shell: Shell) -> None:
    assert all(name in help_text() for each in COMMANDS for name in each.names)


def test_read_and_output(shell: Shell, tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("SELECT 'from the script' AS x;\n.mode csv\nSELECT * FROM nowhere;\nSELECT 'never' AS x;")
    text = shown(shell, f".read {script}", ".read /nonexistent/file", ".read")
    assert "from the script" in text and "1146" in text and "never" not in text and "No such file" in text
    target = tmp_path / "out.csv"
    text = shown(shell, ".mode csv", f".output {target}", "SELECT 'in the file' AS x;", ".output", "SELECT 2 AS y;")
    assert "in the file" not in text and "y\n2\n" in text
    assert target.read_text() == "x\nin the file\n"


def test_explain_is_drawn_as_a_tree(shell: Shell) -> None:
    text = shown(shell, "EXPLAIN ANALYZE SELECT name, COUNT(*) FROM item GROUP BY name;")
    assert "StoreReader" in text and "└─HashAgg" in text and " ms " in text and "+--" not in text
    plain = shown(shell, ".mode csv", "EXPLAIN SELECT * FROM item WHERE id = 1;")
    assert "id,estRows,task" in plain


def test_a_plan_fits_the_terminal() -> None:
    names = ["id", "actRows", "task", "access object", "execution info", "operator info"]
    rows = [
        ("StoreReader_1", "1234567", "root", "", "time:10.00ms; store 1: regions:[2], rows:7, run:1.00ms", "whole"),
        ("└─TableFullScan_2", "7", "cop[rutile]", "table:item", "rows read:7, path:mirror, time:5.00ms", "x" * 200),
    ]
    text = plan_text(names, rows, 80)
    assert max(map(len, text.splitlines())) == 80
    lines = text.splitlines()
    assert "1,234,567" in lines[1] and "10.00 ms ██████████" in lines[1] and "here" in lines[1]
    assert lines[2] == "│  whole" and lines[3].startswith("│  store 1: regions:[2]")
    assert "5.00 ms █████ " in lines[4] and "stores" in lines[4]


def test_a_transaction_is_seen_at_the_prompt(connection: rutile.Connection) -> None:
    prompts: list[str] = []
    lines = iter(["BEGIN;", "ROLLBACK;", "SELECT"])

    def prompt(text: str) -> str:
        prompts.append(text)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    Shell(connection, Settings(), Screen()).interact(prompt)
    assert prompts == ["rutile> ", "rutile*> ", "rutile> ", "     -> "]


def test_a_script_stops_at_the_first_error_unless_forced(
    connection: rutile.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "SELECT 1 AS a;\nSELECT * FROM nowhere;\nSELECT 2 AS b;\n"
    settings = Settings("csv", timer=False, chatty=False)
    out = Screen()
    assert Shell(connection, settings, out).run_script(script) == 1
    assert out.getvalue() == "a\n1\n"
    settings.force = True
    out = Screen()
    assert Shell(connection, settings, out).run_script(script + "SELECT 'open") == 1
    assert out.getvalue() == "a\n1\nb\n2\n"
    errors = capsys.readouterr().err
    assert "SELECT * FROM nowhere\n                ^^^^^^^" in errors and "quote is not closed" in errors
    assert Shell(connection, settings, Screen()).run_script("SELECT 1; \n\\q\nSELECT * FROM nowhere") == 0


@pytest.mark.parametrize(
    ("sql", "marked"),
    [
        ("SELECT * FORM item", "item"),
        ("SELEC 1", "SELEC"),
        ("SELECT id FROM\n itme", "itme"),
        ("SELECT id, nam FROM item", "nam"),
        ("SELECT foo(1)", "foo"),
        ("SELECT 'a", "'"),
        ("CREATE TABLE x (id INT PRIMRY KEY)", "PRIMRY"),
    ],
)
def test_the_place_of_an_error(connection: rutile.Connection, sql: str, marked: str) -> None:
    with pytest.raises(rutile.ProgrammingError) as caught:
        connection.execute(sql)
    line, mark = pointed(caught.value, sql).splitlines()
    assert line[mark.index("^") : mark.rindex("^") + 1] == marked


def test_errors_without_a_place_point_nowhere() -> None:
    assert pointed(rutile.DataError("too long", 1406), "INSERT ...") == ""
    assert pointed(OSError("gone"), "x") == ""
