"""`rutile shell`: statements in, tables out; at a terminal, through a pipe, or from `-e`.

At a terminal it has history, multi-line statements (a statement ends with `;`), colour and `\\` commands. Through a
pipe it runs what it reads and stops at the first error, so that scripts fail loudly.
"""

from __future__ import annotations

import csv
import datetime
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from rutile.dbapi import Connection, Cursor
from rutile.lexer import split_statements
from rutile.pep249 import DatabaseError, Error

FORMATS = ("table", "csv", "json")
HISTORY_FILE = Path("~/.rutile_history")
HELP = """\
Statements end with `;`. SHOW DATABASES; USE name; SHOW TABLES; DESCRIBE t; EXPLAIN [ANALYZE] SELECT ...;
  \\format table|csv|json   how results are shown          \\timer on|off   print how long statements take
  \\d [table]               tables, or a table's columns   \\q              leave (so does ^D)
"""

Writer = Callable[[Sequence[str], Iterable[tuple[Any, ...]], TextIO], None]


def text_of(value: object) -> str:
    """A value as MySQL's client prints it: NULL, dates and times without decoration, bytes as 0x..."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(int(value))
        case bytes():
            return "0x" + value.hex().upper()
        case datetime.timedelta():
            return _time_text(value)
        case float():
            return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def _time_text(value: datetime.timedelta) -> str:
    total = value // datetime.timedelta(microseconds=1)
    sign, total = ("-", -total) if total < 0 else ("", total)
    seconds, fraction = divmod(total, 1_000_000)
    tail = f".{fraction:06d}" if fraction else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{tail}"


def write_table(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """A box as MySQL's client draws it; numbers to the right."""
    rows = list(rows)
    cells = [[text_of(value).replace("\n", "\\n") for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) if cells else len(name) for i, name in enumerate(names)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(names))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    out.write(rule)
    out.write(_line(names, widths, [False] * len(names)))
    out.write(rule)
    out.writelines(_line(row, widths, right) for row in cells)
    if cells:
        out.write(rule)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
    return "| " + " | ".join(padded) + " |\n"


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float | Decimal)


def write_csv(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """RFC 4180 with a header; NULL is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else text_of(value) for value in row] for row in rows)


def write_json(names: Sequence[str], rows: Iterable[tuple[Any, ...]], out: TextIO) -> None:
    """An array of objects, one a line; decimals and dates as text, so that nothing is rounded."""
    lines = (json.dumps(dict(zip(names, map(_json_value, row), strict=True)), ensure_ascii=False) for row in rows)
    out.write("[" + ",\n ".join(lines) + "]\n")


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, int | float | str) else text_of(value)


WRITERS: dict[str, Writer] = {"table": write_table, "csv": write_csv, "json": write_json}


class Shell:
    """Runs statements on a connection and shows what comes back."""

    def __init__(
        self, connection: Connection, fmt: str = "table", out: TextIO = sys.stdout, *, chatty: bool = True
    ) -> None:
        self._connection = connection
        self._format = fmt
        self._out = out
        self._chatty = chatty
        self._timer = chatty

    def run_script(self, text: str) -> int:
        """Run all statements of `text`; 0, or 1 at the first error (which is printed)."""
        try:
            for statement in split_statements(text):
                self.run_statement(statement)
        except Error as error:
            print(error, file=sys.stderr)
            return 1
        return 0

    def run_statement(self, statement: str) -> None:
        """Run one statement and print its result; raises what the connection raises."""
        started = time.perf_counter()
        cursor = self._connection.execute(statement)
        elapsed = time.perf_counter() - started
        self._show(cursor, elapsed)

    def _show(self, cursor: Cursor, elapsed: float) -> None:
        took = f" ({elapsed:.3f} sec)" if self._timer else ""
        if cursor.description is None:
            self._say(f"Query OK, {_count(max(0, cursor.rowcount), 'row')} affected{took}")
            return
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        if rows or self._format != "table":
            WRITERS[self._format](names, rows, self._out)
        self._say(f"{_count(len(rows), 'row')} in set{took}" if rows else f"Empty set{took}")
        self._out.flush()

    def _say(self, text: str) -> None:
        if self._chatty:
            self._out.write(text + "\n\n")
            self._out.flush()

    def command(self, line: str) -> bool:
        """Act on a `\\` command; False when the shell should end."""
        name, _, argument = line.strip().partition(" ")
        argument = argument.strip().rstrip(";")
        match name:
            case "\\q" | "\\quit" | "exit" | "quit":
                return False
            case "\\format" if argument in FORMATS:
                self._format = argument
            case "\\timer" if argument in ("on", "off"):
                self._timer = argument == "on"
            case "\\d":
                self._guarded(f"DESCRIBE {argument}" if argument else "SHOW TABLES")
            case _:
                self._out.write(HELP)
        return True

    def _guarded(self, statement: str) -> None:
        try:
            self.run_statement(statement)
        except DatabaseError as error:
            self._out.write(f"{error}\n")

    def interact(self, prompt: Callable[[str], str]) -> None:
        """Read with `prompt` until the end of input; errors are shown and the session goes on."""
        for line in _statements_from(prompt):
            if line.startswith("\\") or line.lower().rstrip(";") in ("exit", "quit"):
                if not self.command(line.rstrip(";")):
                    return
            else:
                self._guarded(line)


def _statements_from(prompt: Callable[[str], str]) -> Iterator[str]:
    """Complete statements and commands; ^C forgets the line, ^D ends."""
    buffer = ""
    while True:
        try:
            line = prompt("     -> " if buffer else "rutile> ")
        except KeyboardInterrupt:
            buffer = ""
            continue
        except EOFError:
            return
        if not buffer and (line.strip().startswith("\\") or line.strip().lower() in ("exit", "quit")):
            yield line.strip()
            continue
        buffer = f"{buffer}\n{line}" if buffer else line
        if buffer.rstrip().endswith(";"):
            yield from split_statements(buffer)
            buffer = ""
        elif not buffer.strip():
            buffer = ""


def terminal_prompt() -> Callable[[str], str]:
    """A prompt with history, colour and search (^R); plain `input` when prompt_toolkit is not installed."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory
        from prompt_toolkit.lexers import PygmentsLexer
        from pygments.lexers.sql import MySqlLexer
    except ImportError:
        print("(for history and colour: pip install 'rutile[shell]')", file=sys.stderr)
        return input
    history = FileHistory(str(HISTORY_FILE.expanduser()))
    session: PromptSession[str] = PromptSession(history=history, lexer=PygmentsLexer(MySqlLexer))
    return session.prompt


def run_shell(connection: Connection, *, script: str | None, fmt: str) -> int:
    """What `rutile shell` does once connected; the exit code."""
    if script is not None:
        return Shell(connection, fmt, chatty=False).run_script(script)
    if not sys.stdin.isatty():
        return Shell(connection, fmt, chatty=False).run_script(sys.stdin.read())
    print("Statements end with `;`. \\h for help, \\q or ^D to leave.\n")
    Shell(connection, fmt).interact(terminal_prompt())
    return 0


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
