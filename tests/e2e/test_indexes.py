"""Indexes on a cluster of processes: imported, made while transactions write, used by every client."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rutile
from rutile.ingest.import_file import import_file
from rutile.nodes.playground import Playground

ROWS = int(os.environ.get("RUTILE_INDEX_ROWS", "1000000"))
"""Of the table that gets an index in the slow test."""
RETRYABLE = (8028, 9007, 1205, 1213)


def test_imported_rows_have_their_entries(tmp_path: Path) -> None:
    with rutile.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE p (id INT PRIMARY KEY, k INT, s VARCHAR(20) UNIQUE, KEY (k, s(3)))")
        file = tmp_path / "p.parquet"
        rows = {"id": range(3_000), "k": [at % 7 for at in range(3_000)], "s": [f"s{at}" for at in range(3_000)]}
        pq.write_table(pa.table({name: list(values) for name, values in rows.items()}), file)
        assert import_file(str(tmp_path / "db"), "test", "p", file) == 3_000
        connection.execute("ADMIN CHECK TABLE p")
        assert connection.execute("SELECT id FROM p WHERE s = 's2999'").fetchall() == [(2999,)]
        connection.execute("CREATE TABLE d (id INT PRIMARY KEY, k INT UNIQUE)")
        pq.write_table(pa.table({"id": [1, 2, 3], "k": [5, 6, 5]}), file)
        with pytest.raises(rutile.IntegrityError, match="Duplicate entry '5' for key 'k'"):
            import_file(str(tmp_path / "db"), "test", "d", file)
        assert connection.execute("SELECT COUNT(*) FROM d").fetchall() == [(0,)]


class Writers:
    """Threads that change rows until they are told to stop."""

    def __init__(self, address: str, table: str, rows: int, threads: int) -> None:
        self.statements = 0
        self.retried = 0
        self.failures: list[rutile.Error] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._write, args=(address, table, rows, at), daemon=True) for at in range(threads)
        ]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(60)

    def _write(self, address: str, table: str, rows: int, number: int) -> None:
        with rutile.connect(address) as connection:
            step = 0
            while not self._stop.is_set():
                step += 1
                at = (step * 7919 + number * 104_729) % rows
                self._change(connection, table, at, rows * (number + 1) + step, step)

    def _change(self, connection: rutile.Connection, table: str, at: int, fresh: int, step: int) -> None:
        update = f"UPDATE {table} SET k = {step} WHERE id = {at}"
        script = (
            (update,),
            ("BEGIN", update, f"DELETE FROM {table} WHERE id = {at + 1}", "COMMIT"),
            (f"INSERT INTO {table} VALUES ({fresh}, {at}, 'fresh')",),
        )[step % 3]
        for sql in script:
            try:
                connection.execute(sql)
                with self._lock:
                    self.statements += 1
            except rutile.Error as error:
                with self._lock:
                    self.retried += 1
                    if getattr(error, "code", 0) not in RETRYABLE:
                        self.failures.append(error)
                connection.execute("ROLLBACK")
                return


def add_index_while_writing(playground: Playground, table: str, rows: int, threads: int) -> str:
    """Make an index under load, check it, and tell how it went."""
    writers = Writers(playground.sql_address, table, rows, threads)
    with rutile.connect(playground.sql_address) as connection:
        with writers.running():
            started = time.monotonic()
            connection.execute(f"CREATE INDEX k_{table} ON {table} (k)")
            seconds = time.monotonic() - started
        assert not writers.failures, writers.failures[0]
        assert writers.statements > 0
        connection.execute(f"ADMIN CHECK TABLE {table}")
        job = connection.execute("ADMIN SHOW DDL JOBS 1").fetchall()[0]
        assert job[3] == "add index" and job[10] == "synced"
        plan = connection.execute(f"EXPLAIN SELECT id FROM {table} WHERE k = 1").fetchall()
        assert "IndexRangeScan" in str(plan)
        return (
            f"{job[6]} rows in {seconds:.1f} s: {job[6] / seconds:.0f} rows/s,"
            f" beside {writers.statements} writes, {writers.retried} told to retry, none failed otherwise;"
            " ADMIN CHECK TABLE found nothing"
        )


def test_an_index_is_made_while_transactions_write(playground: Playground) -> None:
    with rutile.connect(playground.sql_address) as connection:
        connection.execute("CREATE TABLE small (id BIGINT PRIMARY KEY, k INT, s VARCHAR(20))")
        values = ", ".join(f"({at}, {at % 50}, 'row')" for at in range(2_000))
        connection.execute(f"INSERT INTO small VALUES {values}")
    print(add_index_while_writing(playground, "small", 2_000, 2))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_index_on_a_million_rows_is_made_while_transactions_write(playground: Playground, tmp_path: Path) -> None:
    file = tmp_path / "big.parquet"
    ids = pa.array(range(ROWS), pa.int64())
    table = {"id": ids, "k": pa.array([at % 100_003 for at in range(ROWS)], pa.int32()), "s": ["row"] * ROWS}
    pq.write_table(pa.table(table), file)
    with rutile.connect(playground.sql_address) as connection:
        connection.execute("CREATE TABLE big (id BIGINT PRIMARY KEY, k INT, s VARCHAR(20))")
    import_file(f"pd://{playground.pd_address}", "test", "big", file)
    print(add_index_while_writing(playground, "big", ROWS, 4))
