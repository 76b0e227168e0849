"""Tellers who move money between accounts through SQL, each a thread, and the total nobody may change."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import rutile
from rutile.nodes.playground import Playground

ACCOUNTS = 20
OPENING_BALANCE = 1_000
TOTAL = ACCOUNTS * OPENING_BALANCE


@dataclass
class Teller:
    """Moves money between random accounts until told to stop."""

    address: str
    seed: int
    stop: threading.Event
    transfers: int = 0
    conflicts: int = 0
    unexpected: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        rng = random.Random(self.seed)
        connection = rutile.connect(self.address)
        try:
            while not self.stop.is_set():
                self._transfer(connection, *rng.sample(range(ACCOUNTS), 2), rng.randint(1, 50))
        except BaseException as error:
            self.unexpected.append(error)
        finally:
            connection.close()

    def _transfer(self, connection: rutile.Connection, source: int, target: int, amount: int) -> None:
        try:
            connection.begin()
            (balance,) = connection.execute("SELECT balance FROM account WHERE id = ?", (source,)).fetchone() or (0,)
            if balance >= amount:
                connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, source))
                connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, target))
            connection.commit()
            self.transfers += 1
        except rutile.OperationalError:  # a conflict, or the leader is gone: nothing half done either way
            self.conflicts += 1
            connection.rollback()


def open_accounts(cluster: Playground) -> None:
    """A new table of accounts, all with the same balance."""
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("DROP TABLE IF EXISTS account")
        connection.execute("CREATE TABLE account (id INT PRIMARY KEY, balance BIGINT NOT NULL)")
        connection.executemany("INSERT INTO account VALUES (?, ?)", [(i, OPENING_BALANCE) for i in range(ACCOUNTS)])


def total(cluster: Playground) -> int:
    """The sum of all balances, tried again while a leader is being elected."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with rutile.connect(cluster.sql_address) as connection:
                return int(connection.execute("SELECT SUM(balance) FROM account").fetchone()[0])  # type: ignore[index]
        except rutile.OperationalError:
            if time.monotonic() > deadline:
                raise
