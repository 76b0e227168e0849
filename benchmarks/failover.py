"""How long writes stand still when the store that leads them is killed.

    python benchmarks/failover.py [--kills 20] [--writers 4]

Three stores, a placement driver and SQL as processes on loopback. Writers commit one row after the other, each by
itself; the store that leads the table's region is killed with SIGKILL and started again, time after time. The gap is
from the kill to the first commit that was begun after it and acknowledged, by any writer; the longest pause of a single
writer is given beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from bisect import bisect
from itertools import pairwise
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests" / "e2e")]

from e2e_tools import leader_index, wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground

SETTLE_S = 3.0


class Writer:
    """Commits rows of its own and notes when each was begun and acknowledged."""

    def __init__(self, address: str, first: int, stop: threading.Event) -> None:
        self.commits: list[tuple[float, float]] = []
        self.errors = 0
        self._address = address
        self._next = first
        self._stop = stop
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with rutile.connect(self._address) as connection:
            while not self._stop.is_set():
                self._next += 1
                begun = time.monotonic()
                try:
                    connection.execute("INSERT INTO gap VALUES (?)", (self._next,))
                except rutile.OperationalError:
                    self.errors += 1
                else:
                    self.commits.append((begun, time.monotonic()))

    def first_after(self, moment: float) -> float:
        """When the first commit begun after `moment` was acknowledged; infinity if none was yet."""
        return next((done for begun, done in self.commits[bisect(self.commits, (moment,)) :]), float("inf"))

    def longest_pause(self, since: float, until: float) -> float:
        """The longest time between two acknowledgements."""
        moments = [done for _, done in self.commits if since <= done <= until]
        return max((b - a for a, b in pairwise(moments)), default=float("inf"))


def main() -> None:
    """Kill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--writers", type=int, default=4)
    options = parser.parse_args()
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder, Playground(3, Path(folder)) as cluster:
        wait_for_replicas(cluster, 3)
        with rutile.connect(cluster.sql_address) as connection:
            connection.execute("CREATE TABLE gap (id BIGINT PRIMARY KEY)")
        writers = [Writer(cluster.sql_address, each << 40, stop) for each in range(options.writers)]
        for writer in writers:
            writer.thread.start()
        try:
            gaps, pauses = zip(*(kill_once(cluster, writers) for _ in range(options.kills)), strict=True)
        finally:
            stop.set()
            for writer in writers:
                writer.thread.join()
        with rutile.connect(cluster.sql_address) as connection:
            kept = connection.execute("SELECT COUNT(*) FROM gap").fetchall()[0][0]
    acknowledged = sum(len(writer.commits) for writer in writers)
    print(f"{options.kills} kills, {acknowledged} commits acknowledged, {kept} rows, ", end="")
    print(f"{sum(writer.errors for writer in writers)} retryable errors")
    for name, values in (("gap", gaps), ("longest pause of a writer", pauses)):
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
        print(f"{name}: median {statistics.median(ordered):.2f} s, 99th percentile {p99:.2f} s, ", end="")
        print(f"from {ordered[0]:.2f} to {ordered[-1]:.2f} s")
    assert kept >= acknowledged, "acknowledged rows are gone"


def kill_once(cluster: Playground, writers: list[Writer]) -> tuple[float, float]:
    """Seconds from the kill to the next commit, and the longest pause of any writer around it."""
    victim = leader_index(cluster)
    assert victim is not None, "the region has no leader"
    killed_at = time.monotonic()
    cluster.stores[victim].kill()
    wait_until("a commit after the kill", lambda: min(w.first_after(killed_at) for w in writers) < float("inf"), 60)
    gap = min(writer.first_after(killed_at) for writer in writers) - killed_at
    wait_until("all writers", lambda: max(w.first_after(killed_at) for w in writers) < float("inf"), 60)
    cluster.restart_store(victim)
    wait_for_replicas(cluster, 3)
    threading.Event().wait(SETTLE_S)
    pause = max(writer.longest_pause(killed_at - 1.0, time.monotonic()) for writer in writers)
    return gap, pause


if __name__ == "__main__":
    main()
