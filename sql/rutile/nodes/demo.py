"""`rutile demo`, which `make run` starts: a cluster, real data, one query explained, and a prompt."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rutile.dbapi import Connection, connect
from rutile.ingest.import_file import import_file
from rutile.nodes.playground import Playground, endpoints
from rutile.shell import Shell, run_shell
from rutile_proto.errors import InvalidRequest

TABLE_KEYS = {
    "region": ("r_regionkey",),
    "nation": ("n_nationkey",),
    "supplier": ("s_suppkey",),
    "customer": ("c_custkey",),
    "part": ("p_partkey",),
    "partsupp": ("ps_partkey", "ps_suppkey"),
    "orders": ("o_orderkey",),
    "lineitem": ("l_orderkey", "l_linenumber"),
}
"""TPC-H's tables and their primary keys, small ones first."""

QUERY = """\
SELECT l_returnflag, l_linestatus, SUM(l_quantity) AS quantity,
       SUM(l_extendedprice * (1 - l_discount)) AS revenue, AVG(l_discount) AS discount, COUNT(*) AS orders
FROM lineitem
WHERE l_shipdate <= '1998-09-02'
GROUP BY l_returnflag, l_linestatus
ORDER BY l_returnflag, l_linestatus"""


def make_tpch_files(scale: float, folder: Path) -> None:
    """TPC-H tables as Parquet files in `folder`. InvalidRequest when the generator is not installed."""
    beside = Path(sys.executable).with_name("tpchgen-cli")
    program = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    if program is None:
        raise InvalidRequest("tpchgen-cli is missing: pip install 'rutile[demo]'")
    subprocess.run([program, "parquet", "-s", str(scale), "-o", str(folder)], check=True, stdout=subprocess.DEVNULL)


def import_tpch(target: str, folder: Path) -> int:
    """Import the files of `make_tpch_files`, creating the tables; the number of rows."""
    rows = 0
    for table, key in TABLE_KEYS.items():
        rows += import_file(target, "test", table, folder / f"{table}.parquet", create=True, primary_key=key)
    return rows


def run_demo(scale: float, stores: int) -> int:
    """Start, load, show, and either open the shell or stop; the exit code."""
    with tempfile.TemporaryDirectory(prefix="rutile-demo-") as folder:
        print(f"Starting a placement driver, {stores} stores and SQL ...", flush=True)
        with Playground(stores, Path(folder) / "cluster") as playground:
            print(endpoints(playground) + "\n", flush=True)
            _load(playground, scale, Path(folder))
            connection = connect(playground.sql_address)
            try:
                return _show(connection)
            finally:
                connection.close()


def _load(playground: Playground, scale: float, folder: Path) -> None:
    print(f"Making TPC-H data at scale {scale:g} and importing it ...", flush=True)
    make_tpch_files(scale, folder)
    started = time.monotonic()
    rows = import_tpch(f"pd://{playground.pd_address}", folder)
    seconds = time.monotonic() - started
    print(f"{rows:,} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s, three replicas)\n", flush=True)


def _show(connection: Connection) -> int:
    shell = Shell(connection)
    for statement in (QUERY, f"EXPLAIN ANALYZE {QUERY}"):
        print(f"rutile> {statement};", flush=True)
        shell.run_statement(statement)
    if not sys.stdin.isatty():
        print("No terminal: the demonstration ends here. Try `rutile playground` and `rutile shell`.")
        return 0
    print("The tables are in database `test`: try SHOW TABLES;")
    return run_shell(connection, script=None, fmt="table")
