"""What talks to a cluster: `rutile shell`, `rutile import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rutile.cli.verbs import DEFAULT_PD, DEFAULT_SQL, Verbs, add_verb

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


def add_import(verbs: Verbs) -> None:
    """`rutile import`."""
    parser = add_verb(
        verbs,
        "import",
        "load a Parquet or CSV file into a table, in bulk\n"
        "The table must be empty (or not exist, with --create). Nobody sees any of the rows until all are in.\n"
        "TARGET is pd://host:port of a cluster or a directory for an embedded database.",
    )
    parser.add_argument("table", metavar="TABLE", help="name, or database.name")
    parser.add_argument("file", metavar="FILE", type=Path, help="a .parquet or .csv file (CSV: with a header line)")
    parser.add_argument("--target", default=f"pd://{DEFAULT_PD}", help=f"where (default pd://{DEFAULT_PD})")
    parser.add_argument("--create", action="store_true", help="create the table from the file's columns")
    parser.add_argument("--primary-key", metavar="COL[,COL]", help="with --create: the primary key")
    parser.add_argument("-D", "--database", default="test", help="database of the table (default test)")
    parser.set_defaults(run=_run_import)


def _run_shell(options: argparse.Namespace) -> int:
    from rutile.dbapi import connect
    from rutile.shell import run_shell

    connection = connect(options.target, database=options.database)
    try:
        return run_shell(connection, script=options.execute, fmt=options.format, force=options.force)
    finally:
        connection.close()


def _run_import(options: argparse.Namespace) -> int:
    from rutile.ingest.import_file import import_file

    key = tuple(options.primary_key.split(",")) if options.primary_key else ()
    database, _, table = options.table.rpartition(".")
    import_file(
        options.target, database or options.database, table, options.file, create=options.create, primary_key=key
    )
    return 0
