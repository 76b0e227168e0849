"""How long a lost store takes to be replaced, by the size of the data.

    python benchmarks/repair_time.py [--rows 50000 200000 1000000] [--limit-mib 100]

Each line is a fresh playground of four stores, three replicas, one of them killed for good after the load, when the
placement driver has nothing more to do. It takes a store for lost `MAX_STORE_DOWN_S` after its last heartbeat; told are
the seconds until then, and from then until every region has three peers again, none on the lost store. `--limit-mib`
is how many MiB a second snapshots may take of a store. Rows are `ROW_BYTES` long.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import dataclass

from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdadminpb_pb2 as pdadminpb

MAX_STORE_DOWN_S = 15.0
ROW_BYTES = 256
PART_ROWS = 32_768
DEADLINE_S = 900.0
QUIET_S = 5.0
"""The placement driver is done when it has begun nothing for so long."""
REPAIR = "replace a peer"
"""How the reasons of operators begin that replace what is lost."""
LOOK_S = 0.1


class FastPlayground(Playground):
    """A playground whose processes get settings."""

    def __init__(self, limit_mib: int) -> None:
        super().__init__(4, max_store_down_s=MAX_STORE_DOWN_S)
        self._limit_bytes = limit_mib << 20

    def _store_arguments(self, index: int, address: str) -> list[str]:
        setting = f"snapshot_bytes_per_second={self._limit_bytes}"
        return [*super()._store_arguments(index, address), "--set", setting]


@dataclass(frozen=True)
class Repair:
    """What one repair took."""

    regions: int
    held: int
    """Regions that had a peer on the lost store."""
    noticed_s: float
    copied_s: float


async def load(client: Client, rows: int) -> None:
    """So many rows of random bytes under rising keys."""
    for first in range(0, rows, PART_ROWS):
        numbers = range(first, min(first + PART_ROWS, rows))
        pairs = [(b"z%012d" % number, os.urandom(ROW_BYTES)) for number in numbers]
        start_ts = await client.timestamp()
        await client.bulk_put(pairs, start_ts, await client.timestamp())


async def operators(client: Client, reason: str = "") -> int:
    """How many operators run, of those whose reason begins so."""
    running = (await client.pd.call("ListOperators", pdadminpb.ListOperatorsRequest())).running
    return sum(each.reason.startswith(reason) for each in running)


async def is_whole(client: Client, without: int = 0) -> bool:
    """Whether every region has three voters and nobody else, none of them on that store."""
    for found in await client.pd.scan_regions(b"", b"", 10_000):
        peers = found.region.peers
        if len(peers) != 3 or any(peer.role != metapb.Voter or peer.store_id == without for peer in peers):
            return False
    return True


async def wait_for_quiet(client: Client) -> None:
    """Until all regions are whole and the placement driver has done nothing for a while."""
    deadline = quiet_since = time.monotonic()
    deadline += DEADLINE_S
    while time.monotonic() - quiet_since < QUIET_S:
        if await operators(client) or not await is_whole(client):
            quiet_since = time.monotonic()
        if time.monotonic() > deadline:
            raise SystemExit(f"the cluster did not come to rest within {DEADLINE_S:.0f} s")
        await asyncio.sleep(LOOK_S)


async def lose_a_store(playground: Playground, client: Client) -> Repair:
    """Kill the store with the first peer of the last region, and wait for the repair."""
    regions = await client.pd.scan_regions(b"", b"", 10_000)
    victim = regions[-1].region.peers[0].store_id
    held = sum(victim in [peer.store_id for peer in found.region.peers] for found in regions)
    address = (await client.pd.get_store(victim)).address
    playground.stores[playground.store_addresses.index(address)].kill()
    began = time.monotonic()
    noticed = None
    while not await is_whole(client, victim):
        if noticed is None and await operators(client, REPAIR):
            noticed = time.monotonic()
        if time.monotonic() > began + DEADLINE_S:
            raise SystemExit(f"not repaired within {DEADLINE_S:.0f} s")
        await asyncio.sleep(LOOK_S)
    ended = time.monotonic()
    noticed = noticed or ended
    return Repair(len(regions), held, noticed - began, ended - noticed)


async def measure(playground: Playground, rows: int) -> None:
    client = await Client.connect([playground.pd_address])
    try:
        await load(client, rows)
        await wait_for_quiet(client)
        repair = await lose_a_store(playground, client)
    finally:
        await client.close()
    mib = rows * ROW_BYTES / (1 << 20)
    print(
        f"{rows:9,} rows, {mib:5.0f} MiB, {repair.regions} regions, {repair.held} of them on the lost store: "
        f"noticed after {repair.noticed_s:.1f} s, made good in {repair.copied_s:.1f} s more",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--limit-mib", type=int, default=100)
    options = parser.parse_args()
    for rows in options.rows:
        with FastPlayground(options.limit_mib) as playground:
            asyncio.run(measure(playground, rows))


if __name__ == "__main__":
    main()
