"""Keeping up with a table of counts: every change of a range of keys, once, as it is committed.

python examples/watch.py                       # a store in this process
python examples/watch.py 127.0.0.1:2379        # a cluster's placement driver
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from rutile_kv.client.client import Client
from rutile_kv.env.rpc import LocalStub
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode


@asynccontextmanager
async def connect(pd_address: str | None) -> AsyncIterator[Client]:
    """A client of the cluster, or of a store made for the occasion."""
    if pd_address is not None:
        async with await Client.connect([pd_address]) as client:
            yield client
        return
    pd = PdNode(None, None, config=PdConfig(max_replicas=1))
    await pd.start()
    store = StoreNode(StoreConfig(address=None), pd_stub=LocalStub(pd.servicer))
    await store.start()
    async with Client.local(LocalStub(pd.servicer), {store.store_id: LocalStub(store.servicer)}) as client:
        yield client
    await store.stop()
    await pd.stop()


async def sell(client: Client) -> None:
    """Three transactions."""
    for counts in ({b"apple": b"9"}, {b"pear": b"3"}, {b"apple": None}):
        async with await client.begin() as txn:
            for name, count in counts.items():
                if count is None:
                    txn.delete(b"stock/" + name)
                else:
                    txn.put(b"stock/" + name, count)


async def main(pd_address: str | None) -> None:
    """Begin with a timestamp from before the first change; what was committed since comes first."""
    async with connect(pd_address) as client:
        since = await client.timestamp()
        async with await client.begin() as txn:
            txn.put(b"stock/apple", b"10")
        selling = asyncio.create_task(sell(client))
        async with aclosing(client.watch(b"stock/", b"stock0", from_ts=since)) as changes:
            async for change in changes:
                gone = change.value is None
                print(change.key.decode(), "is gone" if gone else f"= {change.value.decode()}")
                if gone:
                    break
        await selling


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
