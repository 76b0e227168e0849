"""`rutile shell`: statements in, tables out; at a terminal, through a pipe, or from `-e`.

    lines ─► assembler ─► Statement ─► running (a thread; ^C cancels) ─► output ─► screen | pager | file
                     └──► Command ───► commands (\\d, .mode, .read, ...)

    settings.py     what the user can turn: format, timer, pager
    assembler.py    lines into statements (`;`, \\G, \\watch) and commands
    running.py      one statement, its ^C and its progress line
    output.py       fits results to the terminal, pages long ones, writes files
    plans.py        EXPLAIN [ANALYZE] as a tree with rows, times and places
    places.py       the mark under what an error names
    names.py        tables and columns for completion, from the catalogue
    completion.py   what may come next; pure
    prompt.py       the line editor (prompt_toolkit), the only part that needs the extra `shell`
    shell.py        Shell, which joins them

What holds:

* A session outlives everything that goes wrong in it: errors are shown with their place, ^C stops the statement.
* Through a pipe or from `-e` nothing is decorated (no row counts, no fitting, no pager) and the first error ends the
  script with exit code 1, so that scripts fail loudly; `--force` goes on, and the exit code stays 1.
* Completion asks on a session of its own: it never takes part in the user's transaction.

Not done, on purpose: a progress in rows (a store answers a fragment when it is finished, not while it runs), favourites
and macros, editing of result cells.
"""

from __future__ import annotations

import sys

from rutile.dbapi import Connection
from rutile.shell.names import CatalogNames
from rutile.shell.prompt import terminal_prompt
from rutile.shell.settings import FORMATS, Settings
from rutile.shell.shell import Shell

__all__ = ["FORMATS", "Settings", "Shell", "run_shell"]


def run_shell(connection: Connection, *, script: str | None, fmt: str, force: bool = False) -> int:
    """What `rutile shell` does once connected; the exit code."""
    if script is None and sys.stdin.isatty():
        return _interact(connection, fmt)
    text = sys.stdin.read() if script is None else script
    shell = Shell(connection, Settings(fmt, timer=False, chatty=False, pager=False, force=force))
    try:
        return shell.run_script(text)
    finally:
        shell.output.close()


def _interact(connection: Connection, fmt: str) -> int:
    print("Statements end with `;`. \\h for help, \\q or ^D to leave.\n")
    names = CatalogNames(connection)
    shell = Shell(connection, Settings(fmt), progress=sys.stderr if sys.stderr.isatty() else None)
    shell.on_definition = names.forget
    try:
        shell.interact(terminal_prompt(names))
    finally:
        names.close()
        shell.output.close()
    return 0
