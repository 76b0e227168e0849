"""What real processes let their clients see, judged by checkers: with stores killed and stopped meanwhile.

Lists are appended to through the key-value client and through SQL, registers read and written in transactions of one
key, all at once, by threads that know nothing of each other. Transactions go over three regions, so that one-phase
commits, async commits and commits in two phases (one client has async commit off) meet each other, and some clients are
so hasty that they never hear what became of a commit while a leader is elected.
"""

from __future__ import annotations

import threading
import time

import pytest
from anomaly_run import check, work
from e2e_faults import Nemesis
from e2e_tools import wait_for_replicas

from rutile.nodes.playground import Playground


def test_no_anomalies_while_a_leader_is_killed(playground: Playground) -> None:
    nemesis = Nemesis(playground)

    def disturb(stop: threading.Event) -> None:
        stop.wait(2.0)
        nemesis.kill_leader()
        stop.wait(3.0)

    check(work(playground, disturb), at_least=50)
    assert nemesis.kills == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_anomalies_under_many_faults(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    with Playground(3, tmp_path_factory.mktemp("anomalies")) as cluster:
        wait_for_replicas(cluster, 3)
        nemesis = Nemesis(cluster, seed)
        began = time.monotonic()

        def disturb(stop: threading.Event) -> None:
            while time.monotonic() - began < 75:
                nemesis.rage(8, stop)

        run = work(cluster, disturb)
        print(f"\nseed {seed}: {nemesis.kills} kills, {nemesis.stops} stops, {time.monotonic() - began:.0f} s", end="")
        check(run, at_least=100)
        assert nemesis.kills > 1 and nemesis.stops > 1
