"""Bank transfers from eight threads against real processes, with and without a leader killed every few seconds."""

from __future__ import annotations

import threading
import time

import pytest
from bank_workload import TOTAL, Teller, open_accounts, total
from e2e_tools import leader_index, wait_for_replicas

from rutile.nodes.playground import Playground

THREADS = 8


def run_bank(cluster: Playground, seconds: float, kill_every_s: float | None) -> list[Teller]:
    """Run the tellers; check the total all along, from snapshots, and at the end."""
    stop = threading.Event()
    open_accounts(cluster)
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
