"""The `rutile` command. Each verb's help says what it does, what it prints, and what to do next.

    verbs       how a verb is added, and the addresses everybody starts from
    servers     one role a process: pd, kv, sql; or all in one: standalone
    tryout      everything at once on this machine: demo, playground
    clients     what talks to a cluster: shell
    files       rows from files and to files: import, export
    flight      options of what serves Arrow Flight
    ctl         what looks after a cluster: the commands of `rutile.ctl`
    settings    --config FILE and --set NAME=VALUE

A verb's module is imported to build the parser; what the verb runs is imported when it runs, so that
`rutile --help` and a role do not load what they do not use.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from rutile.cli import clients, ctl, files, servers, tryout

EPILOG = """\
start here:
  rutile demo                            a cluster with TPC-H data in it, one query explained, then a shell
  rutile playground                      an empty cluster: placement driver, three stores, SQL
  rutile standalone --data mydir         a whole database in one process
  rutile shell                           talk SQL to either
  rutile import item item.parquet --create
  rutile export item --to item.csv
  rutile ctl stores                      look after a cluster
  python -c 'import rutile; print(rutile.connect("mydir").execute("SELECT 1").fetchall())'
"""
VERBS = (
    tryout.add_demo,
    tryout.add_playground,
    clients.add_shell,
    files.add_import,
    files.add_export,
    servers.add_pd,
    servers.add_kv,
    servers.add_sql,
    servers.add_standalone,
    ctl.add_ctl,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=getattr(logging, (options.log_level or options.usual_log_level).upper()),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    from rutile_proto.errors import RutileError

    try:
        return int(options.run(options))
    except (RutileError, _usage_error()) as error:
        print(f"rutile {options.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _usage_error() -> type[Exception]:
    from rutile.pep249 import Error

    return Error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rutile",
        description="Rutile: a replicated, transactional database with SQL that runs next to the data.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    levels = ["debug", "info", "warning", "error"]
    parser.add_argument("--log-level", choices=levels, help="how much to log (default: info; of the shell: warning)")
    parser.set_defaults(usual_log_level="info")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in VERBS:
        add(verbs)
    return parser
