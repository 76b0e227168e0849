"""One role a process: `rutile pd`, `rutile kv`, `rutile sql`; or all in one: `rutile standalone`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.cli.flight import add_flight_options, flight_options
from rutile.cli.mysql import add_mysql_options, mysql_options
from rutile.cli.settings import add_settings_options, with_settings
from rutile.cli.verbs import (
    DEFAULT_KV,
    DEFAULT_PD,
    DEFAULT_SQL,
    LOOPBACK_HOSTS,
    Verbs,
    add_verb,
    check_address,
)

if TYPE_CHECKING:
    from rutile.nodes.processes import Role
    from rutile.session.file_access import FileAccess


PD_TEXT = """\
run a placement driver, or a member of one
Prints `ready pd ADDRESS` once it serves. Three members go on when any one of them is lost. Start each with the same
--initial-cluster, which counts only while its directory is new:

  rutile pd --data d1 --addr 127.0.0.1:2379 --name pd1 \\
    --initial-cluster pd1=127.0.0.1:2379,pd2=127.0.0.1:2389,pd3=127.0.0.1:2399"""


def add_pd(verbs: Verbs) -> None:
    """`rutile pd`."""
    parser = add_verb(verbs, "pd", PD_TEXT)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it keeps its state")
    parser.add_argument("--name", default="pd", help="this member's name (default pd)")
    parser.add_argument(
        "--initial-cluster", default="", metavar="NAME=ADDR,...", help="the members that found a cluster together"
    )
    parser.add_argument(
        "--join", default="", metavar="ADDR[,ADDR]", help="become one more member of the placement driver that is there"
    )
    parser.add_argument("--max-replicas", type=int, default=3, help="peers a region should have (default 3)")
    parser.add_argument(
        "--max-store-down", type=float, default=1800.0, metavar="SECONDS",
        help="replace the peers of a store silent for this long (default 1800)",
    )  # fmt: skip
    _add_role_options(parser, DEFAULT_PD)
    add_settings_options(parser)
    parser.set_defaults(run=_run_pd)


def add_kv(verbs: Verbs) -> None:
    """`rutile kv`."""
    parser = add_verb(verbs, "kv", "run a store\nPrints `ready kv ADDRESS` once it serves.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it keeps its data")
    parser.add_argument("--pd", default=DEFAULT_PD, metavar="ADDR[,ADDR]", help=f"placement driver ({DEFAULT_PD})")
    parser.add_argument(
        "--advertise-addr", metavar="ADDR", help="what others dial to reach this store (default: where it listens)"
    )
    parser.add_argument(
        "--advertise-peer-addr",
        metavar="ADDR",
        help="what other stores dial for Raft messages (default: the same host)",
    )
    add_flight_options(parser, "clients that fetch large scans straight from stores (Arrow Flight)")
    _add_role_options(parser, DEFAULT_KV)
    add_settings_options(parser)
    parser.set_defaults(run=_run_kv)


def add_sql(verbs: Verbs) -> None:
    """`rutile sql`."""
    parser = add_verb(
        verbs,
        "sql",
        "run a SQL front end\n"
        "Prints `ready sql ADDRESS mysql=ADDRESS [flight=LOCATION]` once it serves.\n"
        "Clients are users of the cluster; root has no password until it is given one.",
    )
    parser.add_argument("--pd", default=DEFAULT_PD, metavar="ADDR[,ADDR]", help=f"placement driver ({DEFAULT_PD})")
    _add_role_options(parser, DEFAULT_SQL)
    add_mysql_options(parser)
    parser.add_argument(
        "--tikv-only", action="store_true",
        help="the stores at --pd speak TiKV's protocol and no more: fetch rows, run everything here",
    )  # fmt: skip
    add_flight_options(parser, "Arrow Flight SQL clients, 31337 being the usual port")
    _add_file_option(parser)
    parser.set_defaults(run=_run_sql)


STANDALONE_TEXT = """\
run a whole database in one process: placement driver, one store, SQL
Prints `ready standalone ADDRESS mysql=ADDRESS` once it serves. One copy of the data, in --data, durable at each commit;
no network between SQL and the data, so small statements cost a fraction of what they cost in a cluster.

  rutile standalone --data mydir
  mysql -h 127.0.0.1 -P 4000 -u root"""


def add_standalone(verbs: Verbs) -> None:
    """`rutile standalone`."""
    parser = add_verb(verbs, "standalone", STANDALONE_TEXT)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it keeps its data")
    _add_role_options(parser, DEFAULT_SQL)
    add_mysql_options(parser)
    _add_file_option(parser)
    parser.set_defaults(run=_run_standalone)


def _add_role_options(parser: argparse.ArgumentParser, default_address: str) -> None:
    parser.add_argument("--addr", default=default_address, help=f"listen here (default {default_address}; port 0: any)")
    parser.add_argument(
        "--insecure", action="store_true", help="listen on more than loopback although nothing is encrypted yet"
    )
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop when standard input ends, so that a dead parent takes us along",
    )


SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter to itself while others want it. A query gives it up and wants it back some
dozen times, in DuckDB's scans too; with CPython's 5 ms, a sum over six million rows took 58 ms beside a busy loop in
the same process, 25 so, and 19 beside a busy process."""
COLLECT_AFTER = 20_000, 20, 20
"""When CPython's search for cycles runs: new objects, and rounds among younger ones. A message's coroutines and records
are many, live until its answer, and go by their reference counts; looking at them after every 700, as CPython does of
its own accord, was a tenth of a transaction's processor time."""


def tune_interpreter() -> None:
    """What a process that serves wants of CPython, whatever its role."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)


def _run_pd(options: argparse.Namespace) -> int:
    from rutile_pd.consensus.members import parse_founders
    from rutile_pd.node import PdConfig, PdNode

    check_address(options)
    founders = parse_founders(options.initial_cluster) if options.initial_cluster else ()
    stated = PdConfig(name=options.name, max_replicas=options.max_replicas, max_store_down_s=options.max_store_down)
    config = with_settings(stated, options)
    join = options.join.split(",") if options.join else ()
    return _serve(options, lambda: PdNode(options.data, options.addr, config=config, founders=founders, join=join))


def _run_kv(options: argparse.Namespace) -> int:
    from rutile_kv.server.config import StoreConfig
    from rutile_kv.server.node import StoreNode

    check_address(options)
    stated = StoreConfig(
        data_dir=options.data,
        address=options.addr,
        advertise_address=options.advertise_addr,
        advertise_peer_address=options.advertise_peer_addr,
        pd_addresses=tuple(options.pd.split(",")),
        flight=flight_options(options, needs_secret=True),
    )
    config = with_settings(stated, options)
    return _serve(options, lambda: StoreNode(config))


def _run_sql(options: argparse.Namespace) -> int:
    from rutile.nodes.sql_node import SqlNode, of_cluster

    check_address(options)
    mysql = mysql_options(options)
    flight = flight_options(options, needs_secret=False)
    if flight is not None and not mysql.password:
        _check_loopback(options.flight_addr)
    cluster = of_cluster(options.pd.split(","), tikv_only=options.tikv_only)
    files = _files(options)
    return _serve(options, lambda: SqlNode(cluster, options.addr, options.mysql_addr, mysql, flight, files))


def _run_standalone(options: argparse.Namespace) -> int:
    from rutile.nodes.sql_node import SqlNode, standalone

    check_address(options)
    mysql = mysql_options(options)
    opened, files = standalone(options.data), _files(options)
    return _serve(options, lambda: SqlNode(opened, options.addr, options.mysql_addr, mysql, files=files))


def _add_file_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--secure-file-priv",
        type=Path,
        metavar="DIR",
        help="IMPORT INTO and INTO OUTFILE may use files here and below (default: none anywhere)",
    )


def _files(options: argparse.Namespace) -> FileAccess:
    """Raises InvalidRequest for what is no directory."""
    from rutile.session.file_access import FileAccess
    from rutile_proto.errors import InvalidRequest

    allowed: Path | None = options.secure_file_priv
    if allowed is not None and not allowed.is_dir():
        raise InvalidRequest(f"--secure-file-priv {allowed}: there is no such directory")
    return FileAccess(None if allowed is None else str(allowed.resolve()))


def _check_loopback(flight_address: str) -> None:
    from rutile_proto.errors import InvalidRequest

    if flight_address.rpartition(":")[0] not in LOOPBACK_HOSTS:
        raise InvalidRequest(f"--flight-addr {flight_address} wants --mysql-password-file: root has no password")


def _serve(options: argparse.Namespace, make_role: Callable[[], Role]) -> int:
    """Run one role until it is told to stop; it is made on the loop it runs on."""
    from rutile.nodes.processes import loop_factory, serve

    async def run() -> None:
        await serve(options.verb, make_role(), options.stop_with_stdin)

    tune_interpreter()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
    return 0
