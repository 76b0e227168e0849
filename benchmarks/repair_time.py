"""How long a lost store takes to be replaced, by the size of the data: seconds from the first new peer to the last.

    python benchmarks/repair_time.py [--mib 64 256 512] [--limit-mib 100]

Each number is a fresh playground of four stores, three replicas, one of them killed for good after the load. PD takes a
store for lost `MAX_STORE_DOWN_S` after its last heartbeat. `--limit-mib` is how many MiB a second snapshots
may take of a store.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client

MAX_STORE_DOWN_S = 15.0
VALUE_BYTES = 4096
PART_VALUES = 4096
DEADLINE_S = 900.0


class FastPlayground(Playground):
    """A playground whose processes get settings."""

    def __init__(self, limit_mib: int) -> None:
        super().__init__(4, max_store_down_s=MAX_STORE_DOWN_S)
        self._limit_bytes = limit_mib << 20

    def _store_arguments(self, index: int, address: str) -> list[str]:
        setting = f"snapshot_bytes_per_second={self._limit_bytes}"
        return [*super()._store_arguments(index, address), "--set", setting]


async def load(client: Client, mib: int) -> None:
    """So many MiB of random values under rising keys."""
    count = (mib << 20) // VALUE_BYTES
    for first in range(0, count, PART_VALUES):
        pairs = [
            (b"z%012d" % number, os.urandom(VALUE_BYTES)) for number in range(first, min(first + PART_VALUES, count))
        ]
        start_ts = await client.timestamp()
        await client.bulk_put(pairs, start_ts, await client.timestamp())


async def wait_for_peers(client: Client, without: int) -> float:
    """Until every region has three whole peers, none on that store; seconds since a fourth was seen first."""
    deadline, began = time.monotonic() + DEADLINE_S, 0.0
    while True:
        regions = await client.pd.scan_regions(b"", b"", 10_000)
        if any(len(found.region.peers) > 3 for found in regions):
            began = began or time.monotonic()
        stores = [[peer.store_id for peer in found.region.peers if peer.role == 0] for found in regions]
        if regions and all(len(each) == 3 and without not in each for each in stores):
            return time.monotonic() - began if began else 0.0
        if time.monotonic() > deadline:
            raise SystemExit(f"not repaired within {DEADLINE_S:.0f} s: {stores}")
        await asyncio.sleep(0.1)


async def measure(playground: Playground, mib: int) -> None:
    client = await Client.connect([playground.pd_address])
    try:
        await wait_for_peers(client, 0)
        await load(client, mib)
        await wait_for_peers(client, 0)
        regions = await client.pd.scan_regions(b"", b"", 10_000)
        victim = regions[-1].region.peers[0].store_id
        address = (await client.pd.get_store(victim)).address
        index = playground.store_addresses.index(address)
        held = sum(victim in [peer.store_id for peer in found.region.peers] for found in regions)
        playground.stores[index].kill()
        began = time.monotonic()
        copying = await wait_for_peers(client, victim)
        seconds = time.monotonic() - began
    finally:
        await client.close()
    print(
        f"{mib:5d} MiB, {len(regions)} regions, {held} of them on the lost store: copied in {copying:5.1f} s, "
        f"{seconds:5.1f} s after it died",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--limit-mib", type=int, default=100)
    options = parser.parse_args()
    for mib in options.mib:
        with FastPlayground(options.limit_mib) as playground:
            asyncio.run(measure(playground, mib))


if __name__ == "__main__":
    main()
