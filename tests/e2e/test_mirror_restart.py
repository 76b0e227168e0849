"""A killed store answers from its mirror's files, however much was written behind them and cut from the log."""

import time
from collections.abc import Callable
from pathlib import Path

import rutile
from rutile.nodes.playground import Playground

PATIENCE_SECONDS = 60.0
QUERY = "SELECT SUM(legs * id), COUNT(*), MAX(name) FROM pet"
ROWS = 1_500
UPDATES = 1_200
"""More entries of the log than a region keeps."""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def path_of(connection: rutile.Connection) -> str:
    return str(connection.execute(f"EXPLAIN ANALYZE {QUERY}").fetchall())


def test_files_outlive_the_log(tmp_path: Path) -> None:
    with Playground(1, tmp_path) as cluster:
        with rutile.connect(cluster.sql_address) as connection:
            connection.execute("CREATE TABLE pet (id INT PRIMARY KEY, name VARCHAR(20), legs INT)")
            values = ", ".join(f"({number}, 'pet {number}', 4)" for number in range(ROWS))
            connection.execute(f"INSERT INTO pet VALUES {values}")
            connection.execute(QUERY).fetchall()
            folder = tmp_path / "kv1" / "mirror"
            wait_for(lambda: any(folder.glob("*.json")))
            for number in range(UPDATES):
                connection.execute(f"UPDATE pet SET legs = {number} WHERE id = {number % ROWS}")
            wait_for(lambda: any(path.stat().st_size for path in folder.glob("*.journal")))
            expected = connection.execute(QUERY).fetchall()
        cluster.stores[0].kill()
        cluster.restart_store(0)
        with rutile.connect(cluster.sql_address) as connection:
            assert connection.execute(QUERY).fetchall() == expected
            assert "path:mirror" in path_of(connection)
            connection.execute("SET SESSION tidb_isolation_read_engines = 'tikv'")
            assert connection.execute(QUERY).fetchall() == expected, "the row store says the same"
    log = (tmp_path / "kv1.log").read_text()
    assert "older than the log" not in log
    assert "1 tables of the mirror were found on disk" in log
