"""A follower's disk fills up under an import: the import ends well on the others, the follower ends and comes again.

Needs a small file system, which only root may make.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from e2e_tools import regions, wait_for_replicas, wait_until

import rutile
from rutile.nodes.playground import Playground

ROWS = 300_000
SMALL, ENOUGH = "24m", "600m"
"""Of the file system: less than the table, and more."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def rutile_command(*arguments: str) -> str:
    command = [sys.executable, "-m", "rutile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def made_file(folder: Path) -> Path:
    noise = np.random.default_rng(3).integers(0, 255, (ROWS, 40), np.uint8)
    table = pa.table({"id": np.arange(ROWS), "filler": [bytes(row).hex() for row in noise]})
    pq.write_table(table, folder / "t.parquet")
    return folder / "t.parquet"


def addresses(cluster: Playground) -> dict[int, str]:
    found = json.loads(rutile_command("ctl", "--pd", cluster.pd_address, "--json", "stores"))
    return {each["id"]: each["address"] for each in found}


def evict(cluster: Playground, action: str, index: int) -> None:
    """Add or remove the order that a store lead nothing."""
    number = next(key for key, value in addresses(cluster).items() if value == cluster.stores[index].address)
    scheduler = ("schedulers", action, "evict-leader-scheduler", str(number))
    rutile_command("ctl", "--pd", cluster.pd_address, *scheduler)


def led_by(cluster: Playground) -> set[str]:
    """The addresses of all stores that lead."""
    known = addresses(cluster)
    return {known[region.leader.store_id] for region in regions(cluster)}


def ask(cluster: Playground) -> list[tuple[object, ...]]:
    """In every store the rows it leads."""
    with rutile.connect(cluster.sql_address) as connection:
        connection.execute("SET rutile_read_mode = 'per_store'")
        return connection.execute("SELECT COUNT(*), SUM(id), MIN(filler), MAX(filler) FROM t").fetchall()


@pytest.mark.slow
def test_a_followers_full_disk_ends_its_store_and_not_the_import(tmp_path: Path) -> None:
    file, folder = made_file(tmp_path), tmp_path / "cluster" / "kv3"
    with small_disk(folder), Playground(3, tmp_path / "cluster") as cluster:
        wait_for_replicas(cluster, 3)
        evict(cluster, "add", 2)
        wait_until("the small store leads nothing", lambda: cluster.stores[2].address not in led_by(cluster))
        target = ["--target", f"pd://{cluster.pd_address}", "-D", "test"]
        rutile_command("import", *target, "t", str(file), "--create", "--primary-key", "id", "--no-mirror")
        before = ask(cluster)
        assert before[0][:2] == (ROWS, ROWS * (ROWS - 1) // 2)

        small = cluster.stores[2]
        process = small.process
        assert process is not None
        wait_until("the store ends by itself", lambda: process.poll() is not None)
        assert process.returncode == 1
        small.kill()  # there is nobody left to kill: its pipes are closed
        assert re.search(r"^rutile kv: .*No space left on device", small.log_tail(), re.MULTILINE)

        subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", folder], check=True)
        cluster.restart_store(2)
        wait_for_replicas(cluster, 3)
        evict(cluster, "remove", 2)
        for other in (0, 1):
            evict(cluster, "add", other)
        wait_until("the store that had been full leads all", lambda: led_by(cluster) == {cluster.stores[2].address})
        assert ask(cluster) == before
