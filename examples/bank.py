"""Moving money between accounts, with a transaction that is tried again when it loses a conflict.

python examples/bank.py              # in memory, in this process
python examples/bank.py some/dir     # durable
python examples/bank.py 127.0.0.1:4001
"""

from __future__ import annotations

import sys
import threading

import rutile


def transfer(connection: rutile.Connection, source: int, target: int, amount: int) -> None:
    """Move `amount`, once, however many conflicts it meets."""
    while True:
        try:
            connection.begin()
            connection.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, source))
            connection.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, target))
            return connection.commit()
        except rutile.OperationalError as error:
            connection.rollback()
            if not error.retryable:
                raise


def main(target: str | None) -> None:
    """Four threads shuffle money; the total stays."""
    with rutile.connect(target) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS account (id INT PRIMARY KEY, balance BIGINT NOT NULL)")
        connection.execute("DELETE FROM account")
        connection.executemany("INSERT INTO account VALUES (?, ?)", [(i, 100) for i in range(10)])
        threads = [threading.Thread(target=_shuffle, args=(connection, target, i)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(connection.execute("SELECT COUNT(*), SUM(balance) FROM account").fetchone())


def _shuffle(owner: rutile.Connection, target: str | None, seed: int) -> None:
    with owner.duplicate() if target is None else rutile.connect(target) as connection:
        for i in range(25):
            transfer(connection, (seed + i) % 10, (seed + 3 * i + 1) % 10, 5)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
