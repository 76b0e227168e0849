"""Small KV operations at 1, 16, 64 and 200 concurrent clients: gets, and transactions that write one key.

Embedded (one store in this process, called directly) and through a playground of three stores. The "clients" are tasks
that share one Client, as the connections of one front end do. What rises with their number is what group commit, shared
timestamps and shared messages are worth: the gain over one client is printed, and the CPU time of this process for one
operation, which means something on a busy machine too.

    python benchmarks/kv_concurrency.py [--seconds 3] [--only embedded|playground] [--profile] [--two-phase]

With --profile the embedded run prints where the time went (cProfile, by the functions' own time).
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rutile.nodes.embedded import EmbeddedNode
from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client, ClientOptions

CLIENTS = (1, 16, 64, 200)
ROWS = 10_000
VALUE = b"v" * 100

Operation = Callable[[random.Random], Awaitable[object]]


def key(number: int) -> bytes:
    return b"zbench/%08d" % number


async def load(client: Client) -> None:
    for first in range(0, ROWS, 1000):
        async with await client.begin() as txn:
            for number in range(first, first + 1000):
                txn.put(key(number), VALUE)


async def rate(operation: Operation, clients: int, seconds: float) -> tuple[float, float]:
    """(operations a second, microseconds of this process's CPU an operation) of `clients` tasks, once warm."""
    done = 0
    counting = False
    stop = asyncio.Event()

    async def work(seed: int) -> None:
        nonlocal done
        chance = random.Random(seed)
        while not stop.is_set():
            await operation(chance)
            done += counting

    tasks = [asyncio.create_task(work(seed)) for seed in range(clients)]
    await asyncio.sleep(seconds / 6)
    counting, started, burnt = True, time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - burnt
    counting = False
    stop.set()
    await asyncio.gather(*tasks)
    return done / elapsed, 1e6 * cpu / max(1, done)


async def measure(client: Client, name: str, seconds: float) -> None:
    """Load, measure, print."""
    await load(client)
    snapshot = client.snapshot(await client.timestamp())

    async def get(chance: random.Random) -> None:
        assert await snapshot.get(key(chance.randrange(ROWS))) == VALUE

    async def fresh_get(chance: random.Random) -> None:
        await client.snapshot(await client.timestamp()).get(key(chance.randrange(ROWS)))

    async def write(chance: random.Random) -> None:
        async with await client.begin() as txn:
            txn.put(b"zwrite/%012d" % chance.randrange(1 << 40), VALUE)

    for what, operation in (("gets", get), ("gets, each with a timestamp", fresh_get), ("1-key transactions", write)):
        alone = 0.0
        for clients in CLIENTS:
            per_second, cpu_us = await rate(operation, clients, seconds)
            alone = alone or per_second
            gain = f"{per_second / alone:6.1f}x {cpu_us:6.0f} us"
            print(f"{name:<11} {what:<28} {clients:>4} clients {per_second:9,.0f}/s {gain}", flush=True)


async def embedded(folder: Path, seconds: float, options: ClientOptions) -> None:
    node = await EmbeddedNode.open(folder)
    try:
        node.client.cluster.options = options
        await measure(node.client, "embedded", seconds)
    finally:
        await node.close()


async def through(cluster: Playground, seconds: float, options: ClientOptions) -> None:
    client = await Client.connect([cluster.pd_address], options=options)
    try:
        await measure(client, "playground", seconds)
    finally:
        await client.close()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--only", choices=("embedded", "playground"))
    parser.add_argument("--profile", action="store_true", help="of the embedded run")
    parser.add_argument("--two-phase", action="store_true", help="commit in two phases, not in one")
    arguments = parser.parse_args()
    options = ClientOptions(one_phase_commit=not arguments.two_phase)
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as folder:
        if arguments.only != "playground":
            profile = cProfile.Profile() if arguments.profile else None
            run = embedded(Path(folder) / "embedded", arguments.seconds, options)
            asyncio.run(run) if profile is None else profile.runcall(asyncio.run, run)
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        if arguments.only != "embedded":
            with Playground(3, Path(folder) / "cluster") as cluster:
                asyncio.run(through(cluster, arguments.seconds, options))


if __name__ == "__main__":
    main()
