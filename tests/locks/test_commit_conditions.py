"""Locks as of a timestamp, and commits that must not be later than one: what a SQL front end asks of transactions."""

import asyncio

import pytest
from lock_cluster import stores

from rutile_kv.client.client import Client
from rutile_kv.client.prewrite_requests import CommitLimit
from rutile_kv.client.transaction import Transaction
from rutile_proto.errors import WriteConflict


async def put(client: Client, key: bytes, value: bytes) -> None:
    async with await client.begin() as txn:
        txn.put(key, value)


async def read(client: Client, key: bytes) -> bytes | None:
    return await client.snapshot(await client.timestamp()).get(key)


def test_locks_as_of_a_timestamp_refuse_what_was_committed_after_it() -> None:
    async def scenario() -> None:
        async with stores(1, 1) as cluster, cluster.client() as client:
            await put(client, b"a", b"1")
            txn = await client.begin(pessimistic=True)
            seen_at = await client.timestamp()
            await put(client, b"a", b"2")
            with pytest.raises(WriteConflict):
                await txn.lock_keys([b"a", b"b"], as_of=seen_at)
            assert not txn.locks.held
            await put(client, b"b", b"free")
            assert await txn.lock_keys([b"a", b"b"], as_of=await client.timestamp()) == {b"a": True, b"b": True}
            txn.put(b"a", b"3")
            await txn.commit()
            assert await read(client, b"a") == b"3"

    asyncio.run(scenario())


@pytest.mark.parametrize("pessimistic", [False, True])
@pytest.mark.parametrize("keys", [[b"a"], [b"a", b"z"]])
def test_a_commit_beyond_its_limit_asks_first(keys: list[bytes], pessimistic: bool) -> None:
    """For one-phase commits as for those over two regions."""

    async def scenario() -> None:
        async with stores(1, 1) as cluster, cluster.client() as client:
            await client.split_regions([b"m"])
            asked: list[int] = []

            async def extend() -> int:
                asked.append(await client.timestamp() + (60_000 << 18))
                return asked[-1]

            async def refuse() -> int:
                raise LookupError("what it was made with is gone")

            async def begin() -> Transaction:
                txn: Transaction = await (client.begin(pessimistic=True) if pessimistic else client.begin())
                for key in keys:
                    txn.put(key, b"v")
                return txn

            txn = await begin()
            txn.limit = CommitLimit(txn.start_ts + (60_000 << 18), refuse)
            assert await txn.commit() <= txn.limit.max_commit_ts
            txn = await begin()
            txn.limit = CommitLimit(txn.start_ts, extend)
            assert txn.start_ts < await txn.commit() <= asked[0]
            txn = await begin()
            txn.put(keys[0], b"never")
            txn.limit = CommitLimit(txn.start_ts, refuse)
            with pytest.raises(LookupError):
                await txn.commit()
            assert await read(client, keys[0]) == b"v"

    asyncio.run(scenario())
