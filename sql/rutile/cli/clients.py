"""What talks to a cluster: `rutile shell`."""

from __future__ import annotations

import argparse

from rutile.cli.verbs import DEFAULT_SQL, Verbs, add_verb

FORMATS = ("table", "box", "markdown", "line", "csv", "json")
"""What `rutile.display` writes; named here, so that `rutile --help` does not load it."""


def add_shell(verbs: Verbs) -> None:
    """`rutile shell`."""
    parser = add_verb(
        verbs,
        "shell",
        "a SQL prompt; also runs -e SQL and piped scripts\n"
        "TARGET is host:port of a SQL server, pd://host:port of a cluster, or a directory for an embedded database.",
    )
    parser.add_argument("target", nargs="?", default=DEFAULT_SQL, help=f"where to connect (default {DEFAULT_SQL})")
    parser.add_argument("-e", "--execute", metavar="SQL", help="run these statements and leave")
    parser.add_argument("-D", "--database", default="test", help="database to USE first (default test)")
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print results (default table)")
    parser.add_argument("--force", action="store_true", help="go on after an error in a script; the exit code stays 1")
    parser.set_defaults(run=_run_shell, usual_log_level="warning")


def _run_shell(options: argparse.Namespace) -> int:
    from rutile.dbapi import connect
    from rutile.shell import run_shell

    connection = connect(options.target, database=options.database)
    try:
        return run_shell(connection, script=options.execute, fmt=options.format, force=options.force)
    finally:
        connection.close()
