"""Durable replicated puts, gets and transactions: three Rutile stores beside a three-node etcd, in one run.

    python benchmarks/kv_vs_etcd.py [--seconds 5] [--clients 1,16,64,200] [--only puts,batches,gets,transactions]

Both clusters run on this machine, over loopback, with their data in the same file system; every put is on the disks of
a quorum before it is answered. The load comes from this one process: N tasks that each do one operation after the
other, through our asyncio client and through an asyncio gRPC client of etcd's leader. Each point is measured on one
cluster and then on the other, so that both see the same machine. `cpu` is what the cluster's processes used for one
operation, all replicas together, which does not depend on what else the machine does; `load` is the share of one core
that the generator used: near 100% it is the generator that was measured. Batches of puts are compared with Txns of the
same keys and, when single puts were measured too, with single puts of etcd.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.etcd import EtcdClient, EtcdCluster

from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client, ClientOptions

KEYS = 10_000
VALUE = bytes(random.Random(1).randbytes(256))
BATCH = 100
WARM_UP_S = 1.0

Operation = Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True)
class Point:
    """What one measurement found."""

    per_second: float
    median_ms: float
    slowest_ms: float
    """The 99th percentile."""
    load: float
    """CPU seconds of this process per second."""
    cpu_us: float
    """CPU microseconds of the cluster's processes per operation."""


async def measure(operation: Operation, clients: int, seconds: float, pids: Sequence[int]) -> Point:
    """Run `clients` tasks for a while, each doing one operation after the other on random keys; `pids` serve them."""
    await _run(operation, clients, min(WARM_UP_S, seconds))
    used, served = _own_cpu_s(), _cpu_s(pids)
    started = time.perf_counter()
    latencies = await _run(operation, clients, seconds)
    elapsed = time.perf_counter() - started
    latencies.sort()
    return Point(
        len(latencies) / elapsed,
        statistics.median(latencies) * 1000,
        latencies[int(len(latencies) * 0.99)] * 1000,
        (_own_cpu_s() - used) / elapsed,
        (_cpu_s(pids) - served) / len(latencies) * 1e6,
    )


async def _run(operation: Operation, clients: int, seconds: float) -> list[float]:
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def client(number: int) -> None:
        pick = random.Random(number)
        while (started := time.perf_counter()) < deadline:
            await operation(_key(pick))
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return latencies


def _key(pick: random.Random) -> bytes:
    return b"bench/%08d" % pick.randrange(KEYS)


def _pairs(key: bytes) -> dict[bytes, bytes]:
    """A batch that begins with `key`."""
    first = int(key[-8:])
    return {b"bench/%08d" % ((first + at) % KEYS): VALUE for at in range(BATCH)}


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_s(pids: Sequence[int]) -> float:
    """User and system time of the processes so far (Linux: fields 14 and 15 of /proc/PID/stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# --- the comparisons --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """What is compared, and how long each point takes."""

    etcd_pids: Sequence[int]
    rutile_pids: Sequence[int]
    clients: Sequence[int]
    seconds: float

    async def compare(
        self, title: str, unit: int, ours: Operation, theirs: Operation, singles: Mapping[int, float] | None = None
    ) -> dict[int, float]:
        """Print one table; an operation is `unit` keys. With `singles`, etcd's single puts a second for each number of
        clients, also how we compare to those. Returns etcd's operations a second."""
        heads = "p50     p99   cpu/op  load"
        beside = "   / etcd's single puts" if singles else ""
        print(f"\n{title}\nclients |   etcd/s    {heads} | rutile/s    {heads} | rutile / etcd{beside}")
        rates = {}
        for count in self.clients:
            etcd = await measure(theirs, count, self.seconds, self.etcd_pids)
            rutile = await measure(ours, count, self.seconds, self.rutile_pids)
            rates[count] = etcd.per_second
            ratios = f"{rutile.per_second / etcd.per_second:8.2f}x"
            if singles:
                ratios += f"{rutile.per_second * unit / singles[count]:12.1f}x"
            print(f"{count:7} | {_columns(etcd, unit)} | {_columns(rutile, unit)} | {ratios}", flush=True)
        return rates


def _columns(point: Point, unit: int) -> str:
    rate, used = point.per_second * unit, f"{point.cpu_us:,.0f}us"
    return f"{rate:8,.0f} {point.median_ms:6.1f} {point.slowest_ms:6.1f}ms {used:>8} {point.load * 100:4.0f}%"


async def compare_commits(pd_address: str, sides: Sides) -> None:
    """Transactions of one key in the three ways of committing; etcd has no counterpart of their reads and locks."""
    ways = {
        "one-phase": ClientOptions(),
        "async commit": ClientOptions(one_phase_commit=False),
        "two-phase": ClientOptions(one_phase_commit=False, async_commit=False),
    }
    print("\ntransactions of one key (begin, put, commit)/s; the ratio is to two-phase commit")
    print("clients | " + " | ".join(f"{name:>22}" for name in ways))
    opened = {name: await Client.connect([pd_address], options=options) for name, options in ways.items()}
    try:
        for count in sides.clients:
            points = {
                name: await measure(_commit(client), count, sides.seconds, sides.rutile_pids)
                for name, client in opened.items()
            }
            base = points["two-phase"].per_second
            texts = (f"{point.per_second:9,.0f}/s {point.per_second / base:8.2f}x" for point in points.values())
            print(f"{count:7} | " + " | ".join(f"{text:>22}" for text in texts), flush=True)
    finally:
        for client in opened.values():
            await client.close()


def _commit(client: Client) -> Operation:
    written = iter(range(1 << 62))

    async def transaction(key: bytes) -> None:
        async with await client.begin() as txn:
            txn.put(b"%s/%d" % (key, next(written)), VALUE)  # a key of its own: conflicts are not what is measured

    return transaction


async def run(etcd: EtcdCluster, pd_address: str, sides: Sides, only: set[str]) -> None:
    """Everything that was asked for."""
    theirs = EtcdClient(await etcd.leader())
    async with await Client.connect([pd_address]) as client:
        raw = client.raw
        await raw.batch_put({b"bench/%08d" % at: VALUE for at in range(KEYS)})
        singles = None
        if "puts" in only:
            title = f"single puts ({len(VALUE)} byte values)"
            singles = await sides.compare(title, 1, lambda key: raw.put(key, VALUE), lambda key: theirs.put(key, VALUE))
        if "batches" in only:
            title = f"puts in batches of {BATCH} (etcd: Txn; Rutile: RawBatchPut), keys/s; cpu a batch"
            ours, others = lambda key: raw.batch_put(_pairs(key)), lambda key: theirs.batch_put(_pairs(key))
            await sides.compare(title, BATCH, ours, others, singles)
        if "gets" in only:
            await sides.compare("linearizable gets", 1, raw.get, theirs.get)
    await theirs.close()
    if "transactions" in only:
        await compare_commits(pd_address, sides)


def main() -> None:
    """Start both clusters, measure, stop them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each point")
    parser.add_argument("--clients", default="1,16,64,200")
    parser.add_argument("--only", default="puts,batches,gets,transactions")
    parser.add_argument("--folder", type=Path, help="where both keep their data (default: the temporary folder)")
    options = parser.parse_args()
    version = EtcdCluster.require()
    clients = [int(count) for count in options.clients.split(",")]
    with tempfile.TemporaryDirectory(prefix="rutile-bench-", dir=options.folder) as name:
        folder = Path(name)
        with EtcdCluster(folder / "etcd") as etcd, Playground(3, folder / "rutile") as playground:
            print(f"{version}; three nodes each on this machine; {options.seconds:g} s a point")
            stores = [store.pid for store in playground.stores]
            sides = Sides([each.pid for each in etcd.processes], stores, clients, options.seconds)
            asyncio.run(run(etcd, playground.pd_address, sides, set(options.only.split(","))))


if __name__ == "__main__":
    main()
