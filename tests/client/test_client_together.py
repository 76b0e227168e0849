"""The requests of one phase leave and are awaited together; what is not simply done goes on by itself."""

from __future__ import annotations

import asyncio

import pytest
from client_fakes import World, run, until
from client_shared_way import InnerStub, InnerWay

from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.outcome import roll_back
from rutile_proto.errors import WriteConflict

KEYS = [b"k%d" % n for n in range(8)]


def _way(world: World) -> InnerWay:
    """That to the only store which leads."""
    stub = world.client.cluster.sender._stores.shared(1)
    assert isinstance(stub, InnerStub)
    assert isinstance(stub._way, InnerWay)
    return stub._way


def _messages(world: World) -> list[int]:
    """How many requests its messages had, since the last time."""
    way = _way(world)
    sizes, way.messages = way.messages, []
    return sizes


async def _spread(world: World) -> None:
    """Each key in a region of its own, which the client knows."""
    world.cluster.split(*KEYS[1:])
    async with await world.client.begin() as txn:
        for key in KEYS:
            txn.put(key, b"0")
    await world.client.cluster.background.close(5.0)
    _messages(world)


def test_each_phase_of_a_commit_is_one_message_and_no_task() -> None:
    async def body(world: World) -> None:
        await _spread(world)
        txn = await world.client.begin()
        for key in KEYS:
            txn.put(key, b"1")
        before = len(asyncio.all_tasks())
        most = 0

        def count(name: str, request: object) -> None:
            nonlocal most
            most = max(most, sum(not _serves(task) for task in asyncio.all_tasks()))

        world.cluster.on_call = count
        await txn.commit()
        await world.client.cluster.background.close(5.0)
        assert _messages(world) == [8, 1, 7]  # prewrites, the primary's commit, the others'
        assert most <= before + 3  # the commit, its heartbeat, the secondaries: none a region

    run("shared", body, options=ClientOptions(async_commit=False))


def _serves(task: asyncio.Task[object]) -> bool:
    return "InnerWay" in repr(task.get_coro())


def test_only_those_that_missed_are_sent_again() -> None:
    async def body(world: World) -> None:
        await _spread(world)
        world.cluster.split(b"k3a")  # the client does not know
        async with await world.client.begin() as txn:
            for key in [*KEYS, b"k3b"]:
                txn.put(key, b"1")
        await world.client.cluster.background.close(5.0)
        sent = [request for name, request in world.cluster.calls if name == "KvPrewrite"]
        assert len(sent) == 8 + 8 + 2  # _spread's, ours, and the cut one's two halves
        snapshot = world.client.snapshot(await world.client.timestamp())
        assert await snapshot.batch_get(KEYS) == dict.fromkeys(KEYS, b"1")

    run("shared", body)


def test_a_refusal_is_raised_without_waiting_for_the_others() -> None:
    async def body(world: World) -> None:
        await _spread(world)
        txn = await world.client.begin()
        async with await world.client.begin() as other:
            other.put(KEYS[5], b"other")
        for key in KEYS:
            txn.put(key, b"1")
        with pytest.raises(WriteConflict):
            await txn.commit()
        await world.client.cluster.background.close(5.0)
        snapshot = world.client.snapshot(await world.client.timestamp())
        assert await snapshot.batch_get(KEYS) == dict.fromkeys(KEYS, b"0") | {KEYS[5]: b"other"}
        rolled_back = {
            key for name, request in world.cluster.calls if name == "KvBatchRollback" for key in request.keys
        }
        assert rolled_back == {*KEYS} - {KEYS[5]}

    run("shared", body)


def test_who_is_cancelled_leaves_nothing_behind_on_the_way() -> None:
    async def body(world: World) -> None:
        await _spread(world)
        cluster, entered, gate = world.client.cluster, asyncio.Event(), asyncio.Event()
        way = _way(world)
        serve = way._serve

        async def held(request_id: int, command: str, request: object) -> None:
            entered.set()
            await gate.wait()
            await serve(request_id, command, request)

        way._serve = held  # type: ignore[method-assign]
        asking = asyncio.ensure_future(roll_back(cluster, await world.client.timestamp(), KEYS))
        await entered.wait()
        assert len(way._open) == len(KEYS)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not way._open
        gate.set()
        await until(lambda: not way._tasks)

    run("shared", body)
