"""Bank transfers from eight threads against real processes, with and without a leader killed every few seconds."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import pytest
from e2e_tools import leader_index, wait_for_replicas

import rutile
from rutile.playground import Playground

ACCOUNTS = 20
OPENING_BALANCE = 1_000
TOTAL = ACCOUNTS * OPENING_BALANCE
THREADS = 8


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


def run_bank(cluster: Playground, seconds: float, kill_every_s: float | None) -> list[Teller]:
    """Run the tellers; check the total all along, from snapshots, and at the end."""
    stop = threading.Event()
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("DROP TABLE IF EXISTS account")
        connection.execute("CREATE TABLE account (id INT PRIMARY KEY, balance BIGINT NOT NULL)")
        connection.executemany("INSERT INTO account VALUES (?, ?)", [(i, OPENING_BALANCE) for i in range(ACCOUNTS)])
    tellers = [Teller(cluster.sql_address, seed, stop) for seed in range(THREADS)]
    threads = [threading.Thread(target=teller.run) for teller in tellers]
    for thread in threads:
        thread.start()
    try:
        _watch(cluster, time.monotonic() + seconds, kill_every_s)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert [error for teller in tellers for error in teller.unexpected] == []
    assert total(cluster) == TOTAL
    print(f"\n{sum(t.transfers for t in tellers)} transfers, {sum(t.conflicts for t in tellers)} tried again", end="")
    return tellers


def _watch(cluster: Playground, deadline: float, kill_every_s: float | None) -> None:
    pause = threading.Event()
    next_kill = time.monotonic() + (kill_every_s or 1e9)
    checks = kills = 0
    while time.monotonic() < deadline:
        assert total(cluster) == TOTAL
        checks += 1
        if time.monotonic() >= next_kill:
            kills += _kill_leader_and_restart(cluster)
            next_kill = time.monotonic() + (kill_every_s or 1e9)
        pause.wait(0.3)
    print(f"\n{checks} totals checked, {kills} leaders killed", end="")


def _kill_leader_and_restart(cluster: Playground) -> int:
    victim = leader_index(cluster)
    if victim is None:
        return 0
    cluster.stores[victim].kill()
    cluster.restart_store(victim)
    return 1


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


def test_bank_keeps_its_total(playground: Playground) -> None:
    tellers = run_bank(playground, seconds=5, kill_every_s=None)
    assert sum(teller.transfers for teller in tellers) > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bank_keeps_its_total_while_leaders_are_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Playground(3, tmp_path_factory.mktemp("bank")) as cluster:
        wait_for_replicas(cluster, 3)
        tellers = run_bank(cluster, seconds=60, kill_every_s=5)
        assert sum(teller.transfers for teller in tellers) > 0
