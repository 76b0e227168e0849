"""The commands of the shell: one table, from which help and completion are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.pep249 import Error
from rutile.shell.assembler import DEFAULT_WATCH_S, Command, Statement
from rutile.shell.settings import FORMATS

if TYPE_CHECKING:
    from rutile.shell.shell import Shell

Action = Callable[["Shell", str], bool]
"""Does it; False when the shell should end. Raises BadArgument, Error, OSError."""


class BadArgument(Error):
    """A command was given what it does not know; the text says what it knows."""


@dataclass(frozen=True)
class CommandHelp:
    """A command: the names it goes by, and what help says of it."""

    names: tuple[str, ...]
    arguments: str
    text: str
    act: Action


def act(shell: Shell, command: Command) -> bool:
    """Do what `command` says; False when the shell should end."""
    for each in COMMANDS:
        if command.name in each.names:
            return each.act(shell, command.argument)
    raise BadArgument(f"there is no command {command.name}; .help lists them")


def help_text() -> str:
    """All commands, one a line."""
    lines = ["Statements end with `;`, with \\G (one field a line) or with \\watch [seconds] (again and again)."]
    for each in COMMANDS:
        names = " ".join(f"\\{name}" if len(name) < 3 else f".{name}" for name in each.names)
        lines.append(f"  {f'{names} {each.arguments}'.strip():<40} {each.text}")
    return "\n".join(lines) + "\n"


def command_names() -> list[str]:
    """Every name, as it may be typed."""
    return [prefix + name for each in COMMANDS for name in each.names for prefix in ("\\", ".")]


def quoted(name: str) -> str:
    """`name`, or `database.name`, for use in a statement."""
    parts = [part.strip("`").replace("`", "``") for part in name.split(".")]
    return ".".join(f"`{part}`" for part in parts)


# --- the catalogue ---


def _describe(shell: Shell, table: str) -> bool:
    if not table:
        return _tables(shell, "")
    shell.run_statement(f"DESCRIBE {quoted(table)}")
    indexes = shell.query(f"SHOW INDEX FROM {quoted(table)}")
    by_name: dict[str, list[str]] = {}
    unique: dict[str, bool] = {}
    for row in indexes:
        by_name.setdefault(str(row[2]), []).append(str(row[4]))
        unique[str(row[2])] = str(row[1]) == "0"
    for name, columns in by_name.items():
        shell.output.text(f"  {'unique ' if unique[name] else ''}index {name} ({', '.join(columns)})\n")
    return True


def _tables(shell: Shell, database: str) -> bool:
    shell.run_statement(f"SHOW TABLES FROM {quoted(database)}" if database else "SHOW TABLES")
    return True


def _databases(shell: Shell, _: str) -> bool:
    shell.run_statement("SHOW DATABASES")
    return True


def _schema(shell: Shell, table: str) -> bool:
    names = [table] if table else [str(row[0]) for row in shell.query("SHOW TABLES")]
    for name in names:
        definition = shell.query(f"SHOW CREATE TABLE {quoted(name)}")[0][1]
        shell.output.text(f"{definition};\n")
    return True


def _use(shell: Shell, database: str) -> bool:
    shell.run_statement(f"USE {quoted(database)}")
    return True


# --- how results are shown ---


def _mode(shell: Shell, name: str) -> bool:
    if name not in FORMATS:
        raise BadArgument(f".mode {name or '(nothing)'}: want one of {', '.join(FORMATS)}")
    shell.settings.format = name
    return True


def _timer(shell: Shell, argument: str) -> bool:
    shell.settings.timer = _on_or_off("timer", argument)
    return True


def _pager(shell: Shell, argument: str) -> bool:
    shell.settings.pager = _on_or_off("pager", argument)
    return True


def _on_or_off(name: str, argument: str) -> bool:
    if argument not in ("on", "off"):
        raise BadArgument(f".{name} {argument or '(nothing)'}: want on or off")
    return argument == "on"


def _output(shell: Shell, path: str) -> bool:
    shell.output.redirect(Path(path) if path and path != "stdout" else None)
    return True


# --- running ---


def _read(shell: Shell, path: str) -> bool:
    if not path:
        raise BadArgument(".read: want the name of a file with statements")
    shell.read_file(Path(path).expanduser())
    return True


def _watch(shell: Shell, seconds: str) -> bool:
    try:
        every_s = float(seconds or DEFAULT_WATCH_S)
    except ValueError:
        raise BadArgument(f".watch {seconds}: want seconds between two runs") from None
    shell.run_entry(Statement("", every_s=every_s))
    return True


def _help(shell: Shell, _: str) -> bool:
    shell.output.say(help_text())
    return True


def _quit(_: Shell, __: str) -> bool:
    return False


COMMANDS: tuple[CommandHelp, ...] = (
    CommandHelp(("d", "describe"), "[table]", "a table's columns and indexes; without one: the tables", _describe),
    CommandHelp(("dt", "tables"), "[database]", "the tables", _tables),
    CommandHelp(("l", "databases"), "", "the databases", _databases),
    CommandHelp(("schema",), "[table]", "CREATE TABLE of a table, or of all", _schema),
    CommandHelp(("c", "use"), "database", "go to another database", _use),
    CommandHelp(("mode", "format"), "|".join(FORMATS), "how results are shown", _mode),
    CommandHelp(("timer",), "on|off", "print how long statements take", _timer),
    CommandHelp(("pager",), "on|off", "long results through $PAGER, or less", _pager),
    CommandHelp(("o", "output"), "[file]", "results into a file; without one: back to the screen", _output),
    CommandHelp(("i", "read"), "file", "run the statements of a file", _read),
    CommandHelp(("watch",), "[seconds]", "run the last statement again and again, until ^C", _watch),
    CommandHelp(("h", "?", "help"), "", "this list", _help),
    CommandHelp(("q", "quit", "exit"), "", "leave; so does ^D", _quit),
)
