"""Two of three stores are lost for good: the last one goes on, its data is readable, new stores make up replicas."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e_tools import leader_index, wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground


def ctl(cluster: Playground, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rutile", "--log-level", "error", "ctl", "--pd", cluster.pd_addresses]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)


def stores(cluster: Playground) -> dict[str, int]:
    """Store ids by address."""
    listed = json.loads(ctl(cluster, "--json", "stores").stdout)
    return {record["address"]: record["id"] for record in listed}


def readable(cluster: Playground) -> bool:
    try:
        with rutile.connect(cluster.sql_address) as connection:
            return connection.execute("SELECT COUNT(*) FROM kept").fetchall() == [(100,)]
    except rutile.Error:
        return False


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_last_store_goes_on(tmp_path: Path) -> None:
    with Playground(3, tmp_path) as cluster:
        wait_for_replicas(cluster, 3)
        with rutile.connect(cluster.sql_address) as connection:
            connection.execute("CREATE TABLE kept (id INT PRIMARY KEY)")
            connection.executemany("INSERT INTO kept VALUES (?)", [(i,) for i in range(100)])
        ids = stores(cluster)
        survivor = leader_index(cluster) or 0  # a leader has everything that was acknowledged
        lost = [ids[child.address] for index, child in enumerate(cluster.stores) if index != survivor]
        for child in cluster.stores:
            child.kill()
        data = str(tmp_path / f"kv{survivor + 1}")
        wanted = ("unsafe", "--data", data, "--lost", ",".join(map(str, lost)))

        refused = ctl(cluster, *wanted)
        assert refused.returncode == 1
        assert "nothing was changed" in refused.stderr
        done = ctl(cluster, *wanted, "--i-know-this-loses-data")
        assert done.returncode == 0, done.stderr
        assert "go on without" in done.stderr

        cluster.restart_store(survivor)
        wait_until("the data to be readable", lambda: readable(cluster), 60)
        for store_id in lost:
            assert ctl(cluster, "stores", "remove", str(store_id)).returncode == 0
        for index in (3, 4):
            child = cluster._spawn(f"kv{index + 1}", cluster._store_arguments(index, "127.0.0.1:0"))
            cluster.stores.append(child)
        for child in cluster.stores[3:]:
            child.wait_ready(time.monotonic() + 60)
        wait_for_replicas(cluster, 3)
        assert readable(cluster)
