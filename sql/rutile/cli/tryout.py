"""Everything at once on this machine: `rutile demo`, `rutile playground`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rutile.cli.verbs import Verbs, add_verb


def add_demo(verbs: Verbs) -> None:
    """`rutile demo`."""
    parser = add_verb(
        verbs,
        "demo",
        "a cluster with TPC-H data, a query explained, then a shell\n"
        "Starts a playground, makes TPC-H data (needs `pip install 'rutile[demo]'`), imports it, shows where a query\n"
        "ran, and opens the shell if there is a terminal. Everything is stopped and removed at the end.",
    )
    parser.add_argument("--scale", type=float, default=0.1, help="TPC-H scale factor (default 0.1: 866,602 rows)")
    parser.add_argument("--kv", type=int, default=3, metavar="N", help="number of stores (default 3)")
    parser.set_defaults(run=_run_demo)


def add_playground(verbs: Verbs) -> None:
    """`rutile playground`."""
    parser = add_verb(
        verbs,
        "playground",
        "placement driver, stores and SQL as processes on this machine\n"
        "Prints the endpoints, then `ready`. ^C or SIGTERM stops everything. Without --data the data is temporary.",
    )
    parser.add_argument("--kv", type=int, default=3, metavar="N", help="number of stores (default 3)")
    parser.add_argument(
        "--pd",
        type=int,
        default=1,
        metavar="N",
        help="members of the placement driver (default 1; 3 outlive the loss of one)",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep data and logs here (default: a temporary one)")
    parser.add_argument("--pd-port", type=int, default=2379, help="port of the placement driver (0: any; default 2379)")
    parser.add_argument("--kv-port", type=int, default=20160, help="port of the first store (0: any; default 20160)")
    parser.add_argument("--sql-port", type=int, default=4001, help="port of the SQL server (0: any; default 4001)")
    parser.add_argument("--mysql-port", type=int, default=4000, help="port for MySQL clients (0: any; default 4000)")
    parser.add_argument(
        "--flight-port", type=int, default=31337, help="port for Arrow Flight SQL clients (0: any; default 31337)"
    )
    parser.set_defaults(run=_run_playground)


def _run_demo(options: argparse.Namespace) -> int:
    from rutile.nodes.demo import run_demo

    return run_demo(options.scale, options.kv)


def _run_playground(options: argparse.Namespace) -> int:
    from rutile.nodes.playground import Playground, run_until_stopped

    playground = Playground(
        options.kv, options.data, pds=options.pd,
        pd_port=options.pd_port, kv_port=options.kv_port, sql_port=options.sql_port,
        mysql_port=options.mysql_port, flight_port=options.flight_port,
    )  # fmt: skip
    return run_until_stopped(playground)
