"""The shell at a terminal: pexpect holds the keyboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

import rutile

ENDLESS = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT MAX(i) FROM n;"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory with a small database in it."""
    folder = tmp_path_factory.mktemp("home")
    with rutile.connect(folder / "data") as connection:
        connection.execute("CREATE TABLE item (id INT PRIMARY KEY, description VARCHAR(500))")
        connection.execute("INSERT INTO item VALUES (1, ?), (2, 'short')", ("long " * 60,))
    return folder


@pytest.fixture(scope="module")
def terminal(home: Path) -> Iterator[pexpect.spawn[str]]:
    """One shell for all tests: starting it is what takes time."""
    environment = {
        **os.environ, "HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "PAGER": "cat -n",
        "PYTHONWARNINGS": "default",
    }  # fmt: skip
    child = pexpect.spawn(
        sys.executable, ["-m", "rutile", "shell", str(home / "data")], env=environment, timeout=60, encoding="utf-8",
        dimensions=(24, 80),
    )  # fmt: skip
    try:
        child.expect("rutile>")
        yield child
    finally:
        child.close(force=True)


def test_wide_results_fit(terminal: pexpect.spawn[str]) -> None:
    terminal.sendline("SELECT * FROM item WHERE id = 1;")
    terminal.expect(r"\|  1 \| long [^\n]*…")
    terminal.expect("1 row in set")


def test_completion_offers_columns(terminal: pexpect.spawn[str]) -> None:
    terminal.send("SELECT * FROM item WHERE descr")
    terminal.expect("column")  # what the menu says of `description`
    terminal.send("\t = 'short';\r")
    terminal.expect(r"\|  2 \| short")
    terminal.expect("1 row in set")


def test_a_statement_over_two_lines(terminal: pexpect.spawn[str]) -> None:
    terminal.send("SELECT 6 *\r")
    terminal.expect("->")
    terminal.send("7 AS answer;\r")
    terminal.expect(r"\|\s+42 \|")


def test_interrupt_stops_the_statement_and_not_the_session(terminal: pexpect.spawn[str]) -> None:
    terminal.sendline(ENDLESS)
    terminal.expect("running for")
    terminal.sendintr()
    terminal.expect("1317")
    terminal.sendline("SELECT 40 + 2 AS alive;")
    terminal.expect(r"\|\s+42 \|")


def test_long_results_go_through_the_pager(terminal: pexpect.spawn[str]) -> None:
    terminal.sendline("SHOW VARIABLES;")
    terminal.expect(r"\s1\t\+--")  # the pager here numbers lines
    terminal.expect("rows in set")


def test_watch_until_interrupted(terminal: pexpect.spawn[str]) -> None:
    terminal.sendline("SELECT COUNT(*) AS n FROM item \\watch 0.1")
    for _ in range(2):
        terminal.expect("every 0.1 s")
        terminal.expect(r"\|\s+2 \|")
    terminal.sendintr()
    terminal.expect("rutile>")
    terminal.sendline("SELECT 'after' AS w;")
    terminal.expect(r"\| after \|")


def test_leaving_by_end_of_input_keeps_the_history(terminal: pexpect.spawn[str], home: Path) -> None:
    terminal.sendline("SELECT 'last words' AS said;")
    terminal.expect("1 row in set")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert "+SELECT 6 *\n+7 AS answer;" in (home / ".rutile_history").read_text()
