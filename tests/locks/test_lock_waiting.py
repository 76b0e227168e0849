"""Waiting for locks end to end over a region's views and writes, in virtual time: exact to the millisecond."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from lock_modes import IN_MEMORY
from txn_fakes import FakeRegionKv

from rutile.testing.loops import run_virtual
from rutile_kv.txn.commands import Commit, PessimisticLock, PessimisticLockResult, PessimisticRollback, Prewrite
from rutile_kv.txn.deadlock import Cycle, WaitFor, WaitForGraph
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_kv.txn.lock_waits import WAKE_UP_DELAY_MS
from rutile_kv.txn.model import Mutation, Op, PessimisticAction
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import Deadlock, KeyIsLocked, LockWaitTimeout, WriteConflict

CONTEXT = kvrpcpb.Context(region_id=1)
pytestmark = pytest.mark.usefixtures("locks_in_memory")


class World:
    def __init__(self) -> None:
        self.kv = FakeRegionKv()
        self.scheduler = TxnScheduler(self.kv, locks_in_memory=IN_MEMORY.get())
        self.waiting = LockWaiting(self.scheduler)
        self.log: list[int] = []
        """start_ts of those whose lock request succeeded, in order."""

    @property
    def now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    async def lock(self, start_ts: int, key: bytes = b"k", wait: int = 0, at: int = 0) -> PessimisticLockResult:
        command = PessimisticLock((Mutation(Op.PESSIMISTIC_LOCK, key),), key, start_ts, at or start_ts, 3_000)
        result = await self.waiting.lock(CONTEXT, command, wait)
        self.log.append(start_ts)
        return result

    async def unlock(self, start_ts: int, key: bytes = b"k") -> None:
        await self.scheduler.execute(CONTEXT, PessimisticRollback(start_ts, 1 << 60, (key,)))

    async def commit(self, start_ts: int, commit_ts: int, key: bytes = b"k") -> None:
        mutation = Mutation(Op.PUT, key, b"v", pessimistic_action=PessimisticAction.LOCKED)
        await self.scheduler.execute(CONTEXT, Prewrite((mutation,), key, start_ts, 3_000, for_update_ts=start_ts))
        await self.scheduler.execute(CONTEXT, Commit(start_ts, commit_ts, (key,)))

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(20):
            await asyncio.sleep(0)


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def body() -> None:
        world = World()
        try:
            await scenario(world)
            assert len(world.waiting.waits()) == 0
        finally:
            await world.waiting.close()
            await world.scheduler.close()

    run_virtual(body())


@pytest.mark.parametrize(
    ("wait_timeout", "waits_ms"), [(0, 1_000), (1, 1), (300, 300), (1_000, 1_000), (60_000, 1_000)]
)
def test_waits_exactly_as_long_as_told(wait_timeout: int, waits_ms: int) -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        began_ms = world.now_ms
        with pytest.raises(LockWaitTimeout) as met:
            await world.lock(20, wait=wait_timeout)
        assert world.now_ms - began_ms == waits_ms
        assert met.value.lock.start_ts == 10

    run(scenario)


def test_nowait_is_told_at_once() -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        began_ms = world.now_ms
        with pytest.raises(KeyIsLocked):
            await world.lock(20, wait=-1)
        assert world.now_ms == began_ms

    run(scenario)


def test_first_come_first_served() -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        others = []
        for start_ts in (40, 20, 30):
            others.append(asyncio.ensure_future(world.lock(start_ts)))
            await world.settle()
        for owner in (10, 40, 20):
            await world.unlock(owner)
            await world.settle()
        await asyncio.gather(*others)
        assert world.log == [10, 40, 20, 30]

    run(scenario)


def test_after_a_commit_each_waiter_hears_of_the_conflict_in_turn_and_the_returning_one_is_not_overtaken() -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        first = asyncio.ensure_future(world.lock(20))
        await world.settle()
        second = asyncio.ensure_future(world.lock(30))
        await world.settle()
        await world.commit(10, 50)
        with pytest.raises(WriteConflict):
            await first
        began_ms = world.now_ms
        await world.lock(20, at=60)  # within the delay: the second still waits
        assert world.now_ms == began_ms and not second.done()
        await world.unlock(20)
        with pytest.raises(WriteConflict):
            await second
        assert world.now_ms == began_ms

    run(scenario)


def test_the_next_is_woken_after_the_delay_if_the_first_does_not_come_back() -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        waiters = []
        for start_ts in (20, 30):
            waiters.append(asyncio.ensure_future(world.lock(start_ts)))
            await world.settle()
        await world.commit(10, 50)
        with pytest.raises(WriteConflict):
            await waiters[0]
        began_ms = world.now_ms
        with pytest.raises(WriteConflict):
            await waiters[1]
        assert world.now_ms - began_ms == WAKE_UP_DELAY_MS

    run(scenario)


def test_a_waiter_that_is_gone_is_passed_over() -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        gone = asyncio.ensure_future(world.lock(20))
        await world.settle()
        stays = asyncio.ensure_future(world.lock(30))
        await world.settle()
        gone.cancel()
        await world.unlock(10)
        await stays
        assert world.log == [10, 30]

    run(scenario)


@pytest.mark.parametrize("locks_in_memory", [False], indirect=True)
def test_a_write_that_failed_wakes_and_takes_nothing(locks_in_memory: bool) -> None:
    async def scenario(world: World) -> None:
        await world.lock(10)
        waiter = asyncio.ensure_future(world.lock(20, wait=500))
        await world.settle()
        world.kv.write_error = OSError("no disk")
        with pytest.raises(OSError):
            await world.unlock(10)
        began_ms = world.now_ms
        with pytest.raises(LockWaitTimeout):
            await waiter
        assert world.now_ms - began_ms == 500
        world.kv.write_error = None

    run(scenario)


class _Watch:
    """A detector in the same turn of the loop."""

    def __init__(self, found: Callable[[Cycle], None]) -> None:
        self.graph = WaitForGraph()
        self.found = found

    def begin(self, wait: WaitFor) -> None:
        cycle = self.graph.detect(wait, 0)
        if cycle is not None:
            self.found(cycle)

    def end(self, wait: WaitFor) -> None:
        self.graph.end_wait(wait)


def test_a_deadlock_of_three_is_refused_at_once_with_the_chain() -> None:
    async def scenario(world: World) -> None:
        watch = world.waiting.watch = _Watch(world.waiting.deadlocked)
        for start_ts, key in ((10, b"a"), (20, b"b"), (30, b"c")):
            await world.lock(start_ts, key)
        first = asyncio.ensure_future(world.lock(10, b"b"))
        second = asyncio.ensure_future(world.lock(20, b"c"))
        await world.settle()
        began_ms = world.now_ms
        with pytest.raises(Deadlock) as met:
            await world.lock(30, b"a")
        assert world.now_ms == began_ms
        assert met.value.lock_ts == 10 and met.value.lock_key == b"a"
        assert met.value.wait_chain == ((30, 10, b"a"), (10, 20, b"b"), (20, 30, b"c"))
        await world.unlock(30, b"c")
        await second
        await world.unlock(20, b"b")
        await first
        assert len(watch.graph) == 0

    run(scenario)
