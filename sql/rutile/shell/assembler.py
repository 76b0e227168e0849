"""Lines into statements and commands.

A statement ends with `;`, with `\\G` (show it one field a line) or with `\\watch [seconds]` (again and again). A
command is a line of its own that begins with `\\` or `.` while no statement is open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rutile.errors import SqlError
from rutile.parse.lexer import Token, tokens

DEFAULT_WATCH_S = 2.0
_COMMAND = re.compile(r"\s*(\\|\.[a-z?]|(exit|quit)\s*;?\s*$)", re.IGNORECASE)
_SHOW = re.compile(r"\\([Gg])\b[ \t]*;?")
_WATCH = re.compile(r"\\watch\b[ \t]*(\d+(?:\.\d+)?)?[ \t]*;?")


@dataclass(frozen=True)
class Statement:
    """SQL to run, and how to show what it gives."""

    sql: str
    vertical: bool = False
    every_s: float | None = None
    """Seconds between two runs; None: once."""


@dataclass(frozen=True)
class Command:
    """A command of the shell: its name without the first character, and what follows."""

    name: str
    argument: str

    @classmethod
    def of_line(cls, line: str) -> Command:
        """`\\d item`, `.d item` and `exit;` as commands."""
        name, _, argument = line.strip().rstrip(";").partition(" ")
        return cls(name.lstrip("\\.").lower(), argument.strip())


Entry = Statement | Command


def is_command(line: str) -> bool:
    """Whether a line, with no statement open, is a command."""
    return _COMMAND.match(line) is not None


class Assembler:
    """Fed lines, gives entries; holds the statement that is not finished."""

    def __init__(self) -> None:
        self._open = ""

    @property
    def is_open(self) -> bool:
        """Whether a statement has begun that did not end."""
        return bool(self._open)

    def clear(self) -> None:
        """Forget what was begun."""
        self._open = ""

    def feed(self, line: str) -> list[Entry]:
        """What `line` completes."""
        if not self._open and is_command(line):
            return [Command.of_line(line)]
        self._open = f"{self._open}\n{line}" if self._open else line
        found: list[Entry] = []
        if ";" in line or "\\" in line:
            statements, self._open = _take_complete(self._open)
            found.extend(statements)
        if _is_blank(self._open):
            self._open = ""
        return found

    def finish(self) -> list[Entry]:
        """At the end of a script: the last statement, which may lack its `;`. Raises 1064 for an open quote."""
        last, self._open = self._open, ""
        return [Statement(last.strip())] if tokens(last) else []


def _is_blank(text: str) -> bool:
    try:
        return not tokens(text)
    except SqlError:  # a quote is open
        return False


def _take_complete(text: str) -> tuple[list[Statement], str]:
    """(the statements that end in `text`, the rest). Nothing ends while a quote or a comment is open."""
    try:
        found = tokens(text)
    except SqlError:
        return [], text
    statements: list[Statement] = []
    start, skip_to = 0, 0
    for place, token in enumerate(found):
        if token.start < skip_to:
            continue
        if token.text == "/" and text.startswith("/*", token.start):
            break
        ending = _ending(text, found, place)
        if ending is None:
            continue
        end, vertical, every_s = ending
        sql = text[start : token.start].strip()
        if (sql and not _is_blank(sql)) or every_s is not None:
            statements.append(Statement(sql, vertical, every_s))
        start = skip_to = end
    return statements, text[start:].lstrip("\n") if statements or start else text


def _ending(text: str, found: list[Token], place: int) -> tuple[int, bool, float | None] | None:
    """(where the statement's end ends, vertical, every_s) if token `place` ends a statement."""
    token = found[place]
    if token.text == ";":
        return token.end, False, None
    if token.text != "\\":
        return None
    watch = _WATCH.match(text, token.start)
    if watch is not None:
        return watch.end(), False, float(watch[1] or DEFAULT_WATCH_S)
    show = _SHOW.match(text, token.start)
    return (show.end(), show[1] == "G", None) if show is not None else None
