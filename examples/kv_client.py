"""Rutile as a key-value store: raw keys, transactions that are tried again, a snapshot, many tasks at once.

    python examples/kv_client.py                    # in memory, in this process
    python examples/kv_client.py some/dir           # durable
    python examples/kv_client.py 127.0.0.1:2379     # a cluster, by its placement driver

`rutile playground` starts such a cluster on this machine.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import rutile.kv as kv

ACCOUNTS = [b"account/%02d" % number for number in range(10)]


def raw_keys(client: kv.Client) -> None:
    """Single operations: sessions that expire, and a lock that one of many can take."""
    client.raw.put(b"session/7", b"alice", ttl_s=3600)
    print("session/7 is", client.raw.get(b"session/7"), "for", client.raw.ttl(b"session/7"), "s")
    client.raw.delete(b"leader")
    print("node 1 leads:", client.raw.compare_and_swap(b"leader", None, b"node 1"))
    print("node 2 comes too late:", client.raw.compare_and_swap(b"leader", None, b"node 2"))


def transfer(txn: kv.Transaction, source: bytes, target: bytes, amount: int) -> None:
    """Move money. May be called several times for one transfer; only the call that is committed counts."""
    txn[source] = b"%d" % (int(txn[source]) - amount)
    txn[target] = b"%d" % (int(txn[target]) + amount)


def transactions(client: kv.Client) -> None:
    """Four threads shuffle money between ten accounts; nobody ever sees a total other than the first."""
    with client.begin() as txn:
        for account in ACCOUNTS:
            txn[account] = b"100"

    def shuffle(offset: int) -> None:
        for number in range(20):
            source, target = ACCOUNTS[(number + offset) % 10], ACCOUNTS[(number * 3 + offset + 1) % 10]
            if source != target:
                client.run(lambda txn, s=source, t=target: transfer(txn, s, t, 5), retries=100)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(shuffle, range(4)))
    balances = client.snapshot().scan(b"account/", b"account0")
    print("total of all accounts:", sum(int(value) for _, value in balances))


async def many_at_once(target: str) -> None:
    """A thousand puts under way together share a few round trips."""
    async with await kv.connect_async(target) as client:
        await asyncio.gather(*(client.raw.put(b"many/%04d" % number, b"x") for number in range(1000)))
        print("stored", len(await client.raw.scan(b"many/", b"many0")), "keys")


def main(target: str | None) -> None:
    """All of it, on `target`."""
    with kv.connect(target) as client:
        raw_keys(client)
        transactions(client)
    if target is not None:
        asyncio.run(many_at_once(target))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
