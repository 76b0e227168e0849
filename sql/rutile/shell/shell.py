"""The shell itself: runs entries on a connection and shows what comes back."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rutile.dbapi import Connection
from rutile.errors import SqlError
from rutile.pep249 import Error, exception_of
from rutile.shell import commands
from rutile.shell.assembler import Assembler, Command, Entry, Statement
from rutile.shell.output import Output
from rutile.shell.places import pointed
from rutile.shell.plans import is_plan, plan_text
from rutile.shell.running import Outcome, run
from rutile.shell.settings import Settings

_DEFINITIONS = ("create", "drop", "alter", "rename", "truncate", "use")
Prompt = Callable[[str], str]


class Shell:
    """Runs statements and commands. Where a person is asked for them, errors are shown and it goes on."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings | None = None,
        out: TextIO | None = None,
        *,
        progress: TextIO | None = None,
    ) -> None:
        self.connection = connection
        self.settings = settings or Settings()
        self.output = Output(self.settings, out or sys.stdout)
        self.on_definition: Callable[[], None] = lambda: None
        """Called after a statement that may have changed names: completion learns them again."""
        self._progress = progress
        self._last = ""

    # --- many ---

    def run_script(self, text: str) -> int:
        """Run all of `text`; 0, or 1 after an error. It ends at the first one unless `settings.force`."""
        failed = False
        for entry in _entries(text):
            if isinstance(entry, Error):
                print(entry, file=sys.stderr)
                return 1
            try:
                if not self.run_entry(entry):
                    break
            except (Error, OSError) as error:
                print(self._explained(error, entry), file=sys.stderr)
                failed = True
                if not self.settings.force:
                    break
        return int(failed)

    def read_file(self, path: Path) -> None:
        """Run the statements of a file; raises at the first error. Raises OSError when it cannot be read."""
        for entry in _entries(path.read_text(encoding="utf-8")):
            if isinstance(entry, Error):
                raise entry
            self.run_entry(entry)

    def interact(self, prompt: Prompt) -> None:
        """Read with `prompt` until the end of input."""
        assembler = Assembler()
        while True:
            try:
                text = prompt(self._prompt_text(assembler))
            except KeyboardInterrupt:
                assembler.clear()
                continue
            except EOFError:
                return
            for line in text.split("\n"):
                if not all(self._guarded(entry) for entry in assembler.feed(line)):
                    return

    def _prompt_text(self, assembler: Assembler) -> str:
        if assembler.is_open:
            return "     -> "
        return "rutile*> " if self.connection.in_transaction else "rutile> "

    def _guarded(self, entry: Entry) -> bool:
        try:
            return self.run_entry(entry)
        except (Error, OSError) as error:
            self.output.say(self._explained(error, entry))
        except KeyboardInterrupt:  # while a result was being written
            self.output.say("^C")
        return True

    def _explained(self, error: Exception, entry: Entry) -> str:
        place = pointed(error, entry.sql) if isinstance(entry, Statement) else ""
        return f"{place}{error}"

    # --- one ---

    def run_entry(self, entry: Entry) -> bool:
        """Run a statement or a command; False when the shell should end. Raises Error, OSError."""
        if isinstance(entry, Command):
            return commands.act(self, entry)
        if entry.every_s is not None:
            self._watch(entry.sql or self._last, entry.every_s)
        else:
            self.run_statement(entry.sql, vertical=entry.vertical)
            self._last = entry.sql
        return True

    def run_statement(self, statement: str, *, vertical: bool = False) -> Outcome:
        """Run one statement and print its result, which is returned; raises what the connection raises."""
        outcome = run(self.connection, statement, self._progress)
        if statement.split(None, 1)[0].lower() in _DEFINITIONS:
            self.on_definition()
        self._show(outcome, vertical)
        return outcome

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, for commands that show them in their own way."""
        return run(self.connection, statement, self._progress).rows

    def _watch(self, statement: str, every_s: float) -> None:
        if not statement:
            raise commands.BadArgument(".watch: there is no statement yet")
        try:
            while True:
                self.output.say(f"{datetime.now():%H:%M:%S}  every {every_s:g} s, ^C ends")
                if self.run_statement(statement).interrupted:
                    break
                time.sleep(every_s)
        except KeyboardInterrupt:
            self.output.say("")

    def _show(self, outcome: Outcome, vertical: bool) -> None:
        took = f" ({outcome.seconds:.3f} sec)" if self.settings.timer else ""
        if outcome.names is None:
            self._remark(f"Query OK, {_count(outcome.affected_rows, 'row')} affected{took}")
            return
        if self.settings.chatty and not vertical and is_plan(outcome.names) and self._is_for_eyes:
            width = shutil.get_terminal_size().columns if self.output.is_terminal else None
            self.output.text(plan_text(outcome.names, outcome.rows, width))
            self._remark(took.strip(" ()") and f"({took.strip(' ()')})")
            return
        if outcome.rows or not self._is_for_eyes:
            self.output.result(outcome.names, outcome.rows, vertical=vertical)
        count = len(outcome.rows)
        self._remark(f"{_count(count, 'row')} in set{took}" if count else f"Empty set{took}")

    @property
    def _is_for_eyes(self) -> bool:
        return self.settings.format in ("table", "box")

    def _remark(self, text: str) -> None:
        if self.settings.chatty:
            self.output.say(text + "\n")


def _entries(text: str) -> Iterable[Entry | Error]:
    """The entries of a script; last the error, if its end is missing."""
    assembler = Assembler()
    for line in text.split("\n"):
        yield from assembler.feed(line)
    try:
        yield from assembler.finish()
    except SqlError as error:
        yield exception_of(error)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
