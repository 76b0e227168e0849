"""The transactional verbs over both wires: what goes in, what comes out, where errors stand."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from direct_kv import make_region
from server_tools import WIRES, Served, serving

from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.keys import storage_key

Scenario = Callable[[Served], Awaitable[None]]


@pytest.fixture(params=WIRES)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs a scenario against a service over one of the wires."""

    def run_it(scenario: Scenario, *regions: metapb.Region) -> None:
        async def main() -> None:
            async with serving(request.param, *regions) as served:
                await scenario(served)

        asyncio.run(main())

    return run_it


def two_regions() -> tuple[metapb.Region, metapb.Region]:
    border = storage_key(b"m")
    return make_region(1, b"", border), make_region(2, border, b"")


# --- reads ------------------------------------------------------------------------------------------------------------


def test_get_sees_what_was_committed_at_its_version(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        await served.put(30, 40, {b"a": b""})
        assert (await served.get(b"a", 15)).not_found
        assert (await served.get(b"a", 25)).value == b"1"
        empty = await served.get(b"a", 45)
        assert (empty.value, empty.not_found) == (b"", False)
        assert (await served.get(b"b", 45)).not_found

    run(scenario)


def test_a_lock_in_the_way_is_told_and_can_be_looked_through(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"old"})
        await served.lock(30, {b"a": b"new"})
        assert (await served.get(b"a", 25)).value == b"old"
        locked = (await served.get(b"a", 35)).error.locked
        assert (locked.key, locked.lock_version, locked.lock_ttl) == (b"a", 30, 3000)
        request = kvrpcpb.GetRequest(context=served.context(), key=b"a", version=35)
        request.context.resolved_locks.append(30)
        assert (await served.tikv.KvGet(request)).value == b"old"
        request.context.ClearField("resolved_locks")
        request.context.committed_locks.append(30)
        assert (await served.tikv.KvGet(request)).value == b"new"

    run(scenario)


def test_batch_get_leaves_out_what_is_missing_and_marks_what_is_locked(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1", b"c": b"3"})
        await served.lock(30, {b"b": b"2"})
        request = kvrpcpb.BatchGetRequest(context=served.context(), keys=[b"c", b"b", b"x", b"a"], version=50)
        pairs = (await served.tikv.KvBatchGet(request)).pairs
        assert [(pair.key, pair.value) for pair in pairs] == [(b"c", b"3"), (b"b", b""), (b"a", b"1")]
        assert pairs[1].error.locked.lock_version == 30

    run(scenario)


def test_scan_is_cut_by_limit_and_region_never_else(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1", b"c": b"3", b"k": b"4"}, 1)
        await served.put(10, 20, {b"p": b"5"}, 2)

        async def scan(region_id: int, **fields: object) -> list[bytes]:
            request = kvrpcpb.ScanRequest(context=served.context(region_id), version=50, **fields)
            return [pair.key for pair in (await served.tikv.KvScan(request)).pairs]

        assert await scan(1, limit=10) == [b"a", b"c", b"k"]
        assert await scan(2, limit=10) == [b"p"]
        assert await scan(1, limit=2) == [b"a", b"c"]
        assert await scan(1, limit=0) == []
        assert await scan(1, limit=10, start_key=b"b", end_key=b"z") == [b"c", b"k"]
        assert await scan(1, limit=10, start_key=b"n") == []
        assert await scan(1, limit=10, reverse=True) == [b"k", b"c", b"a"]
        assert await scan(1, limit=10, reverse=True, start_key=b"k", end_key=b"b") == [b"c"]

    run(scenario, *two_regions())


def test_scan_by_key_has_no_values_and_shows_locks(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        await served.lock(30, {b"b": b"2"})
        request = kvrpcpb.ScanRequest(context=served.context(), limit=9, version=50, key_only=True)
        pairs = (await served.tikv.KvScan(request)).pairs
        assert [(pair.key, pair.value, pair.error.locked.lock_version) for pair in pairs] == [
            (b"a", b"", 0),
            (b"b", b"", 30),
        ]

    run(scenario)


def test_reads_raise_max_ts(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.get(b"a", 123)
        assert served.service.scheduler.max_ts.newest == 123
        await served.tikv.KvScan(kvrpcpb.ScanRequest(context=served.context(), limit=1, version=200))
        assert served.service.scheduler.max_ts.newest == 200

    run(scenario)


# --- writes -----------------------------------------------------------------------------------------------------------


def test_prewrite_tells_every_lock_it_meets(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.lock(10, {b"a": b"1", b"b": b"2"})
        request = kvrpcpb.PrewriteRequest(context=served.context(), primary_lock=b"a", start_version=20, lock_ttl=1)
        request.mutations.add(op=kvrpcpb.Put, key=b"a")
        request.mutations.add(op=kvrpcpb.Put, key=b"b")
        errors = (await served.tikv.KvPrewrite(request)).errors
        assert [error.locked.key for error in errors] == [b"a", b"b"]

    run(scenario)


def test_prewrite_meets_a_newer_commit(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        request = kvrpcpb.PrewriteRequest(context=served.context(), primary_lock=b"a", start_version=15, lock_ttl=1)
        request.mutations.add(op=kvrpcpb.Put, key=b"a")
        (error,) = (await served.tikv.KvPrewrite(request)).errors
        assert (error.conflict.start_ts, error.conflict.conflict_commit_ts, error.conflict.key) == (15, 20, b"a")
        assert error.retryable

    run(scenario)


def test_commit_twice_is_harmless_and_commit_of_nothing_is_not(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        request = kvrpcpb.CommitRequest(context=served.context(), start_version=10, commit_version=20, keys=[b"a"])
        assert not (await served.tikv.KvCommit(request)).HasField("error")
        request.start_version, request.commit_version = 30, 40
        error = (await served.tikv.KvCommit(request)).error
        assert error.HasField("txn_lock_not_found")
        assert error.retryable

    run(scenario)


def test_status_of_a_transaction_running_committed_rolled_back(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.lock(10, {b"a": b"1"})
        request = kvrpcpb.CheckTxnStatusRequest(
            context=served.context(), primary_key=b"a", lock_ts=10, current_ts=11, rollback_if_not_exist=True
        )
        running = await served.tikv.KvCheckTxnStatus(request)
        assert (running.lock_ttl, running.lock_info.lock_version, running.commit_version) == (3000, 10, 0)
        request.current_ts = (1 << 64) - 1
        gone = await served.tikv.KvCheckTxnStatus(request)
        assert (gone.lock_ttl, gone.commit_version, gone.action) == (0, 0, kvrpcpb.TTLExpireRollback)
        assert not gone.HasField("lock_info")
        await served.put(30, 40, {b"a": b"1"})
        request.lock_ts = 30
        assert (await served.tikv.KvCheckTxnStatus(request)).commit_version == 40

    run(scenario)


def test_cleanup_resolve_rollback_and_heartbeat(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        context = served.context()
        await served.lock(10, {b"a": b"1", b"b": b"2"})
        beat = kvrpcpb.TxnHeartBeatRequest(context=context, primary_lock=b"a", start_version=10, advise_lock_ttl=9000)
        assert (await served.tikv.KvTxnHeartBeat(beat)).lock_ttl == 9000
        cleanup = kvrpcpb.CleanupRequest(context=context, key=b"a", start_version=10)
        assert (await served.tikv.KvCleanup(cleanup)) == kvrpcpb.CleanupResponse()
        scan = kvrpcpb.ScanLockRequest(context=context, max_version=99, limit=10)
        assert [lock.key for lock in (await served.tikv.KvScanLock(scan)).locks] == [b"b"]
        resolve = kvrpcpb.ResolveLockRequest(context=context, start_version=10)
        assert (await served.tikv.KvResolveLock(resolve)) == kvrpcpb.ResolveLockResponse()
        assert (await served.get(b"b", 99)).not_found
        rollback = kvrpcpb.BatchRollbackRequest(context=context, start_version=50, keys=[b"c"])
        assert (await served.tikv.KvBatchRollback(rollback)) == kvrpcpb.BatchRollbackResponse()
        assert (await served.tikv.KvTxnHeartBeat(beat)).error.HasField("txn_not_found")

    run(scenario)


def test_pessimistic_lock_returns_values_and_is_taken_back(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        context = served.context()
        await served.put(10, 20, {b"a": b"1"})
        request = kvrpcpb.PessimisticLockRequest(
            context=context, primary_lock=b"a", start_version=30, for_update_ts=30, lock_ttl=1000, return_values=True
        )
        for key in (b"a", b"b"):
            request.mutations.add(op=kvrpcpb.PessimisticLock, key=key)
        answer = await served.tikv.KvPessimisticLock(request)
        assert (list(answer.values), list(answer.not_founds)) == ([b"1", b""], [False, True])
        request.start_version = 31
        (error,) = (await served.tikv.KvPessimisticLock(request)).errors
        assert error.locked.lock_version == 30
        back = kvrpcpb.PessimisticRollbackRequest(
            context=context, start_version=30, for_update_ts=30, keys=[b"a", b"b"]
        )
        assert (await served.tikv.KVPessimisticRollback(back)) == kvrpcpb.PessimisticRollbackResponse()
        assert not (await served.tikv.KvPessimisticLock(request)).errors

    run(scenario)


# --- tools ------------------------------------------------------------------------------------------------------------


def test_split_answers_with_all_parts_in_key_order(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        request = kvrpcpb.SplitRegionRequest(context=served.context(), split_keys=[b"t", b"g"])
        answer = await served.tikv.SplitRegion(request)
        assert [region.start_key for region in answer.regions] == [b"", storage_key(b"g"), storage_key(b"t")]
        assert (answer.left, answer.right.id) == (answer.regions[0], 1)
        stale = await served.tikv.SplitRegion(request)
        assert stale.region_error.HasField("epoch_not_match")

    run(scenario)


def test_read_index_and_the_lock_before_it(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"1"})
        request = kvrpcpb.ReadIndexRequest(
            context=served.context(), start_ts=50, ranges=[kvrpcpb.KeyRange(start_key=b"a", end_key=b"z")]
        )
        assert (await served.tikv.ReadIndex(request)).read_index == 2
        await served.lock(30, {b"b": b"1"})
        assert (await served.tikv.ReadIndex(request)).locked.key == b"b"

    run(scenario)


def test_versions_of_a_key(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        await served.put(10, 20, {b"a": b"short"})
        await served.put(30, 40, {b"a": b"x" * 300})
        await served.lock(50, {b"a": b"2"})
        info = (await served.tikv.MvccGetByKey(kvrpcpb.MvccGetByKeyRequest(context=served.context(), key=b"a"))).info
        assert (info.lock.start_ts, info.lock.primary) == (50, b"a")
        assert [(write.commit_ts, write.short_value) for write in info.writes] == [(40, b""), (20, b"short")]
        assert [(value.start_ts, len(value.value)) for value in info.values] == [(30, 300)]

    run(scenario)


def test_no_stale_reads_yet(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        assert (await served.tikv.GetStoreSafeTS(kvrpcpb.StoreSafeTSRequest())).safe_ts == 0

    run(scenario)
