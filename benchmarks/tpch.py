"""Import and the 22 TPC-H queries through a playground of three stores, beside DuckDB in process on the same data.

Prints rows/s of the import against DuckDB's CREATE TABLE AS, and each query cold (first run) and hot (best of
three) against DuckDB hot. `--scale` is the scale factor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

import rutile
from rutile.demo import TABLE_KEYS, import_tpch, make_tpch_files
from rutile.playground import Playground

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tpch_queries import QUERIES


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Load both, run all queries on both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1)
    scale = parser.parse_args().scale
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as name:
        folder = Path(name)
        make_tpch_files(scale, folder)
        peer = duckdb.connect()
        peer_import = seconds(lambda: _load_duckdb(peer, folder))
        with Playground(3, folder / "cluster") as cluster:
            started = time.perf_counter()
            rows = import_tpch(f"pd://{cluster.pd_address}", folder)
            ours_import = time.perf_counter() - started
            print(f"scale {scale:g}: {rows:,} rows")
            print(f"import: {rows / ours_import:,.0f} rows/s on three replicas;", end=" ")
            print(f"DuckDB {rows / peer_import:,.0f} rows/s; ratio {peer_import / ours_import:.3f}x")
            with rutile.connect(cluster.sql_address) as connection:
                _compare(connection, peer)


def _load_duckdb(peer: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for table in TABLE_KEYS:
        peer.execute(f"CREATE TABLE {table} AS SELECT * FROM '{folder / table}.parquet'")


def _compare(connection: rutile.Connection, peer: duckdb.DuckDBPyConnection) -> None:
    totals = [0.0, 0.0, 0.0]
    print("query     cold s     hot s   DuckDB s   hot ratio")
    for number, query in sorted(QUERIES.items()):
        cold = seconds(lambda q=query: connection.execute(q).arrow())
        hot = min(seconds(lambda q=query: connection.execute(q).arrow()) for _ in range(3))
        other = min(seconds(lambda q=query: peer.execute(q).fetchall()) for _ in range(3))
        totals = [a + b for a, b in zip(totals, (cold, hot, other), strict=True)]
        print(f"Q{number:<5} {cold:9.3f} {hot:9.3f} {other:9.3f} {hot / other:10.1f}x")
    cold, hot, other = totals
    print(f"total  {cold:9.3f} {hot:9.3f} {other:9.3f} {hot / other:10.1f}x (cold {cold / other:.1f}x)")


if __name__ == "__main__":
    main()
