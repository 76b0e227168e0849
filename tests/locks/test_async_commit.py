"""Async and one-phase commit of real clients on real stores: timestamps above every read, and abandoned commits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lock_cluster import Stores, stores, until

from rutile_kv.client.client import Client
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import UndeterminedResult, WriteConflict
from rutile_proto.keys import storage_key

Scenario = Callable[[Stores, Client], Awaitable[None]]


def run(scenario: Scenario, count: int = 1, replicas: int = 1, **options: Any) -> None:
    async def body() -> None:
        async with stores(count, replicas) as cluster, cluster.client(**options) as client:
            await client.split_regions([b"m"])
            await until(lambda: all(synced(cluster, key) for key in (b"a", b"z")))
            await scenario(cluster, client)

    asyncio.run(body())


def synced(cluster: Stores, key: bytes) -> bool:
    """Whether the leader of the key's region knows its max_ts."""
    leader = cluster.leader(key)
    region = leader.driver.store.find_region(storage_key(key)) if leader else None
    return region is not None and leader.servicer.scheduler.max_ts.for_region(region.id) > 0


def context(node: StoreNode, key: bytes, **fields: Any) -> kvrpcpb.Context:
    region = node.driver.store.find_region(storage_key(key))
    made = context_of(node.driver.store.region_info(region.id))
    made.MergeFrom(kvrpcpb.Context(**fields))
    return made


async def read(client: Client, key: bytes) -> bytes | None:
    return await client.snapshot(await client.timestamp()).get(key)


class Tap:
    """A servicer that lets a test see and change calls on their way to a store."""

    def __init__(self, cluster: Stores, node: StoreNode) -> None:
        self.stub = cluster.stubs[node.store_id]
        self.calls: list[str] = []
        self.lose: dict[str, int] = {}
        """How many answers of each method still get lost."""
        self.commits_may_go = asyncio.Event()
        self.commits_may_go.set()
        cluster.stubs[node.store_id] = self

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.stub, name)
        if not name.startswith("Kv"):
            return real

        async def call(request: Any, **options: Any) -> Any:
            self.calls.append(name)
            if name == "KvCommit":
                await self.commits_may_go.wait()
            answer = await real(request, **options)
            if self.lose.get(name, 0):
                self.lose[name] -= 1
                lost = kvrpcpb.PrewriteResponse()
                lost.region_error.undetermined_result.message = "the test lost it"
                return type(answer)(region_error=lost.region_error)
            return answer

        return call


def test_a_transaction_over_two_regions_is_committed_when_it_is_prewritten() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        tap = Tap(cluster, cluster.nodes[0])
        tap.commits_may_go.clear()
        txn = await client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"2")
        later = await client.timestamp()
        commit_ts = await txn.commit()
        tap.commits_may_go.set()
        assert commit_ts > later
        assert await client.snapshot(commit_ts).batch_get([b"a", b"z"]) == {b"a": b"1", b"z": b"2"}
        assert await client.snapshot(commit_ts - 1).batch_get([b"a", b"z"]) == {}

    run(scenario)


def test_a_read_pushes_later_commits_above_itself() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        for keys in ((b"a",), (b"b", b"z")):  # one phase, async
            txn = await client.begin()
            for key in keys:
                txn.put(key, b"new")
            future = await client.timestamp() + (1 << 30)  # four seconds ahead
            assert await client.snapshot(future).get(keys[0]) is None
            assert await txn.commit() > future

    run(scenario)


def test_a_follower_read_does_too() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        leader = cluster.leader(b"a")
        follower = next(node for node in cluster.nodes if node is not leader)
        await until(lambda: follower.driver.store.find_region(storage_key(b"a")).end_key != b"")
        txn = await client.begin()
        txn.put(b"a", b"1")
        future = await client.timestamp() + (1 << 30)
        request = kvrpcpb.GetRequest(context=context(follower, b"a", replica_read=True), key=b"a", version=future)
        answer = await cluster.stubs[follower.store_id].KvGet(request)
        assert answer == kvrpcpb.GetResponse(not_found=True)
        assert leader.servicer.scheduler.max_ts.newest >= future
        assert await txn.commit() > future

    run(scenario, count=3, replicas=3)


def test_a_follower_read_waits_for_a_one_phase_commit_that_is_on_its_way() -> None:
    """The leader has chosen a commit_ts not above the reader's timestamp, but the write is not in the log yet."""

    async def scenario(cluster: Stores, client: Client) -> None:
        leader = cluster.leader(b"a")
        follower = next(node for node in cluster.nodes if node is not leader)
        await until(lambda: follower.driver.store.find_region(storage_key(b"a")).end_key != b"")
        scheduler = leader.servicer.scheduler
        go, held = asyncio.Event(), asyncio.Event()
        write = scheduler._kv.write

        async def slow_write(*arguments: Any) -> None:
            held.set()
            await go.wait()
            await write(*arguments)

        scheduler._kv.write = slow_write
        txn = await client.begin()
        txn.put(b"a", b"1")
        committing = asyncio.ensure_future(txn.commit())
        await held.wait()
        request = kvrpcpb.GetRequest(
            context=context(follower, b"a", replica_read=True), key=b"a", version=await client.timestamp()
        )
        reading = asyncio.ensure_future(cluster.stubs[follower.store_id].KvGet(request))
        await until(lambda: len(scheduler._held) > 0)
        assert not reading.done()
        go.set()
        assert await committing <= request.version
        assert (await reading).value == b"1"

    run(scenario, count=3, replicas=3)


def test_lost_answers_do_not_hide_that_it_is_committed() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        tap = Tap(cluster, cluster.nodes[0])
        tap.lose["KvPrewrite"] = 3
        async with await client.begin() as txn:
            txn.put(b"a", b"1")
            txn.put(b"z", b"2")
        assert [await read(client, key) for key in (b"a", b"z")] == [b"1", b"2"]

    run(scenario)


def test_if_no_answer_ever_comes_the_keys_themselves_are_asked() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        tap = Tap(cluster, cluster.nodes[0])
        tap.lose["KvPrewrite"] = 1_000
        txn = await client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"2")
        commit_ts = await txn.commit()
        assert commit_ts and [await read(client, key) for key in (b"a", b"z")] == [b"1", b"2"]
        lost = await client.begin()
        lost.put(b"a", b"3")
        lost.put(b"z", b"4")
        tap.lose["KvCheckTxnStatus"] = 1_000
        with pytest.raises(UndeterminedResult):
            await lost.commit()

    run(scenario, write_budget_s=0.3, find_out_budget_s=0.3)


async def abandon(cluster: Stores, client: Client, *keys: bytes) -> int:
    """Prewrite `keys` of a transaction over a and z with async commit and a time to live of 1 ms; its start_ts."""
    start_ts = await client.timestamp()
    min_commit_ts = await client.timestamp() + 1
    for key in keys:
        node = cluster.leader(key)
        request = kvrpcpb.PrewriteRequest(
            context=context(node, key),
            mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=b"left")],
            primary_lock=b"a",
            start_version=start_ts,
            lock_ttl=1,
            min_commit_ts=min_commit_ts,
            use_async_commit=True,
            secondaries=[b"z"] if key == b"a" else [],
        )
        answer = await cluster.stubs[node.store_id].KvPrewrite(request)
        assert not answer.errors and answer.min_commit_ts >= min_commit_ts
    return start_ts


@pytest.mark.parametrize(
    ("prewritten", "seen"), [((b"a", b"z"), b"left"), ((b"a",), None), ((b"z",), None)], ids=["all", "primary", "other"]
)
def test_the_fate_of_an_abandoned_async_commit_is_what_all_its_keys_say(
    prewritten: tuple[bytes, ...], seen: bytes | None
) -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        start_ts = await abandon(cluster, client, *prewritten)
        assert [await read(client, key) for key in (b"z", b"a")] == [seen, seen]
        if seen is None:  # and the missing one can never be added
            missing = ({b"a", b"z"} - {*prewritten}).pop()
            node = cluster.leader(missing)
            late = kvrpcpb.PrewriteRequest(
                context=context(node, missing),
                mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=missing, value=b"late")],
                primary_lock=b"a",
                start_version=start_ts,
                lock_ttl=1,
                use_async_commit=True,
            )
            answer = await cluster.stubs[node.store_id].KvPrewrite(late)
            assert answer.errors[0].HasField("conflict")

    run(scenario)


def test_conflicts_are_found_and_leave_nothing_behind() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        first, second = await client.begin(), await client.begin()
        for txn, value in ((first, b"first"), (second, b"second")):
            txn.put(b"a", value)
            txn.put(b"z", value)
        await first.commit()
        with pytest.raises(WriteConflict):
            await second.commit()
        assert [await read(client, key) for key in (b"a", b"z")] == [b"first", b"first"]

    run(scenario)


def test_a_pessimistic_transaction_commits_asynchronously_too() -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        tap = Tap(cluster, cluster.nodes[0])
        async with await client.begin(pessimistic=True) as txn:
            assert await txn.batch_get_for_update([b"a", b"z"]) == {}
            txn.put(b"z", b"1")
            tap.commits_may_go.clear()
            await txn.commit()
            tap.commits_may_go.set()
        assert txn.commit_ts > txn.locks.for_update_ts
        assert await read(client, b"z") == b"1"
        async with await client.begin(pessimistic=True) as txn:
            await txn.lock_keys([b"a", b"z"], wait_s=0)

    run(scenario)


@pytest.mark.parametrize("keys", [(b"a", b"b"), (b"a", b"z")])
def test_what_begins_and_commits_in_one_call_draws_one_timestamp_and_commits_above_every_read(keys: Any) -> None:
    async def scenario(cluster: Stores, client: Client) -> None:
        txn = await client.begin()
        txn.at_once = True
        for key in keys:
            txn.put(key, b"1")
        snapshot = client.snapshot(await client.timestamp())
        assert await snapshot.batch_get(keys) == {}
        commit_ts = await txn.commit()
        assert client.cluster.pd.last_timestamp == snapshot.ts < commit_ts
        assert await snapshot.batch_get(keys) == {}
        assert [await read(client, key) for key in keys] == [b"1", b"1"]

    run(scenario)
