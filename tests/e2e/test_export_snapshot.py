"""What is exported is the table as of one moment, whatever is written meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pa_parquet

import rutile
from rutile.ingest.export import export
from rutile.nodes.playground import Playground

ACCOUNTS, BALANCE = 6_000, 100
WRITERS, EXPORTS = 2, 4
FILLER = "x" * 200
PATIENCE_SECONDS = 30.0


class Mover:
    """Moves money between accounts, and accounts to other numbers: count and sum are the same at any moment."""

    def __init__(self, target: str, seed: int) -> None:
        self._target = target
        self._dice = random.Random(seed)
        self.moves = 0
        self.moved = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with rutile.connect(self._target) as connection:
            while not self._over.is_set():
                try:
                    self._move(connection)
                except rutile.OperationalError:  # a conflict with another mover
                    connection.rollback()
                    continue
                with self.moved:
                    self.moves += 1
                    self.moved.notify_all()

    def _move(self, connection: rutile.Connection) -> None:
        one, other = self._dice.sample(range(ACCOUNTS), 2)
        amount = self._dice.randint(1, 9)
        connection.begin()
        connection.execute("UPDATE account SET balance = balance - ? WHERE number = ?", (amount, one))
        connection.execute("UPDATE account SET balance = balance + ? WHERE number = ?", (amount, other))
        connection.execute("UPDATE account SET id = ? - id WHERE number = ?", (1_000_000, one))
        connection.commit()

    def wait_for(self, more: int) -> None:
        """Until so many moves were made from now on."""
        with self.moved:
            upto = self.moves + more
            assert self.moved.wait_for(lambda: self.moves >= upto, PATIENCE_SECONDS)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()


def check(path: Path) -> None:
    found = pa_parquet.read_table(path)
    assert found.num_rows == ACCOUNTS, "an account that moves is there once"
    assert pc.sum(found["balance"]).as_py() == ACCOUNTS * BALANCE
    assert sorted(found["number"].to_pylist()) == list(range(ACCOUNTS))


def test_exports_beside_writers_are_of_one_moment(tmp_path: Path) -> None:
    with Playground(2, tmp_path / "cluster") as cluster:
        target = cluster.sql_address
        with rutile.connect(target) as connection:
            connection.execute(
                "CREATE TABLE account (id BIGINT PRIMARY KEY, number INT UNIQUE, balance INT, filler VARCHAR(200))"
            )
            rows = ", ".join(f"({number}, {number}, {BALANCE}, '{FILLER}')" for number in range(ACCOUNTS))
            connection.execute(f"INSERT INTO account VALUES {rows}")
            connection.execute("SPLIT TABLE account BETWEEN (0) AND (1000000) REGIONS 4")
        first, second = (Mover(target, seed) for seed in range(WRITERS))
        with first.running(), second.running():
            for number in range(EXPORTS):
                first.wait_for(5)
                path, before = tmp_path / f"{number}.parquet", first.moves + second.moves
                query = "SELECT number, balance FROM account" + (" ORDER BY balance, id" if number % 2 else "")
                assert export(f"pd://{cluster.pd_address}", "test", path, query=query) == ACCOUNTS
                assert first.moves + second.moves > before, "nothing was written meanwhile"
                check(path)
