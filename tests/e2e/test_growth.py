"""A cluster that grows from one store to three while tellers work, shrinks gracefully, and loses a store for good.

`test_a_cluster_grows_shrinks_and_heals` is the small one; with a million rows and dozens of regions it is slow.
Both print how long each step took.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank_workload import TOTAL, Teller, open_accounts, total
from e2e_network import CutPlayground
from e2e_tools import regions, wait_until

import rutile
from rutile.ingest.import_file import import_file

PD = ("store_limit_per_minute=600", "tick_s=0.2", "split_merge_interval_s=3600", "max_replicas=3")
MAX_STORE_DOWN_S = 15.0
"""Above the ten seconds between two heartbeats of a store."""
LEADERS_APART = 4
"""Counts of leaders that balance-leader leaves as they are, beside the tolerance of 2 in 100."""


class Growth:
    """One run: a cluster, its tellers, and what each step took."""

    def __init__(self, cluster: CutPlayground, rows: int, timeout_s: float) -> None:
        self.cluster = cluster
        self.rows = rows
        self._timeout_s = timeout_s

    def load(self, folder: Path) -> None:
        """Import the rows."""
        file = folder / "rows.parquet"
        text = pa.array([f"{number:064d}" for number in range(self.rows)])
        pq.write_table(pa.table({"id": pa.array(range(self.rows)), "note": text}), file)
        began = time.monotonic()
        import_file(f"pd://{self.cluster.pd_address}", "test", "big", file, create=True, primary_key=("id",))
        print(f"\n{self.rows} rows loaded in {time.monotonic() - began:.1f} s", end="")

    def step(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for `condition` and print how long that took."""
        began = time.monotonic()
        wait_until(what, condition, self._timeout_s)
        print(f"\n{what}: {time.monotonic() - began:.1f} s, {len(regions(self.cluster))} regions", end="")

    def replicated(self, without: int = 0) -> bool:
        """Three peers of every region, all of them whole, none on the store `without`."""
        return all(
            len(found.region.peers) == 3
            and not found.pending_peers
            and not found.down_peers
            and all(peer.store_id != without and peer.role == 0 for peer in found.region.peers)
            for found in regions(self.cluster)
        )

    def leaders(self) -> Counter[int]:
        return Counter(found.leader.store_id for found in regions(self.cluster))

    def balanced(self, stores: int) -> bool:
        counts = self.leaders()
        apart = max(LEADERS_APART, sum(counts.values()) // 10)
        return len(counts) == stores and max(counts.values()) - min(counts.values()) <= apart

    def store_of(self, index: int) -> int:
        """The id of `cluster.stores[index]`, from its log."""
        found = re.search(r"store (\d+) serves at", self.cluster.stores[index].log_path.read_text())
        assert found is not None
        return int(found[1])

    def check_rows(self) -> None:
        with rutile.connect(self.cluster.sql_address) as connection:
            found = connection.execute("SELECT COUNT(*), SUM(id) FROM big").fetchall()
        assert [tuple(map(int, row)) for row in found] == [(self.rows, self.rows * (self.rows - 1) // 2)]


@contextmanager
def tellers_at_work(cluster: CutPlayground) -> Iterator[list[Teller]]:
    """Two threads that move money; none of their transactions fails but for reasons that allow another try."""
    stop = threading.Event()
    open_accounts(cluster)
    tellers = [Teller(cluster.sql_address, seed, stop) for seed in range(2)]
    threads = [threading.Thread(target=teller.run) for teller in tellers]
    for thread in threads:
        thread.start()
    try:
        yield tellers
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert [error for teller in tellers for error in teller.unexpected] == []
    assert total(cluster) == TOTAL


def grow_shrink_heal(folder: Path, rows: int, region_max_bytes: int, timeout_s: float) -> None:
    settings = (f"region_max_bytes={region_max_bytes}",)
    with CutPlayground(
        1, folder / "cluster", store_settings=settings, pd_settings=PD, max_store_down_s=MAX_STORE_DOWN_S
    ) as cluster:
        run = Growth(cluster, rows, timeout_s)
        run.load(folder)
        with tellers_at_work(cluster) as tellers:
            cluster.add_store()
            cluster.add_store()
            run.step("three peers everywhere", run.replicated)
            run.step("leaders on three stores", lambda: run.balanced(3))
            run.check_rows()
            cluster.add_store()
            leaving = run.store_of(0)
            ctl(cluster, "stores", "remove", str(leaving))
            run.step("a store drained", lambda: run.replicated(without=leaving))
            run.step("leaders on the others", lambda: run.balanced(3))
            run.check_rows()
            cluster.add_store()
            lost = run.store_of(1)
            cluster.stores[1].kill()
            run.step("a lost store replaced", lambda: run.replicated(without=lost))
            run.check_rows()
        done, tried_again = sum(each.transfers for each in tellers), sum(each.conflicts for each in tellers)
        print(f"\n{done} transfers, {tried_again} to be tried again", end="")
        assert done > 20


def ctl(cluster: CutPlayground, *arguments: str) -> None:
    """`rutile ctl`, which must succeed."""
    command = [sys.executable, "-m", "rutile", "ctl", "--pd", cluster.pd_address, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_grows_shrinks_and_heals(tmp_path: Path) -> None:
    grow_shrink_heal(tmp_path, rows=20_000, region_max_bytes=512 << 10, timeout_s=90)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_million_rows_on_a_cluster_that_grows(tmp_path: Path) -> None:
    grow_shrink_heal(tmp_path, rows=1_000_000, region_max_bytes=4 << 20, timeout_s=400)
