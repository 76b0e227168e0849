"""Everything at once on real processes: kills, stopped processes, cut networks, regions that split and merge, while
money moves, lists grow and registers change. `RUTILE_STORM_SECONDS=600` makes it ten minutes.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anomaly_run import check, work
from anomaly_workloads import GENERATIONS, LISTS, list_key
from bank_workload import TOTAL, Teller, open_accounts, total
from e2e_faults import Nemesis
from e2e_network import OUTSIDE, CutPlayground
from e2e_tools import regions, wait_for_replicas

from rutile_kv.client.sync import SyncClient
from rutile_proto.errors import RutileError

SECONDS = float(os.environ.get("RUTILE_STORM_SECONDS", "90"))
RESTLESS_PD = (
    "max_merge_region_keys=1000000",
    "max_merge_region_size_mib=64",
    "split_merge_interval_s=1",
    "tick_s=0.2",
    "store_disconnected_s=5",
)
"""Whatever was split is merged again soon, across the regions of all lists."""


class Storm(Nemesis):
    """A nemesis with a network to cut and borders to draw."""

    cluster: CutPlayground

    def __init__(self, cluster: CutPlayground, seed: int, client: SyncClient) -> None:
        super().__init__(cluster, seed)
        self.done: Counter[str] = Counter()
        self._client = client

    def blow(self, stop: threading.Event) -> None:
        """One disturbance and the time it lasts."""
        act: Callable[[], None] = self._dice.choice(
            [self._kill, self._freeze, self._isolate, self._deafen, self._split]
        )
        act()
        self.done[act.__name__.strip("_")] += 1
        stop.wait(self._dice.uniform(0.3, 2.0))

    def _kill(self) -> None:
        self.kill_leader()

    def _freeze(self) -> None:
        self.stop_store(self._dice.uniform(1.0, 4.0))

    def _isolate(self) -> None:
        """A store nobody reaches and that reaches no other store; the placement driver still hears it."""
        victim = self._victim()
        self._cut_for_a_while(lambda: self.cluster.network.isolate(victim, self._others(victim)))

    def _deafen(self) -> None:
        """A store that hears nobody, though the others hear it: a leader that goes on sending heartbeats."""
        victim = self._victim()
        self._cut_for_a_while(lambda: self.cluster.network.cut(*((other, victim) for other in self._others(victim))))

    def _split(self) -> None:
        keys = [list_key(self._dice.randrange(LISTS * GENERATIONS)) for _ in range(self._dice.randint(1, 3))]
        try:
            self._client.split_regions(keys)
        except RutileError:
            self.done["split refused"] += 1  # no leader just now

    def _victim(self) -> str:
        return f"kv{self._dice.randrange(len(self.cluster.stores)) + 1}"

    def _others(self, victim: str) -> list[str]:
        return [child.name for child in self.cluster.stores if child.name != victim] + ["sql", OUTSIDE]

    def _cut_for_a_while(self, cut: Callable[[], None]) -> None:
        cut()
        try:
            self._pause.wait(self._dice.uniform(1.0, 5.0))
        finally:
            self.cluster.network.heal()


@contextmanager
def tellers_at_work(cluster: CutPlayground) -> Iterator[list[Teller]]:
    """Four threads that move money meanwhile; the total is right at the end."""
    stop = threading.Event()
    open_accounts(cluster)
    tellers = [Teller(cluster.sql_address, seed, stop) for seed in range(4)]
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


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 240)
def test_no_anomalies_in_a_storm(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    with CutPlayground(3, tmp_path, pd_settings=RESTLESS_PD) as cluster:
        wait_for_replicas(cluster, 3)
        with SyncClient.connect([cluster.pd_address]) as client, tellers_at_work(cluster) as tellers:
            storm = Storm(cluster, seed, client)
            most_regions = 0

            def disturb(stop: threading.Event) -> None:
                nonlocal most_regions
                deadline = time.monotonic() + SECONDS
                while time.monotonic() < deadline:
                    storm.blow(stop)
                    most_regions = max(most_regions, len(regions(cluster)))

            run = work(cluster, disturb)
        print(f"\nseed {seed}: {dict(storm.done)}, {sum(each.transfers for each in tellers)} transfers", end="")
        print(f"\nat most {most_regions} regions, {len(regions(cluster))} in the end", end="")
        check(run, at_least=100)
        assert len(storm.done) >= 4
