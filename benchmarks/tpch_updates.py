"""The writers of `tpch.py --updates`, and the check that queries are exact while they write.

A transaction turns the quantities of 25 lineitems round (51 less what they were) and inserts five orders with their
lineitems, copied from orders that are there: about fifty rows. All is undone at the end, so that a cluster that is kept
can be used again.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import rutile

CLIENTS = 4
TURNED = 25
"""Rows a transaction updates."""
INSERTED = 5
"""Orders a transaction inserts."""
TEMPLATES = 200
"""Orders that new ones are copies of."""
EVERY = 16
"""One order in so many has its first lineitem updated now and then."""
STATEMENTS = ("begin", "update", "insert", "commit")
"""Of a transaction; both INSERTs count as one."""
TURN = "UPDATE lineitem SET l_quantity = 51 - l_quantity WHERE l_orderkey IN ({keys}) AND l_linenumber = 1"
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Stock:
    """What the writers draw from."""

    order_keys: Sequence[int]
    """Of the rows to update."""
    orders: Sequence[Row]
    lineitems: dict[int, list[Row]]
    """By order key."""
    new_keys: Iterator[int]

    @staticmethod
    def of(connection: rutile.Connection) -> Stock:
        """Read from the tables."""
        every, last = [], 0
        for (key,) in connection.execute("SELECT o_orderkey FROM orders ORDER BY o_orderkey").fetchall():
            every.append(key)
            last = key
        some = ", ".join(map(str, every[:: max(1, len(every) // TEMPLATES)]))
        lineitems: dict[int, list[Row]] = {}
        for row in connection.execute(f"SELECT * FROM lineitem WHERE l_orderkey IN ({some})").fetchall():
            lineitems.setdefault(row[0], []).append(row)
        orders = connection.execute(f"SELECT * FROM orders WHERE o_orderkey IN ({some})").fetchall()
        return Stock(every[::EVERY], orders, lineitems, itertools.count(last + 1))


@dataclass(slots=True)
class _Changes:
    """What one writer has done and will have to undo."""

    turned: set[int] = field(default_factory=set)
    inserted: list[int] = field(default_factory=list)
    rows: int = 0
    transactions: int = 0


class Updates:
    """Threads that update and insert rows, so many a second together. A context manager; undoes all at its end."""

    def __init__(self, address: str, stock: Stock, rows_a_second: int) -> None:
        self._address, self._stock, self._rate = address, stock, rows_a_second / CLIENTS
        self._stopped = threading.Event()
        self._turns = [threading.Lock() for _ in range(CLIENTS)]
        """A writer holds its own as long as it has a transaction."""
        self._changes = [_Changes() for _ in range(CLIENTS)]
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        self._failures: list[Exception] = []
        self.took: dict[str, list[float]] = {name: [] for name in STATEMENTS}
        """How long each statement took, in seconds, of all writers."""

    @property
    def transactions(self) -> int:
        """That committed."""
        return sum(changes.transactions for changes in self._changes)

    @property
    def rows(self) -> int:
        """Updated and inserted by transactions that committed."""
        return sum(changes.rows for changes in self._changes)

    def _run(self, number: int) -> None:
        try:
            with rutile.connect(self._address) as connection:
                self._write(connection, number, self._changes[number])
        except Exception as error:  # told by __exit__, in the thread that waits for this one
            self._failures.append(error)

    def _write(self, connection: rutile.Connection, number: int, changes: _Changes) -> None:
        keys, chance = self._stock.order_keys[number::CLIENTS], random.Random()
        due = time.perf_counter() + number / CLIENTS
        while not self._stopped.wait(max(0.0, due - time.perf_counter())):
            asked = time.perf_counter()
            with self._turns[number]:
                due += time.perf_counter() - asked
                due += self._transaction(connection, keys, chance, changes) / self._rate
        self._undo(connection, changes)

    def _transaction(
        self, connection: rutile.Connection, keys: Sequence[int], chance: random.Random, changes: _Changes
    ) -> int:
        """How many rows it wrote."""
        turned = chance.sample(keys, TURNED)
        orders, lineitems = self._new_orders(chance)
        with self._timed("begin"):
            connection.begin()
        with self._timed("update"):
            connection.execute(TURN.format(keys=", ".join(map(str, turned))))
        with self._timed("insert"):
            _insert(connection, "orders", orders)
            _insert(connection, "lineitem", lineitems)
        with self._timed("commit"):
            connection.commit()
        written = TURNED + len(orders) + len(lineitems)
        changes.rows += written
        changes.transactions += 1
        changes.turned ^= set(turned)
        changes.inserted += [int(str(order[0])) for order in orders]
        return written

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No transaction is open within. What was not written in that time is not made up for."""
        with contextlib.ExitStack() as stack:
            for turn in self._turns:
                stack.enter_context(turn)
            yield

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.took[name].append(time.perf_counter() - started)

    def _new_orders(self, chance: random.Random) -> tuple[list[Row], list[Row]]:
        """Copies of orders under new keys, and their lineitems."""
        orders: list[Row] = []
        lineitems: list[Row] = []
        for order in chance.sample(self._stock.orders, INSERTED):
            key = next(self._stock.new_keys)
            orders.append((key, *order[1:]))
            lineitems += [(key, *row[1:]) for row in self._stock.lineitems[int(str(order[0]))]]
        return orders, lineitems

    @staticmethod
    def _undo(connection: rutile.Connection, changes: _Changes) -> None:
        for keys in _texts(sorted(changes.turned)):
            connection.execute(TURN.format(keys=keys))
        for keys in _texts(changes.inserted):
            connection.execute(f"DELETE FROM lineitem WHERE l_orderkey IN ({keys})")
            connection.execute(f"DELETE FROM orders WHERE o_orderkey IN ({keys})")

    def __enter__(self) -> Updates:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise ExceptionGroup("writers failed", self._failures)


def _insert(connection: rutile.Connection, table: str, rows: Sequence[Row]) -> None:
    values = ", ".join(["(" + ", ".join("?" * len(rows[0])) + ")"] * len(rows))
    connection.execute(f"INSERT INTO {table} VALUES {values}", tuple(value for row in rows for value in row))


def _texts(keys: Sequence[int]) -> Iterator[str]:
    """The keys, a hundred to a text."""
    for at in range(0, len(keys), 100):
        yield ", ".join(map(str, keys[at : at + 100]))


def is_exact(connection: rutile.Connection, query: str) -> bool:
    """Whether the mirror and the row store give the same answer at one timestamp."""
    connection.begin(read_only=True)
    try:
        answers = []
        for engines in ("tiflash", "tikv"):
            connection.execute(f"SET tidb_isolation_read_engines = '{engines}'")
            answers.append([tuple(map(_rounded, row)) for row in connection.execute(query).fetchall()])
        return answers[0] == answers[1]
    finally:
        connection.rollback()
        connection.execute("SET tidb_isolation_read_engines = DEFAULT")


def _rounded(value: object) -> object:
    """Sums of doubles depend on the order of the rows."""
    return round(value, 6) if isinstance(value, float) else value
