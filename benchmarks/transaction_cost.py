"""What the transactions of `tpch.py --updates` cost: processor time by process, and how long their statements take.

    python benchmarks/transaction_cost.py [--scale 0.1] [--regions 9] [--rows 500] [--seconds 20] [--data DIR]

A playground of three stores is loaded with TPC-H, and lineitem cut into as many regions as it has at scale 1. Then the
writers run, and nothing else: so many rows a second, and as many as go (`--rows 0` leaves the first out). Processor
time is what the kernel charged a process (user and system) beyond what it takes when nobody writes, divided by
the transactions. The writers themselves are in this process, which does not count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from folders import kept_folder
from idle_cluster import cpu_seconds
from tpch_updates import CLIENTS, Stock, Updates

import rutile
from rutile.nodes.demo import import_tpch, make_tpch_files
from rutile.nodes.playground import Playground

LOADED = "loaded"
"""An empty file beside a cluster that holds the rows."""
AS_MANY_AS_GO = 1_000_000
IDLE_SECONDS = 5.0
WARM_SECONDS = 3.0
"""The first transactions fill caches, which are not measured."""
SETTLE_SECONDS = 10.0


def main() -> None:
    """Load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--regions", type=int, default=9, help="of lineitem")
    parser.add_argument("--rows", type=int, default=500, help="a second; 0: only as many as go")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--data", type=Path, help="keep the cluster there, and take up what is there")
    options = parser.parse_args()
    with kept_folder(options.data) as folder, Playground(3, folder / "cluster") as cluster:
        with rutile.connect(cluster.sql_address) as connection:
            if not (folder / LOADED).exists():
                _load(cluster, connection, folder, options.scale, options.regions)
            stock = Stock.of(connection)
        idle = _idle(cluster)
        if options.rows:
            _measure(cluster, stock, options.rows, options.seconds, idle)
        _measure(cluster, stock, AS_MANY_AS_GO, options.seconds, idle)


def _load(cluster: Playground, connection: rutile.Connection, folder: Path, scale: float, regions: int) -> None:
    make_tpch_files(scale, folder)
    rows = import_tpch(f"pd://{cluster.pd_address}", folder)
    ((last,),) = connection.execute("SELECT MAX(l_orderkey) FROM lineitem").fetchall()
    connection.execute(f"SPLIT TABLE lineitem BETWEEN (1, 1) AND ({last}, 1) REGIONS {regions}")
    found = len(connection.execute("SHOW TABLE lineitem REGIONS").fetchall())
    print(f"scale {scale:g}: {rows:,} rows, lineitem in {found} regions", flush=True)
    time.sleep(SETTLE_SECONDS)
    (folder / LOADED).touch()


def _used(cluster: Playground) -> dict[str, float]:
    """Processor seconds of each process so far."""
    children = [*([cluster.sql] if cluster.sql else []), *cluster.stores, *cluster.pds]
    return {child.name: cpu_seconds(child.pid) for child in children}


def _since(cluster: Playground, before: Mapping[str, float]) -> dict[str, float]:
    return {name: used - before[name] for name, used in _used(cluster).items()}


def _idle(cluster: Playground) -> dict[str, float]:
    """The share of a processor that each process takes while nobody asks for anything."""
    before = _used(cluster)
    time.sleep(IDLE_SECONDS)
    return {name: used / IDLE_SECONDS for name, used in _since(cluster, before).items()}


def _measure(cluster: Playground, stock: Stock, rows: int, seconds: float, idle: Mapping[str, float]) -> None:
    with Updates(cluster.sql_address, stock, rows) as updates:
        time.sleep(WARM_SECONDS)
        before, began, started = _used(cluster), updates.transactions, time.perf_counter()
        time.sleep(seconds)
        used, done, lasted = _since(cluster, before), updates.transactions - began, time.perf_counter() - started
        took = {name: list(times) for name, times in updates.took.items()}
    wanted = "as many as go" if rows == AS_MANY_AS_GO else f"{rows} rows a second"
    print(f"{wanted}: {done / lasted:.1f} transactions a second of {CLIENTS} clients")
    cost = {name: (spent - idle[name] * lasted) * 1000 / done for name, spent in used.items()}
    print("  processor, ms a transaction:", ", ".join(f"{name} {ms:.1f}" for name, ms in cost.items()), end="; ")
    print(f"all {sum(cost.values()):.1f}")
    print("  took, ms (median, 95 of 100):", ", ".join(f"{name} {_spread(times)}" for name, times in took.items()))


def _spread(seconds: Sequence[float]) -> str:
    cuts = statistics.quantiles(seconds, n=20)
    return f"{statistics.median(seconds) * 1000:.1f} ({cuts[-1] * 1000:.1f})"


if __name__ == "__main__":
    main()
