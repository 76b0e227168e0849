"""Writes per second through one store: proposal, log, sync, commit, apply, answer; nothing above and no network.

    python benchmarks/raftstore_write.py [--seconds 2] [--profile]

Prints, per engine and concurrency, writes per second, the time one write costs, and the ratio to a single client. With
one client every write pays for its own sync; with many they share it. `--profile` prints where the CPU goes.
"""

import argparse
import asyncio
import cProfile
import pstats
import random
import shutil
import tempfile
import time
from pathlib import Path

from rutile_kv.engine.api import Engine
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.clock import SystemClock
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, bootstrap_store, first_region
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.store import Store
from rutile_proto import kvrpcpb_pb2 as kvrpcpb


class NoNetwork:
    """A Transport and PdEvents for a store that is alone."""

    def send(self, message) -> None:
        raise AssertionError("a single peer talks to nobody")

    async def send_snapshot(self, message, chunks) -> None:
        raise AssertionError("a single peer sends no snapshots")

    def region_heartbeat(self, request) -> None:
        return

    def regions_split(self, regions) -> None:
        return

    async def ask_split(self, region, count):
        raise AssertionError("nothing is split here")


async def measure(engine: Engine, clients: int, seconds: float) -> float:
    """Writes per second of `clients` tasks, each writing one key after the other."""
    store = Store(1, engine, StoreConfig(), random.Random(1))
    driver = StoreDriver(store, engine, NoNetwork(), NoNetwork(), SystemClock())
    await driver.start()
    while not store.region_infos()[0].is_leader:
        await asyncio.sleep(0.001)
    info = store.region_infos()[0]
    context = kvrpcpb.Context(region_id=1, region_epoch=info.region.region_epoch, peer=info.peer)
    deadline, written = time.perf_counter() + seconds, 0

    async def client(number: int) -> None:
        nonlocal written
        turn = 0
        while time.perf_counter() < deadline:
            turn += 1
            await driver.write(context, [("write", b"key-%04d-%08d" % (number, turn), b"v" * 100)])
            written += 1

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    elapsed = time.perf_counter() - start
    await driver.stop()
    return written / elapsed


def run(name: str, engine: Engine, seconds: float, clients: int) -> float:
    bootstrap_store(engine, 1, 1)
    bootstrap_first_region(engine, first_region(1, 1, 1))
    rate = asyncio.run(measure(engine, clients, seconds))
    engine.close()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="rutile-bench-"))
    profile = cProfile.Profile() if arguments.profile else None
    if profile:
        profile.enable()
    try:
        for name in ("memory", "rocksdb"):
            single = 0.0
            for clients in (1, 64):
                engine: Engine = (
                    MemoryEngine() if name == "memory" else RocksEngine.open(directory / f"{name}-{clients}")
                )
                rate = run(name, engine, arguments.seconds, clients)
                single = single or rate
                print(
                    f"{name:8} clients {clients:3}  {rate:9,.0f} writes/s  {1e6 / rate:7.0f} us a write"
                    f"  {rate / single:6.2f} x one client"
                )
    finally:
        shutil.rmtree(directory)
        if profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
