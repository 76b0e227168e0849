"""kill -9 of stores under a stream of transactions: what was acknowledged is there, whole, and writes go on."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest
from e2e_tools import leader_index, wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground

FAILOVER_LIMIT_S = 15.0
"""Far above what is seen (about 2 s; the figure is printed): the machine may be busy with other things."""


@dataclass
class PairWriter:
    """Inserts pairs of rows, each pair one transaction, and remembers what was acknowledged and when."""

    address: str
    first_pair: int
    acknowledged: list[int] = field(default_factory=list)
    attempted: int = 0
    last_ack_at: float = 0.0
    longest_gap_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        pair = self.first_pair
        self.last_ack_at = time.monotonic()
        connection = rutile.connect(self.address)
        while not self.stop.is_set():
            self.attempted = pair
            try:
                connection.begin()
                connection.execute("INSERT INTO pairs VALUES (?, 0, ?)", (pair, "left"))
                connection.execute("INSERT INTO pairs VALUES (?, 1, ?)", (pair, "right"))
                connection.commit()
            except rutile.OperationalError:
                connection.rollback()
            else:
                self._acknowledge(pair)
            pair += 1
        connection.close()

    def _acknowledge(self, pair: int) -> None:
        now = time.monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now - self.last_ack_at)
        self.last_ack_at = now
        self.acknowledged.append(pair)


def check_pairs(address: str, writers: list[PairWriter]) -> None:
    """Every acknowledged pair is there; no pair is half there."""
    with rutile.connect(address) as connection:
        rows = connection.execute("SELECT id, COUNT(*) FROM pairs GROUP BY id").fetchall()
    counts = dict(rows)
    assert set(counts.values()) <= {2}, "a transaction is half there"
    missing = [pair for writer in writers for pair in writer.acknowledged if pair not in counts]
    assert missing == [], "acknowledged rows are gone"


def grows(writer: PairWriter, by: int) -> None:
    """Wait until the writer has acknowledged `by` more pairs."""
    target = len(writer.acknowledged) + by
    wait_until(f"{by} more acknowledged transactions", lambda: len(writer.acknowledged) >= target, FAILOVER_LIMIT_S)


@pytest.mark.slow
def test_acknowledged_rows_survive_kill_9(tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Playground(3, tmp_path_factory.mktemp("kill")) as cluster:
        wait_for_replicas(cluster, 3)
        with rutile.connect(cluster.sql_address) as connection:
            connection.execute("CREATE TABLE pairs (id BIGINT, side INT, t VARCHAR(10), PRIMARY KEY (id, side))")
        writers = [PairWriter(cluster.sql_address, first_pair=i * 1_000_000) for i in range(4)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        try:
            grows(writers[0], 20)
            victim = leader_index(cluster)
            assert victim is not None
            killed_at = time.monotonic()
            cluster.stores[victim].kill()
            grows(writers[0], 20)
            print(f"\nleader killed; 20 further commits within {time.monotonic() - killed_at:.2f} s,", end=" ")
            print(f"longest gap between two commits {max(w.longest_gap_s for w in writers):.2f} s")
            cluster.restart_store(victim)
            grows(writers[0], 20)
        finally:
            for writer in writers:
                writer.stop.set()
            for thread in threads:
                thread.join(60)
        check_pairs(cluster.sql_address, writers)
        _second_store_lost(cluster, victim, writers)
        _all_stores_lost(cluster, writers)


def _second_store_lost(cluster: Playground, first: int, writers: list[PairWriter]) -> None:
    """With another store gone, the restarted one is needed for a quorum: it has caught up, or nothing is readable."""
    other = (first + 1) % 3
    cluster.stores[other].kill()
    check_pairs(cluster.sql_address, writers)
    cluster.restart_store(other)


def _all_stores_lost(cluster: Playground, writers: list[PairWriter]) -> None:
    for store in cluster.stores:
        store.kill()
    for index in range(3):
        cluster.restart_store(index)
    check_pairs(cluster.sql_address, writers)
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("INSERT INTO pairs VALUES (-1, 0, 'after'), (-1, 1, 'after')")
    check_pairs(cluster.sql_address, writers)
