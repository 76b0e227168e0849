"""Rows from files and to files: `rutile import`, `rutile export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.cli.verbs import DEFAULT_PD, Verbs, add_verb

if TYPE_CHECKING:
    from rutile.ingest.csv_source import CsvOptions

TARGET_HELP = f"pd://host:port of a cluster, or a directory (default pd://{DEFAULT_PD})"


def add_import(verbs: Verbs) -> None:
    """`rutile import`."""
    parser = add_verb(
        verbs,
        "import",
        "load a Parquet or CSV file into a table, in bulk\n"
        "The table must be empty (or not exist, with --create). Nobody sees any of the rows until all are in, and\n"
        "after an error none are. If this process dies, `rutile import --resume JOB` goes on where it was (SHOW\n"
        "IMPORT JOBS lists them), and `--cancel JOB` removes what it had written.",
    )
    parser.add_argument("table", metavar="TABLE", nargs="?", help="name, or database.name")
    parser.add_argument(
        "file", metavar="FILE", type=Path, nargs="?", help="a .parquet or .csv file (CSV: with a header line)"
    )
    parser.add_argument("--target", default=f"pd://{DEFAULT_PD}", help=f"where: {TARGET_HELP}")
    parser.add_argument("--create", action="store_true", help="create the table from the file's columns")
    parser.add_argument("--primary-key", metavar="COL[,COL]", help="with --create: the primary key")
    parser.add_argument("-D", "--database", default="test", help="database of the table (default test)")
    parser.add_argument("--delimiter", default=None, metavar="CHAR", help="CSV: between fields (default a comma)")
    parser.add_argument(
        "--skip-bad", type=int, default=0, metavar="N", help="CSV: leave out up to N bad lines, and tell which"
    )
    parser.add_argument(
        "--no-mirror",
        action="store_true",
        help="leave it to the first analytical query to decode the rows (default: done at the end of a large import)",
    )
    jobs = parser.add_mutually_exclusive_group()
    jobs.add_argument("--resume", type=int, metavar="JOB", help="go on with an import whose process died")
    jobs.add_argument("--cancel", type=int, metavar="JOB", help="stop an import, and remove its rows")
    parser.set_defaults(run=_run_import, usual_log_level="warning")


def add_export(verbs: Verbs) -> None:
    """`rutile export`."""
    parser = add_verb(
        verbs,
        "export",
        "write a table, or a query's rows, to Parquet or CSV, as of one timestamp\n"
        "A table, and a query that only filters and computes, is streamed: memory holds the rows of one region. The\n"
        "file has its name once it is complete. A directory gets files of two million rows.",
    )
    parser.add_argument("table", metavar="TABLE", nargs="?", help="name, or database.name")
    parser.add_argument("--query", metavar="SQL", help="a SELECT, in place of TABLE")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE|DIR", help="x.parquet, x.csv, or a directory")
    parser.add_argument("--format", choices=("parquet", "csv"), help="for a directory (default parquet)")
    parser.add_argument("--as-of", metavar="MOMENT", help="the rows of then: '2026-01-31 12:00:00', UTC")
    parser.add_argument("--target", default=f"pd://{DEFAULT_PD}", help=f"from where: {TARGET_HELP}")
    parser.add_argument("-D", "--database", default="test", help="database of the table (default test)")
    parser.set_defaults(run=_run_export, usual_log_level="warning")


def _run_import(options: argparse.Namespace) -> int:
    from rutile_kv.env.heap import keep_freed_memory

    keep_freed_memory()
    from rutile.ingest.import_file import cancel_import, import_file, resume_import
    from rutile_proto.errors import InvalidRequest

    if options.cancel is not None:
        cancel_import(options.target, options.cancel)
        print(f"import job {options.cancel} is cancelled; its rows are removed")
        return 0
    if options.resume is not None:
        print(f"{resume_import(options.target, options.resume):,} rows")
        return 0
    if options.table is None or options.file is None:
        raise InvalidRequest("want TABLE and FILE, or --resume JOB, or --cancel JOB")
    key = tuple(options.primary_key.split(",")) if options.primary_key else ()
    database, _, table = options.table.rpartition(".")
    rows = import_file(
        options.target, database or options.database, table, options.file, create=options.create, primary_key=key,
        csv=_csv_options(options), mirror=not options.no_mirror,
    )  # fmt: skip
    print(f"{rows:,} rows")
    return 0


def _csv_options(options: argparse.Namespace) -> CsvOptions | None:
    """None if the command line says nothing of it."""
    from rutile.ingest.csv_source import CsvOptions

    if options.delimiter is None and not options.skip_bad:
        return None
    usual = "\t" if options.file.suffix.lower() == ".tsv" else ","
    return CsvOptions(delimiter=options.delimiter or usual, skip_bad=options.skip_bad)


def _run_export(options: argparse.Namespace) -> int:
    from rutile.ingest.export import export

    rows = export(
        options.target, options.database, options.to, table=options.table, query=options.query, form=options.format,
        as_of=options.as_of,
    )  # fmt: skip
    print(f"{rows:,} rows")
    return 0
