"""Pessimistic transactions of real clients on real stores: waiting, deadlocks over two regions, FOR UPDATE."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lock_cluster import Stores, stores, until

from rutile_kv.client.client import Client
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_proto.errors import AlreadyExist, Deadlock, InvalidRequest, LockWaitTimeout, WriteConflict

Scenario = Callable[[Stores, Client], Awaitable[None]]
pytestmark = pytest.mark.usefixtures("locks_in_memory")


def run(scenario: Scenario, count: int = 1, replicas: int = 1) -> None:
    async def body() -> None:
        async with stores(count, replicas) as cluster, cluster.client() as client:
            await client.split_regions([b"m"])
            await scenario(cluster, client)

    asyncio.run(body())


async def put(client: Client, **values: bytes) -> None:
    async with await client.begin() as txn:
        for key, value in values.items():
            txn.put(key.encode(), value)


async def read(client: Client, key: bytes) -> bytes | None:
    return await client.snapshot(await client.timestamp()).get(key)


async def is_waiting(cluster: Stores, count: int = 1) -> None:
    await until(lambda: sum(len(node.servicer.waiting.waits()) for node in cluster.nodes) >= count)


def test_a_transaction_sees_the_newest_value_under_its_lock_and_the_old_one_beside_it() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, a=b"1", z=b"1")
        txn = await client.begin(pessimistic=True)
        await put(client, a=b"2")
        assert await txn.get(b"a") == b"1"
        assert await txn.batch_get_for_update([b"z", b"a", b"none"]) == {b"a": b"2", b"z": b"1"}
        txn.put(b"a", b"3")
        assert await txn.get_for_update(b"a") == b"3"
        txn.put(b"unlocked", b"x")
        commit_ts = await txn.commit()
        assert commit_ts > txn.start_ts
        assert [await read(client, key) for key in (b"a", b"z", b"unlocked")] == [b"3", b"1", b"x"]

    run(scenario)


def test_a_newer_timestamp_is_drawn_only_for_what_was_written_since_the_transaction_began() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, a=b"1", z=b"1")
        txn = await client.begin(pessimistic=True)
        await put(client, a=b"2")
        assert await txn.get_for_update(b"z") == b"1"
        assert txn.locks.for_update_ts == txn.start_ts
        assert await txn.get_for_update(b"a") == b"2"
        assert txn.locks.for_update_ts > txn.start_ts
        txn.put(b"a", b"3")
        assert await txn.commit() > txn.locks.for_update_ts
        assert [await read(client, key) for key in (b"a", b"z")] == [b"3", b"1"]

    run(scenario)


def test_the_second_waits_for_the_first_and_then_reads_what_it_wrote() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        first, second = await client.begin(pessimistic=True), await client.begin(pessimistic=True)
        await first.lock_keys([b"a"])
        waiting = asyncio.ensure_future(second.get_for_update(b"a"))
        await is_waiting(cluster)
        first.put(b"a", b"first")
        await first.commit()
        assert await waiting == b"first"
        await second.rollback()

    run(scenario)


def test_nowait_timeouts_and_what_is_released_after_them() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        holder, other = await client.begin(pessimistic=True), await client.begin(pessimistic=True)
        await holder.lock_keys([b"b"])
        with pytest.raises(LockWaitTimeout) as met:
            await other.lock_keys([b"a", b"b", b"z"], wait_s=0)
        assert met.value.lock.start_ts == holder.start_ts
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(LockWaitTimeout):
            await other.lock_keys([b"b"], wait_s=0.2)
        assert 0.19 <= asyncio.get_running_loop().time() - began_s < 1
        assert await holder.lock_keys([b"a", b"z"], wait_s=0) == {b"a": False, b"z": False}
        await holder.rollback()
        assert await other.lock_keys([b"b"], wait_s=0) == {b"b": False}
        await other.rollback()

    run(scenario)


def test_locks_of_a_transaction_that_ends_are_gone() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        for end in (PessimisticTransaction.rollback, PessimisticTransaction.commit):
            txn = await client.begin(pessimistic=True)
            await txn.lock_keys([b"a", b"z"])
            await end(txn)
            async with await client.begin(pessimistic=True) as next_one:
                await next_one.lock_keys([b"a", b"z"], wait_s=0)
            with pytest.raises(InvalidRequest):
                await txn.lock_keys([b"a"])

    run(scenario)


def test_inserting_what_exists_is_refused_when_it_is_known() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, a=b"1")
        txn = await client.begin(pessimistic=True)
        txn.insert(b"a", b"2")
        with pytest.raises(AlreadyExist):
            await txn.lock_keys([b"a"])
        await txn.rollback()
        txn = await client.begin(pessimistic=True)
        assert await txn.lock_keys([b"a"]) == {b"a": True}
        with pytest.raises(AlreadyExist):
            txn.insert(b"a", b"2")
        await txn.rollback()

    run(scenario)


@pytest.mark.parametrize("pessimistic", [True, False])
def test_write_skew_is_prevented_by_locks_and_allowed_without(pessimistic: bool) -> None:
    """Two doctors on call; each leaves if the other stays."""

    async def leave(client: Client, me: bytes, other: bytes, ready: asyncio.Barrier) -> None:
        if pessimistic:
            async with await client.begin(pessimistic=True) as txn:
                await ready.wait()
                on_call = await txn.batch_get_for_update([me, other])
                if on_call[other] == b"on":
                    txn.put(me, b"off")
        else:
            async with await client.begin() as txn:
                on_call = await txn.batch_get([me, other])
                await ready.wait()
                if on_call[other] == b"on":
                    txn.put(me, b"off")

    async def scenario(cluster: Stores, client: Client) -> None:
        await put(client, alice=b"on", zoe=b"on")
        ready = asyncio.Barrier(2)
        await asyncio.gather(leave(client, b"alice", b"zoe", ready), leave(client, b"zoe", b"alice", ready))
        left = [await read(client, key) for key in (b"alice", b"zoe")].count(b"off")
        assert left == (1 if pessimistic else 2)

    run(scenario)


def test_a_lock_makes_an_optimistic_writer_meet_the_conflict() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        optimist = await client.begin()
        async with await client.begin(pessimistic=True) as txn:
            await txn.lock_keys([b"a"])
            txn.put(b"z", b"1")
        optimist.put(b"a", b"2")
        with pytest.raises(WriteConflict):
            await optimist.commit()

    run(scenario)


def test_a_deadlock_of_three_over_two_regions_led_by_two_stores_is_found_within_a_second() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        await cluster.lead(b"a", cluster.nodes[0])
        await cluster.lead(b"z", cluster.nodes[1])
        txns = [await client.begin(pessimistic=True) for _ in range(3)]
        own = (b"a", b"y", b"z")
        for txn, key in zip(txns, own, strict=True):
            await txn.lock_keys([key])
        began_s = asyncio.get_running_loop().time()
        waits = [
            asyncio.ensure_future(txn.lock_keys([key], wait_s=20))
            for txn, key in zip(txns, (b"y", b"z", b"a"), strict=True)
        ]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        assert asyncio.get_running_loop().time() - began_s < 1
        (victim,) = done
        with pytest.raises(Deadlock) as met:
            victim.result()
        loser = txns[waits.index(victim)]
        assert {waiter for waiter, _, _ in met.value.wait_chain} == {txn.start_ts for txn in txns}
        assert met.value.wait_chain[0][0] == loser.start_ts
        await loser.rollback()
        second = (await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED))[0].pop()
        await txns[waits.index(second)].rollback()
        await asyncio.wait(waits)
        for txn in txns:
            await txn.rollback()

    run(scenario, count=3, replicas=3)
