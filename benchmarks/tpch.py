"""Import and the 22 TPC-H queries through a playground of three stores, beside DuckDB in process on the same data.

Prints rows/s of the import against DuckDB's CREATE TABLE AS; and, when all tables are analyzed and the stores have
written what they keep of them for queries, each query cold (first run) and hot (best of three) against DuckDB hot. The
answers of both are compared: one that differs ends the benchmark with an error.
`--scale` is the scale factor. `--updates N` runs the hot queries again, three times by turns with nobody writing and
while N rows a second are updated and inserted by transactions, and compares each answer with the row store's at the
same timestamp. `--restart` kills all stores, starts them again side by side, and times when they serve and the first
answers: with the mirror's files, with them after 20,000 rows were written behind them, and without them.
`--data DIR` keeps files and cluster there, and starts from what it finds.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import duckdb

import rutile
from rutile.nodes.demo import TABLE_KEYS, import_tpch, make_tpch_files
from rutile.nodes.playground import Playground
from rutile_kv.server.mirror_keeper import SAVE_SECONDS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from folders import kept_folder
from tpch_queries import QUERIES
from tpch_updates import Stock, Updates, is_exact

REWRITTEN_ROWS = 20_000
REWRITTEN_A_TRANSACTION = 1_000
FILES_S = 180.0
"""How long the mirrors' files are waited for."""
ROUNDS = 3
WRITTEN_BEFORE_S = 3.0
"""How long the writers write before a round of theirs."""
LOADED = "loaded"
"""An empty file beside a cluster that holds all the rows."""


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Load both, run all queries on both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--updates", type=int, default=0)
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with kept_folder(options.data) as folder:
        is_loaded = (folder / LOADED).exists()
        if not is_loaded:
            make_tpch_files(options.scale, folder)
        peer = duckdb.connect()
        peer_import = seconds(lambda: _load_duckdb(peer, folder))
        with Playground(3, folder / "cluster") as cluster:
            if not is_loaded:
                _import(cluster, folder, options.scale, peer_import)
                _analyze(cluster)
                _wait_for_files(cluster)
            with rutile.connect(cluster.sql_address) as connection:
                idle = _compare(connection, peer)
                _print_memory(cluster)
                if options.updates:
                    _under_updates(cluster, connection, options.updates, idle)
            if options.restart:
                _after_restart(cluster)


def _import(cluster: Playground, folder: Path, scale: float, peer_import: float) -> None:
    started = time.perf_counter()
    rows = import_tpch(f"pd://{cluster.pd_address}", folder)
    ours = time.perf_counter() - started
    print(f"scale {scale:g}: {rows:,} rows")
    print(f"import: {rows / ours:,.0f} rows/s on three replicas;", end=" ")
    print(f"DuckDB {rows / peer_import:,.0f} rows/s; ratio {peer_import / ours:.3f}x", flush=True)
    (folder / LOADED).touch()


def _load_duckdb(peer: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for table in TABLE_KEYS:
        peer.execute(f"CREATE TABLE {table} AS SELECT * FROM '{folder / table}.parquet'")


def _compare(connection: rutile.Connection, peer: duckdb.DuckDBPyConnection) -> dict[int, float]:
    """Prints the table; hot seconds by query."""
    idle = {}
    totals = [0.0, 0.0, 0.0]
    print("query     cold s     hot s   DuckDB s   hot ratio")
    for number, query in sorted(QUERIES.items()):
        cold = seconds(lambda q=query: connection.execute(q).arrow())
        _check_answer(number, connection.execute(query).fetchall(), peer.execute(query).fetchall())
        hot = min(seconds(lambda q=query: connection.execute(q).arrow()) for _ in range(3))
        other = min(seconds(lambda q=query: peer.execute(q).fetchall()) for _ in range(3))
        idle[number] = hot
        totals = [a + b for a, b in zip(totals, (cold, hot, other), strict=True)]
        print(f"Q{number:<5} {cold:9.3f} {hot:9.3f} {other:9.3f} {hot / other:10.2f}x", flush=True)
    cold, hot, other = totals
    print("all answers are DuckDB's")
    print(f"total  {cold:9.3f} {hot:9.3f} {other:9.3f} {hot / other:10.2f}x (cold {cold / other:.1f}x)")
    return idle


def _check_answer(number: int, ours: Sequence[tuple[object, ...]], theirs: Sequence[tuple[object, ...]]) -> None:
    """Ends the benchmark unless both are the same rows in one order, numbers within what MySQL's division keeps."""
    if len(ours) != len(theirs):
        raise SystemExit(f"Q{number} DIFFERS: {len(ours)} rows, DuckDB has {len(theirs)}")
    for place, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if len(mine) != len(other) or not all(map(_is_same, mine, other)):
            raise SystemExit(f"Q{number} DIFFERS in row {place}: {mine}, DuckDB has {other}")


def _is_same(mine: object, other: object) -> bool:
    numbers = (int, float, Decimal)
    if isinstance(mine, numbers) and isinstance(other, numbers):
        return math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-4)
    return mine == other


def _print_memory(cluster: Playground) -> None:
    """Of each store: its own, and what it maps of files, which is page cache."""
    for store in cluster.stores:
        lines = Path(f"/proc/{store.pid}/status").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) // 1024 for name, _, rest in (line.partition(":") for line in lines)
                 if name in ("RssAnon", "RssFile")}  # fmt: skip
        print(f"{store.name}: {sizes['RssAnon']} MB of its own, {sizes['RssFile']} MB of files")


def _under_updates(
    cluster: Playground, connection: rutile.Connection, rows_a_second: int, before: dict[int, float]
) -> None:
    """The machine's own speed changes within minutes: the writers pause in every other round."""
    print(f"{ROUNDS} times by turns with and without {rows_a_second} rows/s updated and inserted: query, mean hot s")
    idle, under, seen = dict.fromkeys(QUERIES, 0.0), dict.fromkeys(QUERIES, 0.0), 0.0
    with Updates(cluster.sql_address, Stock.of(connection), rows_a_second) as updates:
        for _ in range(ROUNDS):
            with updates.paused():
                idle = _added(idle, _hot_round(connection))
            started, rows = time.perf_counter(), updates.rows
            time.sleep(WRITTEN_BEFORE_S)
            under = _added(under, _hot_round(connection))
            seen += (updates.rows - rows) / (time.perf_counter() - started)
        _print_under_updates(idle, under, before, seen / ROUNDS)
        _check_exactness(connection)


def _hot_round(connection: rutile.Connection) -> dict[int, float]:
    """Each query's best of three, as above."""
    return {
        number: min(seconds(lambda q=query: connection.execute(q).arrow()) for _ in range(3))
        for number, query in sorted(QUERIES.items())
    }


def _added(total: dict[int, float], more: dict[int, float]) -> dict[int, float]:
    return {number: total[number] + more[number] for number in total}


def _print_under_updates(
    idle: dict[int, float], under: dict[int, float], before: dict[int, float], rows_a_second: float
) -> None:
    print("query     paused s  writing s   ratio")
    for number in sorted(under):
        paused, written = idle[number] / ROUNDS, under[number] / ROUNDS
        print(f"Q{number:<5} {paused:11.3f} {written:10.3f} {written / paused:6.2f}x")
    total, paused = sum(under.values()), sum(idle.values())
    print(f"total  {paused / ROUNDS:11.3f} {total / ROUNDS:10.3f} {total / paused:6.2f}x", end="; ")
    print(f"to the figures before the first write {total / ROUNDS / sum(before.values()):.2f}x;", end=" ")
    print(f"{rows_a_second:,.0f} rows/s were written", flush=True)


def _check_exactness(connection: rutile.Connection) -> None:
    """Ends the benchmark at an answer that is not the row store's. Rows are read one by one there: it takes minutes."""
    for number, query in sorted(QUERIES.items()):
        started = time.perf_counter()
        if not is_exact(connection, query):
            raise SystemExit(f"Q{number} is NOT the row store's answer at the same timestamp")
        took = time.perf_counter() - started
        print(f"Q{number:<5} is the row store's answer at the same timestamp ({took:.1f} s)", flush=True)


def _after_restart(cluster: Playground) -> None:
    _restart(cluster, "with the mirror's files")
    with rutile.connect(cluster.sql_address) as connection:
        _write_behind(connection, REWRITTEN_ROWS)
    _restart(cluster, f"with files and {REWRITTEN_ROWS:,} rows written behind them")
    _restart(cluster, "without the mirror's files", with_files=False)


def _write_behind(connection: rutile.Connection, rows: int) -> None:
    """Updates of rows all over lineitem, in transactions of a thousand, of what no query reads."""
    (last,) = connection.execute("SELECT MAX(l_orderkey) FROM lineitem").fetchone() or (0,)
    step = max(1, last * REWRITTEN_A_TRANSACTION // rows)
    for start in range(0, last, step):
        text = "UPDATE lineitem SET l_comment = REVERSE(l_comment) WHERE l_orderkey BETWEEN ? AND ? LIMIT ?"
        connection.execute(text, (start, start + step - 1, REWRITTEN_A_TRANSACTION))


def _restart(cluster: Playground, what: str, *, with_files: bool = True) -> None:
    """Kill all stores, start them again at once, ask Q1 and Q6 as soon as all serve; prints when they did and what
    memory they have then."""
    _wait_for_files(cluster)
    for child in cluster.stores:
        child.kill()
    if not with_files:
        for folder in cluster.data_dir.glob("kv*/mirror"):
            shutil.rmtree(folder)
    started = time.perf_counter()
    numbers = range(len(cluster.stores))
    with ThreadPoolExecutor(len(numbers)) as pool:
        serving = max(pool.map(lambda number: _restart_one(cluster, number, started), numbers))
    with rutile.connect(cluster.sql_address) as connection:
        first = [seconds(lambda q=QUERIES[each]: connection.execute(q).arrow()) for each in (1, 6, 1)]
    print(f"after kill -9 of all stores, {what}: they serve after {serving:.3f} s,", end=" ")
    print(f"Q1 {first[0]:.3f} s later, Q6 in {first[1]:.3f} s, Q1 again in {first[2]:.3f} s", flush=True)
    _print_memory(cluster)


def _analyze(cluster: Playground) -> None:
    """Statistics are made now, not by themselves among the first writes that are timed."""
    with rutile.connect(cluster.sql_address) as connection:
        took = seconds(lambda: [connection.execute(f"ANALYZE TABLE {table}") for table in TABLE_KEYS])
    print(f"analyzed in {took:.1f} s", flush=True)


def _wait_for_files(cluster: Playground) -> None:
    """Until nothing new was written to the mirrors' folders for longer than a store waits between two savings."""
    deadline, seen, since = time.monotonic() + FILES_S, set[Path](), time.monotonic()
    while time.monotonic() < min(deadline, since + 1.5 * SAVE_SECONDS):
        now = set(cluster.data_dir.glob("kv*/mirror/*[!l]"))  # journals come and grow without a saving
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.5)


def _restart_one(cluster: Playground, number: int, started: float) -> float:
    cluster.restart_store(number)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
