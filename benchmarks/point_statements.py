"""Point SELECT and UPDATE by primary key: embedded, and through a playground of three stores, beside SQLite on disk.

SQLite (journal in WAL mode, synchronous=FULL) is the peer: one process, one durable copy. What a playground adds is the
network, and two more durable copies. Prints statements a second and ratios; run it on an otherwise idle machine.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rutile
from rutile.nodes.playground import Playground

ROWS = 2_000
SECONDS = 3.0


def rate(statement: Callable[[int], object]) -> float:
    """Statements a second over SECONDS, keys taken in a scattered order."""
    for i in range(50):
        statement(i)
    started = time.perf_counter()
    done = 0
    while time.perf_counter() - started < SECONDS:
        for _ in range(20):
            statement(done * 7919 % ROWS)
            done += 1
    return done / (time.perf_counter() - started)


def measure_rutile(connection: rutile.Connection) -> tuple[float, float]:
    """(gets/s, updates/s) on a fresh table."""
    connection.execute("DROP TABLE IF EXISTS point")
    connection.execute("CREATE TABLE point (id BIGINT PRIMARY KEY, n BIGINT, t VARCHAR(100))")
    connection.executemany("INSERT INTO point VALUES (?, ?, ?)", [(i, i, "x" * 60) for i in range(ROWS)])
    get = rate(lambda i: connection.execute("SELECT n, t FROM point WHERE id = ?", (i,)).fetchone())
    update = rate(lambda i: connection.execute("UPDATE point SET n = n + 1 WHERE id = ?", (i,)))
    return get, update


def measure_sqlite(folder: Path) -> tuple[float, float]:
    """The same on SQLite."""
    connection = sqlite3.connect(folder / "peer.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE point (id BIGINT PRIMARY KEY, n BIGINT, t VARCHAR(100))")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO point VALUES (?, ?, ?)", [(i, i, "x" * 60) for i in range(ROWS)])
    connection.execute("COMMIT")
    get = rate(lambda i: connection.execute("SELECT n, t FROM point WHERE id = ?", (i,)).fetchone())
    update = rate(lambda i: connection.execute("UPDATE point SET n = n + 1 WHERE id = ?", (i,)))
    connection.close()
    return get, update


def main() -> None:
    """Measure all three and print one line each."""
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as folder:
        results = {"SQLite, one process": measure_sqlite(Path(folder))}
        with rutile.connect(Path(folder) / "embedded") as connection:
            results["Rutile, embedded"] = measure_rutile(connection)
        with Playground(3, Path(folder) / "cluster") as cluster, rutile.connect(cluster.sql_address) as connection:
            results["Rutile, 3 stores"] = measure_rutile(connection)
    peer_get, peer_update = results["SQLite, one process"]
    for name, (get, update) in results.items():
        print(
            f"{name:<20} {get:8,.0f} gets/s ({get / peer_get:5.3f}x)   {update:8,.0f} updates/s"
            f" ({update / peer_update:5.3f}x)"
        )


if __name__ == "__main__":
    main()
