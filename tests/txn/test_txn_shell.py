"""The shell: commands end to end over a region's views and writes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from txn_fakes import FakeRegionKv, Touch

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.commands import Commit, CommitResult, Prewrite, ResolveLock, resolve_lock
from rutile_kv.txn.max_ts import MaxTs
from rutile_kv.txn.model import ManyLocked, Mutation, Op
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import KeyIsLocked, NotLeader, TxnLockNotFound
from rutile_proto.timestamps import MAX_TIMESTAMP

CONTEXT = kvrpcpb.Context(region_id=1)


def prewrite(start_ts: int, *keys: bytes, **options: object) -> Prewrite:
    return Prewrite(tuple(Mutation(Op.PUT, key, b"v") for key in keys), keys[0], start_ts, 100, **options)  # type: ignore[arg-type]


def run(scenario: Callable[[FakeRegionKv, TxnScheduler], Awaitable[None]]) -> None:
    async def body() -> None:
        kv = FakeRegionKv()
        scheduler = TxnScheduler(kv)
        try:
            await scenario(kv, scheduler)
        finally:
            await scheduler.close()

    asyncio.run(body())


def test_a_transaction_from_prewrite_to_read() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        await scheduler.execute(CONTEXT, prewrite(10, b"a", b"b"))
        assert await scheduler.execute(CONTEXT, Commit(10, 20, (b"a", b"b"))) == CommitResult(20)
        assert MvccReader(kv.engine).get(b"b", 20) == b"v"
        writes = len(kv.writes)
        await scheduler.execute(CONTEXT, Commit(10, 20, (b"a", b"b")))
        assert len(kv.writes) == writes

    run(scenario)


def test_errors_of_commands_views_and_writes_reach_the_caller() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        with pytest.raises(TxnLockNotFound):
            await scheduler.execute(CONTEXT, Commit(10, 20, (b"a",)))
        kv.read_error = NotLeader(1)
        with pytest.raises(NotLeader):
            await scheduler.execute(CONTEXT, prewrite(10, b"a"))
        kv.read_error, kv.write_error = None, NotLeader(1)
        with pytest.raises(NotLeader):
            await scheduler.execute(CONTEXT, prewrite(10, b"a"))
        kv.write_error = None
        await scheduler.execute(CONTEXT, prewrite(10, b"a"))

    run(scenario)


def test_commands_on_one_key_run_in_the_order_they_came() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        calls = [scheduler.execute(CONTEXT, prewrite(start_ts, b"a")) for start_ts in (10, 20, 30)]
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert all(isinstance(other, ManyLocked) and other.lock.start_ts == 10 for other in others)

    run(scenario)


def test_a_write_carries_the_term_its_view_was_led_in() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        await scheduler.execute(CONTEXT, prewrite(10, b"a"))
        kv.term = 9
        await scheduler.execute(CONTEXT, Commit(10, 20, (b"a",)))
        assert kv.terms_written == [7, 9]
        assert CONTEXT.term == 0

    run(scenario)


def test_a_cancelled_caller_does_not_stop_its_command() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        kv.writable.clear()
        caller = asyncio.ensure_future(scheduler.execute(CONTEXT, prewrite(10, b"a")))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        kv.writable.set()
        await scheduler.execute(CONTEXT, Commit(10, 20, (b"a",)))

    run(scenario)


def test_closing_cancels_what_is_under_way() -> None:
    async def body() -> None:
        kv = FakeRegionKv()
        kv.writable.clear()
        scheduler = TxnScheduler(kv)
        caller = asyncio.ensure_future(scheduler.execute(CONTEXT, Touch((b"a",))))
        await kv.asked_to_write.wait()
        await scheduler.close()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(body())


def test_resolving_without_keys_cleans_the_region_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rutile_kv.txn.shell.BATCH_LOCKS", 3)

    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        keys = [b"k%d" % number for number in range(8)]
        await scheduler.execute(CONTEXT, prewrite(10, *keys[:7]))
        await scheduler.execute(CONTEXT, prewrite(11, keys[7]))
        before = len(kv.writes)
        assert await scheduler.execute(CONTEXT, ResolveLock(10, 20)) is None
        assert len(kv.writes) - before == 3
        reader = MvccReader(kv.engine)
        assert [lock.key for lock in reader.scan_locks(b"", b"", MAX_TIMESTAMP, 100)] == keys[7:]
        assert len(reader.scan(b"", b"", 20, 100, bypass=frozenset({11}))) == 7
        await scheduler.execute(CONTEXT, ResolveLock(txn_infos=((10, 20), (11, 0))))
        assert reader.scan_locks(b"", b"", MAX_TIMESTAMP, 100) == []
        await scheduler.execute(CONTEXT, ResolveLock())

    assert resolve_lock.BATCH_LOCKS == 256
    run(scenario)


def test_async_commit_waits_for_a_trusted_max_ts_and_guards_its_locks() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        scheduler.max_ts.raise_to(30)
        result = await scheduler.execute(CONTEXT, prewrite(10, b"a", use_async_commit=True))
        assert result.min_commit_ts == 0
        scheduler.max_ts.sync_region(1, 40)
        kv.writable.clear()
        kv.asked_to_write.clear()
        second = asyncio.ensure_future(scheduler.execute(CONTEXT, prewrite(20, b"b", use_async_commit=True)))
        await kv.asked_to_write.wait()
        assert MvccReader(kv.engine).get(b"b", 41) is None
        with pytest.raises(KeyIsLocked):
            MvccReader(scheduler.over(kv.engine)).get(b"b", 41)
        kv.writable.set()
        assert (await second).min_commit_ts == 41
        assert scheduler.over(kv.engine) is kv.engine

    run(scenario)


def test_max_ts_is_the_newest_read() -> None:
    max_ts = MaxTs()
    for ts in (5, 9, 7, MAX_TIMESTAMP):
        max_ts.raise_to(ts)
    assert max_ts.newest == 9
    assert max_ts.for_region(1) == 0
    max_ts.sync_region(1, 20)
    assert max_ts.for_region(1) == 20
    max_ts.forget_region(1)
    assert max_ts.for_region(1) == 0


def test_what_can_be_read_at_once_is_answered_before_anything_else_happens() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        kv.prompt = True
        answers = [asyncio.get_running_loop().create_future() for _ in range(2000)]
        for number, answer in enumerate(answers):
            scheduler.submit(CONTEXT, Touch((b"a",), result=number, writes=False), answer)
        assert [answer.result() for answer in answers] == list(range(2000))
        kv.read_error = NotLeader(1)
        scheduler.submit(CONTEXT, Touch((b"a",)), last := asyncio.get_running_loop().create_future())
        assert isinstance(last.exception(), NotLeader)

    run(scenario)


def test_many_who_wait_for_one_key_go_one_after_the_other() -> None:
    async def scenario(kv: FakeRegionKv, scheduler: TxnScheduler) -> None:
        kv.prompt = True
        kv.writable.clear()
        first = asyncio.ensure_future(scheduler.execute(CONTEXT, Touch((b"a",))))
        rest = [
            asyncio.ensure_future(scheduler.execute(CONTEXT, Touch((b"a",), result=number, writes=False)))
            for number in range(2000)
        ]
        await kv.asked_to_write.wait()
        kv.writable.set()
        assert await first == 0
        assert await asyncio.gather(*rest) == list(range(2000))

    run(scenario)
