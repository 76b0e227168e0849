"""Transactions: what they read, what they commit, and what is left when something fails half-way."""

import asyncio
from typing import Any

import pytest
from client_fakes import DROP, LOSE_ANSWER, World, run, until
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.client.batches import MAX_BATCH_KEYS, PART_KEYS
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.transaction import State, Transaction
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import (
    AlreadyExist,
    InvalidRequest,
    RetriesExhausted,
    TransactionTooLarge,
    TxnLockNotFound,
    UndeterminedResult,
    WriteConflict,
)

QUICK = ClientOptions(write_budget_s=3.0, find_out_budget_s=1.0)


async def stored(world: World) -> dict[bytes, bytes]:
    """Everything committed, as a fresh reader sees it."""
    return dict(await world.client.snapshot(await world.client.timestamp()).scan())


async def settled(world: World) -> None:
    """Wait for background work."""
    await until(lambda: len(world.client.cluster.background) == 0)


def two_phase(world: World) -> None:
    world.cluster.grants_one_phase = False


# --- what a transaction sees ------------------------------------------------------------------------------------------


def test_own_writes_are_read_before_they_are_committed(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1", b=b"2", c=b"3")
        txn = await world.client.begin()
        txn.put(b"b", b"mine")
        txn.delete(b"c")
        txn.insert(b"d", b"")
        txn.lock(b"a")
        assert await txn.get(b"a") == b"1"
        assert await txn.get(b"b") == b"mine"
        assert await txn.get(b"c") is None
        assert await txn.get(b"d") == b""
        assert await txn.batch_get([b"d", b"c", b"b", b"a"]) == {b"a": b"1", b"b": b"mine", b"d": b""}
        assert await txn.scan() == [(b"a", b"1"), (b"b", b"mine"), (b"d", b"")]
        assert await txn.scan(b"a", b"d", 1, True) == [(b"b", b"mine")]
        assert await stored(world) == {b"a": b"1", b"b": b"2", b"c": b"3"}
        commit_ts = await txn.commit()
        assert commit_ts > txn.start_ts
        assert await stored(world) == {b"a": b"1", b"b": b"mine", b"d": b""}

    run(transport, body)


KEYS = st.sampled_from([b"k%02d" % i for i in range(12)])
WRITES = st.lists(st.tuples(st.sampled_from(["put", "delete", "lock"]), KEYS), max_size=15)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(KEYS, unique=True),
    writes=WRITES,
    bounds=st.tuples(KEYS | st.just(b""), KEYS | st.just(b"")),
    limit=st.none() | st.integers(0, 8),
    reverse=st.booleans(),
    splits=st.lists(KEYS, max_size=3),
)
def test_scan_of_a_dirty_transaction_equals_a_dict(
    before: list[bytes],
    writes: list[tuple[str, bytes]],
    bounds: tuple[bytes, bytes],
    limit: int | None,
    reverse: bool,
    splits: list[bytes],
) -> None:
    async def body(world: World) -> None:
        twin = dict.fromkeys(before, b"old")
        if twin:
            world.cluster.write_all(twin)
        world.cluster.split(*splits)
        txn = await world.client.begin()
        for n, (verb, key) in enumerate(writes):
            if verb == "put":
                twin[key] = b"%d" % n
                txn.put(key, twin[key])
            elif verb == "delete":
                twin.pop(key, None)
                txn.delete(key)
            else:
                txn.lock(key)
        start, end = bounds
        inside = sorted(((k, v) for k, v in twin.items() if start <= k and (not end or k < end)), reverse=reverse)
        assert await txn.scan(start, end, limit, reverse) == inside[:limit]
        assert await txn.batch_get(twin) == dict(sorted(twin.items()))
        await txn.commit()
        assert await stored(world) == twin

    run("local", body)


def test_savepoints_undo_a_statement(transport: str) -> None:
    async def body(world: World) -> None:
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        outer = txn.savepoint()
        txn.put(b"a", b"2")
        inner = txn.savepoint()
        txn.put(b"b", b"3")
        txn.delete(b"a")
        txn.rollback_to(inner)
        assert await txn.scan() == [(b"a", b"2")]
        txn.put(b"c", b"4")
        txn.rollback_to(outer)
        kept = txn.savepoint()
        txn.put(b"d", b"5")
        txn.release(kept)
        await txn.commit()
        assert await stored(world) == {b"a": b"1", b"d": b"5"}

    run(transport, body)


def test_a_transaction_ends_once(transport: str) -> None:
    async def body(world: World) -> None:
        txn = await world.client.begin()
        assert not txn.is_dirty
        assert await txn.commit() == txn.start_ts
        with pytest.raises(InvalidRequest, match="committed"):
            txn.put(b"a", b"1")
        undone = await world.client.begin()
        undone.put(b"a", b"1")
        await undone.rollback()
        await undone.rollback()
        with pytest.raises(InvalidRequest, match="rolled back"):
            await undone.get(b"a")
        with pytest.raises(ZeroDivisionError):
            async with await world.client.begin() as failed:
                failed.put(b"a", b"1")
                raise ZeroDivisionError
        assert failed.state is State.ROLLED_BACK
        async with await world.client.begin() as done:
            done.put(b"a", b"2")
        assert done.commit_ts is not None
        assert world.cluster.count("KvPrewrite") == 1

    run(transport, body)


def test_limits_are_named(transport: str) -> None:
    async def body(world: World) -> None:
        txn = await world.client.begin()
        for key, value in ((b"", b""), (b"k" * 8193, b""), (b"k", b"v" * ((6 << 20) + 1))):
            with pytest.raises(InvalidRequest, match="bytes"):
                txn.put(key, value)
        with pytest.raises(TransactionTooLarge, match="over its limit of 1000 bytes") as caught:
            for n in range(1000):
                txn.put(b"%d" % n, b"")
        assert caught.value.size_bytes > caught.value.limit_bytes == 1000
        txn.delete(b"0")

    run(transport, body, options=ClientOptions(max_transaction_bytes=1000))


# --- the way to the stores --------------------------------------------------------------------------------------------


def test_one_region_takes_one_rpc_if_the_store_grants_it(transport: str) -> None:
    async def body(world: World) -> None:
        before = await world.client.timestamp()
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"b", b"2")
        commit_ts = await txn.commit()
        assert commit_ts > before
        assert [world.cluster.count(m) for m in ("KvPrewrite", "KvCommit")] == [1, 0]
        assert await world.client.snapshot(commit_ts).batch_get([b"a", b"b"]) == {b"a": b"1", b"b": b"2"}
        assert await world.client.snapshot(commit_ts - 1).scan() == []

    run(transport, body)


def test_one_region_takes_two_rpcs_otherwise(transport: str) -> None:
    async def body(world: World) -> None:
        two_phase(world)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.delete(b"b")
        txn.lock(b"c")
        await txn.commit()
        assert [world.cluster.count(m) for m in ("KvPrewrite", "KvCommit")] == [1, 1]
        assert not world.cluster.mvcc.locks
        assert await stored(world) == {b"a": b"1"}

    run(transport, body)


def test_many_regions_commit_the_primary_first(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"k3", b"k6")
        pairs = {b"k%d" % i: b"v" for i in range(9)}
        txn = await world.client.begin()
        for key, value in reversed(pairs.items()):
            txn.put(key, value)
        await txn.commit()
        prewrites = [request for method, request in world.cluster.calls if method == "KvPrewrite"]
        assert {request.primary_lock for request in prewrites} == {b"k0"}
        assert sorted(len(request.mutations) for request in prewrites) == [3, 3, 3]
        assert not any(request.try_one_pc for request in prewrites)
        await settled(world)
        commits = [request for method, request in world.cluster.calls if method == "KvCommit"]
        assert list(commits[0].keys) == [b"k0", b"k1", b"k2"]
        assert len(commits) == 3
        assert not world.cluster.mvcc.locks
        assert await stored(world) == pairs

    run(transport, body)


def test_large_transactions_go_in_bounded_batches() -> None:
    async def body(world: World) -> None:
        txn = await world.client.begin()
        for n in range(10):
            txn.put(b"big%d" % n, b"v" * 100_000)
        for n in range(9000):
            txn.put(b"small%04d" % n, b"")
        await txn.commit()
        await settled(world)
        prewrites = [request for method, request in world.cluster.calls if method == "KvPrewrite"]
        assert all(len(request.mutations) <= PART_KEYS for request in prewrites)
        assert len(prewrites) == 10 + -(-9000 // PART_KEYS)  # each of the big ones is more than a part by itself
        ttl_ms = 3000 + 6000 * (txn.buffer.size_bytes / (1 << 20)) ** 0.5
        assert abs(prewrites[0].lock_ttl - ttl_ms) < 100
        assert not world.cluster.mvcc.locks
        assert len(await stored(world)) == 9010

    run("local", body)


def test_a_transaction_that_fits_one_request_goes_as_one() -> None:
    async def body(world: World) -> None:
        for count, requests in ((MAX_BATCH_KEYS, 1), (MAX_BATCH_KEYS + 1, MAX_BATCH_KEYS // PART_KEYS + 1)):
            before = world.cluster.count("KvPrewrite")
            txn = await world.client.begin()
            for n in range(count):
                txn.put(b"%05d" % n, b"")
            await txn.commit()
            await settled(world)
            assert world.cluster.count("KvPrewrite") - before == requests

    run("local", body)


def test_time_to_live_covers_the_age_of_the_transaction() -> None:
    async def body(world: World) -> None:
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        world.cluster.time.advance(60)
        await txn.commit()
        [request] = [request for method, request in world.cluster.calls if method == "KvPrewrite"]
        assert 63_000 <= request.lock_ttl <= 63_200

    run("local", body)


@pytest.mark.parametrize("method", ["KvPrewrite", "KvCommit"])
def test_a_split_in_the_middle_of_a_commit(transport: str, method: str) -> None:
    async def body(world: World) -> None:
        two_phase(world)
        pairs = {b"k%d" % i: b"v" for i in range(9)}
        txn = await world.client.begin()
        for key, value in pairs.items():
            txn.put(key, value)

        def split(request: Any) -> None:
            world.cluster.split(b"k2", b"k5", b"k7")
            world.cluster.move_leader(b"k6", 2)

        world.cluster.inject(method, split)
        await txn.commit()
        await settled(world)
        assert not world.cluster.mvcc.locks
        assert await stored(world) == pairs

    run(transport, body)


def test_a_heartbeat_keeps_a_long_commit_alive() -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        gate = asyncio.Event()
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"2")

        async def hold(request: Any) -> None:
            if request.mutations[0].key == b"z":
                await gate.wait()

        world.cluster.inject("KvPrewrite", hold, hold)
        commit = asyncio.ensure_future(txn.commit())
        await until(lambda: b"a" in world.cluster.mvcc.locks)
        for _ in range(4):
            world.cluster.time.advance(1.6)
            await asyncio.sleep(0.001)
        assert world.cluster.count("KvTxnHeartBeat") >= 2
        reader = world.client.snapshot(await world.client.timestamp())
        assert await reader.get(b"a") is None  # not rolled back, though 3 s have passed: pushed instead
        gate.set()
        assert await commit > reader.ts
        await settled(world)
        assert await stored(world) == {b"a": b"1", b"z": b"2"}

    run("local", body)


# --- conflicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regions", [1, 2])
def test_the_second_writer_of_a_key_loses(transport: str, regions: int) -> None:
    async def body(world: World) -> None:
        if regions == 2:
            world.cluster.split(b"b")
        first, second = await world.client.begin(), await world.client.begin()
        first.put(b"b", b"first")
        second.put(b"a", b"second")
        second.put(b"b", b"second")
        await first.commit()
        with pytest.raises(WriteConflict) as caught:
            await second.commit()
        assert caught.value.key == b"b"
        assert caught.value.start_ts == second.start_ts
        assert caught.value.conflict_commit_ts == first.commit_ts
        assert second.state is State.ROLLED_BACK
        await settled(world)
        assert not world.cluster.mvcc.locks
        assert world.cluster.count("KvBatchRollback") == regions - 1  # a refused batch left nothing to undo
        assert await stored(world) == {b"b": b"first"}

    run(transport, body)


def test_locks_conflict_with_writes(transport: str) -> None:
    async def body(world: World) -> None:
        first, second = await world.client.begin(), await world.client.begin()
        first.lock(b"a")
        second.put(b"a", b"2")
        await first.commit()
        with pytest.raises(WriteConflict):
            await second.commit()

    run(transport, body)


def test_insert_fails_where_something_is(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1")
        txn = await world.client.begin()
        txn.insert(b"a", b"2")
        with pytest.raises(AlreadyExist):
            await txn.commit()
        again = await world.client.begin()
        again.put(b"b", b"")
        with pytest.raises(AlreadyExist):
            again.insert(b"b", b"")
        again.delete(b"a")
        again.insert(b"a", b"new")
        again.insert(b"c", b"x")
        again.put(b"c", b"y")
        await again.commit()
        assert await stored(world) == {b"a": b"new", b"b": b"", b"c": b"y"}

    run(transport, body)


def test_an_insert_keeps_its_promise_after_a_delete(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1")
        txn = await world.client.begin()
        txn.insert(b"a", b"2")
        txn.delete(b"a")
        assert await txn.get(b"a") is None
        with pytest.raises(AlreadyExist):
            await txn.commit()
        fine = await world.client.begin()
        fine.insert(b"b", b"2")
        fine.delete(b"b")
        assert await fine.commit() == fine.start_ts
        mixed = await world.client.begin()
        mixed.insert(b"b", b"2")
        mixed.delete(b"b")
        mixed.put(b"c", b"3")
        await mixed.commit()
        await settled(world)
        assert not world.cluster.mvcc.locks
        assert await stored(world) == {b"a": b"1", b"c": b"3"}

    run(transport, body)


@pytest.mark.parametrize("fate", ["committed", "rolled back", "expired", "alive"])
def test_prewrite_meets_a_lock(transport: str, fate: str) -> None:
    async def body(world: World) -> None:
        start_ts = world.cluster.leave_locks(b"a", b"b", ttl_ms=800, min_commit=True)
        txn = await world.client.begin()
        txn.put(b"b", b"mine")
        if fate == "committed":
            world.cluster.mvcc.commit([b"a"], start_ts, world.cluster.ts())
            with pytest.raises(WriteConflict):
                await txn.commit()
            return
        if fate == "rolled back":
            world.cluster.mvcc.rollback([b"a"], start_ts)
        elif fate == "expired":
            world.cluster.time.advance(1)
        before_s = world.cluster.time.clock.monotonic()
        await txn.commit()
        waited_s = world.cluster.time.clock.monotonic() - before_s
        assert waited_s > 0.7 if fate == "alive" else waited_s == 0
        assert await stored(world) == {b"b": b"mine"}

    run(transport, body)


def test_prewrite_waits_for_a_living_lock_no_longer_than_its_budget(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.leave_locks(b"b", ttl_ms=100_000)
        txn = await world.client.begin()
        txn.put(b"b", b"mine")
        with pytest.raises(RetriesExhausted, match="locked"):
            await txn.commit()

    run(transport, body, options=QUICK)


def test_a_reader_that_pushed_us_makes_us_take_a_later_timestamp(transport: str) -> None:
    async def body(world: World) -> None:
        two_phase(world)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        pushed: list[int] = []

        def push(request: Any) -> None:
            held = world.cluster.mvcc.locks[b"a"]
            held.min_commit_ts = world.cluster.ts()
            pushed.append(held.min_commit_ts)

        world.cluster.inject("KvCommit", push, push)
        commit_ts = await txn.commit()
        assert len(pushed) == 2
        assert commit_ts > pushed[-1]
        assert await world.client.snapshot(commit_ts).get(b"a") == b"1"

    run(transport, body)


# --- lost answers -----------------------------------------------------------------------------------------------------

WRITE_ERRORS: dict[str, Any] = {
    "dropped": DROP,
    "lost": LOSE_ANSWER,
    "undetermined": errorpb.Error(undetermined_result=errorpb.UndeterminedResult()),
    "stale": errorpb.Error(stale_command=errorpb.StaleCommand()),
    "busy": errorpb.Error(server_is_busy=errorpb.ServerIsBusy()),
}


@pytest.mark.parametrize("one_phase", [True, False])
@pytest.mark.parametrize("error", WRITE_ERRORS)
@pytest.mark.parametrize("method", ["KvPrewrite", "KvCommit", "KvBatchRollback"])
def test_every_request_is_repeated_until_it_arrives(transport: str, method: str, error: str, one_phase: bool) -> None:
    async def body(world: World) -> None:
        world.cluster.grants_one_phase = one_phase
        world.cluster.inject(method, WRITE_ERRORS[error], WRITE_ERRORS[error])
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        commit_ts = await txn.commit()
        assert world.cluster.mvcc.committed_at(b"a", txn.start_ts) == commit_ts
        assert await stored(world) == {b"a": b"1"}

    run(transport, body)


def test_a_one_phase_commit_whose_answer_was_lost_is_reported_where_it_happened(transport: str) -> None:
    async def body(world: World) -> None:
        def commit_elsewhere(request: Any) -> None:
            world.cluster.grants_one_phase = False  # the retry finds its own commit and says nothing of it

        world.cluster.inject("KvPrewrite", LOSE_ANSWER, commit_elsewhere)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        commit_ts = await txn.commit()
        assert world.cluster.mvcc.committed_at(b"a", txn.start_ts) == commit_ts
        assert world.cluster.count("KvCommit") == 0

    run(transport, body)


@pytest.mark.parametrize("fault", [LOSE_ANSWER, DROP])
@pytest.mark.parametrize("method", ["KvPrewrite", "KvCommit"])
def test_a_lost_commit_is_found_out_at_the_primary(transport: str, method: str, fault: str) -> None:
    """The store stops answering the deciding request for good: what it did with it decides."""

    async def body(world: World) -> None:
        world.cluster.grants_one_phase = method == "KvPrewrite"
        world.cluster.inject(method, fault, *[DROP] * 200)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        if fault == LOSE_ANSWER:
            commit_ts = await txn.commit()
            assert world.cluster.mvcc.committed_at(b"a", txn.start_ts) == commit_ts
        else:
            with pytest.raises(TxnLockNotFound):
                await txn.commit()
            assert txn.state is State.ROLLED_BACK
            await settled(world)
            assert not world.cluster.mvcc.locks
        assert await stored(world) == ({b"a": b"1"} if fault == LOSE_ANSWER else {})

    run(transport, body, options=QUICK)


@pytest.mark.parametrize("method", ["KvPrewrite", "KvCommit"])
@pytest.mark.parametrize("fault", [LOSE_ANSWER, DROP])
def test_undetermined_when_the_primary_cannot_be_asked(transport: str, method: str, fault: str) -> None:
    async def body(world: World) -> None:
        world.cluster.grants_one_phase = method == "KvPrewrite"
        world.cluster.inject(method, fault, *[DROP] * 200)
        world.cluster.inject("KvCheckTxnStatus", *[DROP] * 200)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        with pytest.raises(UndeterminedResult) as caught:
            await txn.commit()
        assert caught.value.start_ts == txn.start_ts
        await txn.rollback()  # as callers do on any error
        assert txn.state is State.UNDETERMINED
        await settled(world)
        assert world.cluster.count("KvBatchRollback") == 0

    run(transport, body, options=QUICK)


def test_stores_out_of_reach_before_the_deciding_request(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        world.cluster.inject("KvPrewrite", *[errorpb.Error(message="no")] * 500)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"1")
        with pytest.raises(RetriesExhausted):
            await txn.commit()
        assert txn.state is State.ROLLED_BACK
        world.cluster.faults.clear()
        assert await stored(world) == {}

    run(transport, body, options=QUICK)


def test_a_commit_rolled_back_by_others_says_so(transport: str) -> None:
    async def body(world: World) -> None:
        two_phase(world)
        world.cluster.split(b"m")
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"1")
        world.cluster.inject("KvCommit", lambda request: world.cluster.mvcc.rollback([b"a"], request.start_version))
        with pytest.raises(TxnLockNotFound) as caught:
            await txn.commit()
        assert caught.value.start_ts == txn.start_ts
        await settled(world)
        assert not world.cluster.mvcc.locks

    run(transport, body)


def test_a_cancelled_caller_does_not_stop_the_commit(transport: str) -> None:
    async def body(world: World) -> None:
        two_phase(world)
        arrived, gate = asyncio.Event(), asyncio.Event()

        async def hold(request: Any) -> None:
            arrived.set()
            await gate.wait()

        world.cluster.inject("KvCommit", hold)
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        caller = asyncio.ensure_future(txn.commit())
        await arrived.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await txn.rollback()  # too late, and no error: one would take the place of the cancellation
        gate.set()
        await settled(world)
        assert txn.state is State.COMMITTED
        await txn.rollback()
        assert txn.state is State.COMMITTED
        assert await stored(world) == {b"a": b"1"}

    run(transport, body)


def test_close_waits_for_secondaries_but_not_for_ever(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"1")
        gate = asyncio.Event()

        async def hold(request: Any) -> None:
            if b"z" in request.keys:
                await gate.wait()

        world.cluster.inject("KvCommit", hold, hold)
        await txn.commit()
        await world.client.close()
        assert list(world.cluster.mvcc.locks) == [b"z"]
        gate.set()

    run(transport, body, options=ClientOptions(close_timeout_s=0.05))


def test_secondaries_are_finished_by_whoever_meets_them(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        txn = await world.client.begin()
        txn.put(b"a", b"1")
        txn.put(b"z", b"1")
        refused = kvrpcpb.CommitResponse(error=kvrpcpb.KeyError(abort="not today"))
        world.cluster.inject("KvCommit", lambda request: None, lambda request: refused)
        commit_ts = await txn.commit()
        await settled(world)
        assert list(world.cluster.mvcc.locks) == [b"z"]
        assert await world.client.snapshot(commit_ts).get(b"z") == b"1"
        assert not world.cluster.mvcc.locks

    run(transport, body)


def test_transfers_keep_the_total(transport: str) -> None:
    """Eight tasks move money between five accounts in three regions while regions split and leaders move."""

    async def body(world: World) -> None:
        accounts = [b"acct%d" % n for n in range(5)]
        world.cluster.write_all(dict.fromkeys(accounts, b"100"))
        world.cluster.split(b"acct2", b"acct4")

        async def transfer(source: bytes, target: bytes) -> None:
            async with await world.client.begin() as txn:
                balances = await txn.batch_get([source, target])
                assert sum(map(int, (await world_total(txn)).values())) == 500
                txn.put(source, b"%d" % (int(balances[source]) - 1))
                txn.put(target, b"%d" % (int(balances[target]) + 1))

        async def world_total(txn: Transaction) -> dict[bytes, bytes]:
            return dict(await txn.scan())

        async def teller(n: int) -> None:
            for turn in range(6):
                try:
                    await transfer(accounts[(n + turn) % 5], accounts[(n + turn + 1 + turn % 4) % 5])
                except WriteConflict:
                    continue
                finally:
                    world.cluster.move_leader(accounts[turn % 5], 1 + (n + turn) % 3)
            world.cluster.split(b"acct%d" % n)

        await asyncio.gather(*[teller(n) for n in range(8)])
        await settled(world)
        total = await stored(world)
        assert sum(map(int, total.values())) == 500
        assert total != dict.fromkeys(accounts, b"100")
        assert not world.cluster.mvcc.locks

    run(transport, body)
