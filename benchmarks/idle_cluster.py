"""What an idle cluster costs: three store processes with 10, 100 and 1,000 regions, CPU per cent of each.

    python benchmarks/idle_cluster.py [--regions 10 100 1000] [--seconds 20] [--awake]

Each number is a fresh playground. With --awake regions never hibernate: the cost of ticking. Stores keep their data
in a temporary directory; CPU is what the kernel charged the process (user and system) over the measured time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client
from rutile_kv.client.splits import split_regions

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 20.0
"""After the last region has all its peers: heartbeats calm down, regions fall asleep."""
REPLICATION_SECONDS = 300.0
BALANCE_LOOKS = 30


class QuietPlayground(Playground):
    """A playground whose stores get settings."""

    def __init__(self, settings: list[str]) -> None:
        super().__init__(stores=3)
        self._settings = settings

    def _store_arguments(self, index: int, address: str) -> list[str]:
        extra = [part for setting in self._settings for part in ("--set", setting)]
        return [*super()._store_arguments(index, address), *extra]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


async def split_into(client: Client, regions: int) -> None:
    """Cut the key space and wait until every region has three peers."""
    keys = [b"zidle/%06d" % number for number in range(regions - 1)]
    for first in range(0, len(keys), 100):
        await split_regions(client.cluster, keys[first : first + 100], REPLICATION_SECONDS)
    deadline = time.monotonic() + REPLICATION_SECONDS
    while time.monotonic() < deadline:
        found = await client.cluster.pd.scan_regions(b"", b"", 10_000)
        if len(found) >= regions and all(len(region.region.peers) == 3 for region in found):
            return
        await asyncio.sleep(1.0)
    raise SystemExit(f"{regions} regions were not replicated within {REPLICATION_SECONDS:.0f} s")


async def wait_for_balance(client: Client) -> None:
    """Wait until the placement driver has stopped moving leaders: what it moves is not idle."""
    before: list[int] = []
    for _ in range(BALANCE_LOOKS):
        found = await client.cluster.pd.scan_regions(b"", b"", 10_000)
        leaders = [region.leader.id for region in found if region.leader is not None]
        if leaders == before:
            return
        before = leaders
        await asyncio.sleep(SETTLE_SECONDS)
    raise SystemExit(f"leaders still moved after {BALANCE_LOOKS * SETTLE_SECONDS:.0f} s")


async def prepare(pd_address: str, regions: int) -> None:
    client = await Client.connect([pd_address])
    try:
        await split_into(client, regions)
        await wait_for_balance(client)
    finally:
        await client.close()


def measure(regions: int, seconds: float, settings: list[str]) -> list[float]:
    """CPU per cent of each store while nothing is asked of them."""
    with QuietPlayground(settings) as playground:
        asyncio.run(prepare(playground.pd_address, regions))
        time.sleep(SETTLE_SECONDS)
        pids = [child.pid for child in playground.stores]
        before = [cpu_seconds(pid) for pid in pids]
        began = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        return [100 * (cpu_seconds(pid) - earlier) / elapsed for pid, earlier in zip(pids, before, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regions", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--awake", action="store_true", help="regions never hibernate")
    options = parser.parse_args()
    settings = ["hibernate_after_seconds=0"] if options.awake else []
    for regions in options.regions:
        shares = measure(regions, options.seconds, settings)
        print(
            f"{regions:5d} regions: " + "  ".join(f"{share:5.1f} %" for share in shares) + "  CPU a store", flush=True
        )


if __name__ == "__main__":
    main()
