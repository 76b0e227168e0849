"""One transaction of a million keys through three store processes: seconds, and the memory it takes.

    python benchmarks/large_transaction.py [--keys 1000000] [--value-bytes 64] [--delete]

Memory is the peak of resident memory (VmHWM) of this process, which buffers the transaction, and of the stores, which
never hold more of it than the requests under way. Prints what the buffer is charged with for each key beside what it
really took, and checks that every key is there at the end. With --delete a second transaction removes them all again.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client
from rutile_kv.client.transaction import Transaction

MIB = 1 << 20
BEGIN, END = b"large/", b"large0"


def resident_mib(pid: int | str) -> tuple[float, float]:
    """(now, peak) of a process's resident memory (Linux)."""
    pairs = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm"))
    found = {name: float(kib) / 1024 for name, kib, *_ in pairs}
    return found["VmRSS:"], found["VmHWM:"]


def keys(count: int) -> Iterator[bytes]:
    """Distinct keys in no order: 7919 is prime to every power of ten."""
    return (BEGIN + b"%010d" % (number * 7919 % count) for number in range(count))


class Report:
    """Prints a line a step: seconds since the last one, and everybody's memory."""

    def __init__(self, stores: list[int]) -> None:
        self._stores = stores
        self._last = time.perf_counter()

    def line(self, what: str) -> None:
        now = time.perf_counter()
        (mine, my_peak), others = resident_mib("self"), [resident_mib(pid) for pid in self._stores]
        told = "  ".join(f"{here:5.0f} ({peak:.0f})" for here, peak in others)
        memory = f"client {mine:5.0f} ({my_peak:.0f}) MiB   stores {told} MiB"
        print(f"{what:<26} {now - self._last:7.1f} s   {memory}", flush=True)
        self._last = time.perf_counter()


async def commit(txn: Transaction, report: Report, what: str) -> None:
    """Prewrites and the commit of the primary; the rest of the keys follow in the background."""
    await txn.commit()
    report.line(f"{what}: committed")


async def run(address: str, report: Report, options: argparse.Namespace) -> None:
    async with await Client.connect([address]) as client:
        report.line("connected")
        txn = await client.begin()
        for key in keys(options.keys):
            txn.put(key, key[-1:] * options.value_bytes)
        report.line(f"buffered, {txn.buffer.size_bytes / MIB:.0f} MiB charged")
        await commit(txn, report, "put")
        await check(client, options.keys)
        report.line("read back")
        if options.delete:
            txn = await client.begin()
            for key in keys(options.keys):
                txn.delete(key)
            await commit(txn, report, "delete")
            await check(client, 0)
            report.line("read back")
    report.line("closed")


async def check(client: Client, expected: int) -> None:
    """All keys are there; a snapshot taken now meets the locks that are not turned yet, and turns them."""
    found = 0
    async for page in client.snapshot(await client.timestamp()).pages(BEGIN, END):
        found += len(page)
    if found != expected:
        raise SystemExit(f"{found} keys instead of {expected}")


def main() -> None:
    """Start a cluster, run, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--delete", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as folder, Playground(3, Path(folder)) as playground:
        print("resident memory: now (peak)")
        asyncio.run(run(playground.pd_address, Report([store.pid for store in playground.stores]), options))


if __name__ == "__main__":
    main()
