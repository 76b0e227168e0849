"""The `rutile` command. Each verb's help says what it does, what it prints, and what to do next."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rutile.processes import Role

DEFAULT_PD = "127.0.0.1:2379"
DEFAULT_KV = "127.0.0.1:20160"
DEFAULT_SQL = "127.0.0.1:4001"
DEFAULT_MYSQL = "127.0.0.1:4000"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")

EPILOG = """\
start here:
  rutile demo                            a cluster with TPC-H data in it, one query explained, then a shell
  rutile playground                      an empty cluster: placement driver, three stores, SQL
  rutile shell                           talk SQL to it
  rutile import item item.parquet --create
  python -c 'import rutile; print(rutile.connect("mydir").execute("SELECT 1").fetchall())'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=getattr(logging, options.log_level.upper()),
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
    parser.add_argument("--log-level", default="info", choices=levels, help="how much to log (default: info)")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (_add_demo, _add_playground, _add_shell, _add_import, _add_pd, _add_kv, _add_sql):
        add(verbs)
    return parser


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    first, _, rest = text.partition("\n")
    formatter = argparse.RawDescriptionHelpFormatter
    return verbs.add_parser(name, help=first, description=first + "\n" + rest, formatter_class=formatter)


def _add_demo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs,
        "demo",
        "a cluster with TPC-H data, a query explained, then a shell\n"
        "Starts a playground, makes TPC-H data (needs `pip install 'rutile[demo]'`), imports it, shows where a query\n"
        "ran, and opens the shell if there is a terminal. Everything is stopped and removed at the end.",
    )
    parser.add_argument("--scale", type=float, default=0.1, help="TPC-H scale factor (default 0.1: 866,602 rows)")
    parser.add_argument("--kv", type=int, default=3, metavar="N", help="number of stores (default 3)")
    parser.set_defaults(run=_run_demo)


def _add_playground(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs,
        "playground",
        "placement driver, stores and SQL as processes on this machine\n"
        "Prints the endpoints, then `ready`. ^C or SIGTERM stops everything. Without --data the data is temporary.",
    )
    parser.add_argument("--kv", type=int, default=3, metavar="N", help="number of stores (default 3)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep data and logs here (default: a temporary one)")
    parser.add_argument("--pd-port", type=int, default=2379, help="port of the placement driver (0: any; default 2379)")
    parser.add_argument("--kv-port", type=int, default=20160, help="port of the first store (0: any; default 20160)")
    parser.add_argument("--sql-port", type=int, default=4001, help="port of the SQL server (0: any; default 4001)")
    parser.add_argument("--mysql-port", type=int, default=4000, help="port for MySQL clients (0: any; default 4000)")
    parser.set_defaults(run=_run_playground)


def _add_shell(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs,
        "shell",
        "a SQL prompt; also runs -e SQL and piped scripts\n"
        "TARGET is host:port of a SQL server, pd://host:port of a cluster, or a directory for an embedded database.",
    )
    parser.add_argument("target", nargs="?", default=DEFAULT_SQL, help=f"where to connect (default {DEFAULT_SQL})")
    parser.add_argument("-e", "--execute", metavar="SQL", help="run these statements and leave")
    parser.add_argument("-D", "--database", default="test", help="database to USE first (default test)")
    parser.add_argument("--format", choices=["table", "csv", "json"], default="table", help="how to print results")
    parser.set_defaults(run=_run_shell)


def _add_import(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs,
        "import",
        "load a Parquet or CSV file into a table, in bulk\n"
        "The table must be empty (or not exist, with --create). Nobody sees any of the rows until all are in.\n"
        "TARGET is pd://host:port of a cluster or a directory for an embedded database.",
    )
    parser.add_argument("table", metavar="TABLE", help="name, or database.name")
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a .parquet or .csv file (CSV: with a header line)"
    )
    parser.add_argument("--target", default=f"pd://{DEFAULT_PD}", help=f"where (default pd://{DEFAULT_PD})")
    parser.add_argument("--create", action="store_true", help="create the table from the file's columns")
    parser.add_argument("--primary-key", metavar="COL[,COL]", help="with --create: the primary key")
    parser.add_argument("-D", "--database", default="test", help="database of the table (default test)")
    parser.set_defaults(run=_run_import)


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


def _add_pd(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(verbs, "pd", "run a placement driver\nPrints `ready pd ADDRESS` once it serves.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it keeps its state")
    parser.add_argument("--max-replicas", type=int, default=3, help="peers a region should have (default 3)")
    parser.add_argument(
        "--max-store-down", type=float, default=1800.0, metavar="SECONDS",
        help="replace the peers of a store silent for this long (default 1800)",
    )  # fmt: skip
    _add_role_options(parser, DEFAULT_PD)
    parser.set_defaults(run=_run_pd)


def _add_kv(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(verbs, "kv", "run a store\nPrints `ready kv ADDRESS` once it serves.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where it keeps its data")
    parser.add_argument("--pd", default=DEFAULT_PD, metavar="ADDR[,ADDR]", help=f"placement driver ({DEFAULT_PD})")
    _add_role_options(parser, DEFAULT_KV)
    parser.set_defaults(run=_run_kv)


def _add_sql(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs,
        "sql",
        "run a SQL front end\n"
        "Prints `ready sql ADDRESS mysql=ADDRESS` once it serves. MySQL clients come in as root.",
    )
    parser.add_argument("--pd", default=DEFAULT_PD, metavar="ADDR[,ADDR]", help=f"placement driver ({DEFAULT_PD})")
    _add_role_options(parser, DEFAULT_SQL)
    parser.add_argument(
        "--mysql-addr", default=DEFAULT_MYSQL, metavar="ADDR",
        help=f"listen here for MySQL clients (default {DEFAULT_MYSQL}; port 0: any)",
    )  # fmt: skip
    parser.add_argument(
        "--mysql-password-file", type=Path, metavar="FILE",
        help="root's password for MySQL clients is the first line of FILE (default: empty, on loopback only)",
    )  # fmt: skip
    parser.set_defaults(run=_run_sql)


def _check_address(options: argparse.Namespace, option: str = "--addr") -> None:
    """Refuse to serve strangers unencrypted by accident."""
    from rutile_proto.errors import InvalidRequest

    address = getattr(options, option.removeprefix("--").replace("-", "_"))
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise InvalidRequest(f"{option} {address}: want host:port")
    if host not in LOOPBACK_HOSTS and not options.insecure:
        raise InvalidRequest(
            f"{option} {address} is reachable from other machines and nothing is encrypted or checked yet:"
            " use 127.0.0.1, or add --insecure if that is what you want"
        )


def _run_pd(options: argparse.Namespace) -> int:
    from rutile_pd.node import PdConfig, PdNode

    _check_address(options)
    config = PdConfig(max_replicas=options.max_replicas, max_store_down_s=options.max_store_down)
    return _serve(options, lambda: PdNode(options.data, options.addr, config=config))


def _run_kv(options: argparse.Namespace) -> int:
    from rutile_kv.server.config import StoreConfig
    from rutile_kv.server.node import StoreNode

    _check_address(options)
    config = StoreConfig(data_dir=options.data, address=options.addr, pd_addresses=tuple(options.pd.split(",")))
    return _serve(options, lambda: StoreNode(config))


def _run_sql(options: argparse.Namespace) -> int:
    from rutile.mysql.connection import ServerOptions
    from rutile.sql_node import SqlNode

    _check_address(options)
    _check_address(options, "--mysql-addr")
    mysql_options = ServerOptions(password=_mysql_password(options))
    return _serve(options, lambda: SqlNode(options.pd.split(","), options.addr, options.mysql_addr, mysql_options))


def _mysql_password(options: argparse.Namespace) -> str:
    """The password of MySQL's root; it may be empty on loopback only."""
    from rutile_proto.errors import InvalidRequest

    if options.mysql_password_file is None:
        password = ""
    else:
        try:
            password = options.mysql_password_file.read_text().partition("\n")[0].rstrip("\r")
        except OSError as error:
            raise InvalidRequest(f"--mysql-password-file {options.mysql_password_file}: {error.strerror}") from error
    if not password and options.mysql_addr.rpartition(":")[0] not in LOOPBACK_HOSTS:
        raise InvalidRequest(f"--mysql-addr {options.mysql_addr} wants --mysql-password-file: root has no password")
    return password


def _serve(options: argparse.Namespace, make_role: Callable[[], Role]) -> int:
    """Run one role until it is told to stop; it is made on the loop it runs on."""
    from rutile.processes import serve

    async def run() -> None:
        await serve(options.verb, make_role(), options.stop_with_stdin)

    asyncio.run(run())
    return 0


def _run_playground(options: argparse.Namespace) -> int:
    from rutile.playground import Playground, run_until_stopped

    playground = Playground(
        options.kv, options.data, pd_port=options.pd_port, kv_port=options.kv_port, sql_port=options.sql_port,
        mysql_port=options.mysql_port,
    )  # fmt: skip
    return run_until_stopped(playground)


def _run_demo(options: argparse.Namespace) -> int:
    from rutile.demo import run_demo

    return run_demo(options.scale, options.kv)


def _run_shell(options: argparse.Namespace) -> int:
    from rutile.dbapi import connect
    from rutile.shell import run_shell

    connection = connect(options.target, database=options.database)
    try:
        return run_shell(connection, script=options.execute, fmt=options.format)
    finally:
        connection.close()


def _run_import(options: argparse.Namespace) -> int:
    from rutile.importer import import_file

    key = tuple(options.primary_key.split(",")) if options.primary_key else ()
    database, _, table = options.table.rpartition(".")
    import_file(
        options.target, database or options.database, table, options.file, create=options.create, primary_key=key
    )
    return 0
