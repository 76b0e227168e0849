"""What cannot be served: each refusal stands in its place, and the store lives on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from direct_kv import make_region
from server_tools import CLUSTER_ID, MAX_ENTRY_BYTES, WIRES, Served, serving, until

from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import EngineCorrupt, ServerIsBusy, StorageError, UndeterminedResult
from rutile_proto.keys import storage_key, versioned_key

CODE = grpc.StatusCode
Scenario = Callable[[Served], Awaitable[None]]


@pytest.fixture(params=WIRES)
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    def run_it(scenario: Scenario, *regions: metapb.Region) -> None:
        async def main() -> None:
            async with serving(request.param, *regions) as served:
                await scenario(served)

        asyncio.run(main())

    return run_it


async def status_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


# --- the request is malformed -----------------------------------------------------------------------------------------


def test_bounds_are_named(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        context, tikv = served.context(), served.tikv
        big = [kvrpcpb.Mutation(op=kvrpcpb.Put, key=b"k", value=bytes(MAX_ENTRY_BYTES))]
        refused = {
            "key is empty": tikv.KvGet(kvrpcpb.GetRequest(context=context, version=5)),
            "8193 bytes": tikv.KvGet(kvrpcpb.GetRequest(context=context, key=bytes(8193), version=5)),
            "version is 0": tikv.KvGet(kvrpcpb.GetRequest(context=context, key=b"k")),
            "reversed": tikv.KvScan(
                kvrpcpb.ScanRequest(context=context, start_key=b"b", end_key=b"a", limit=1, version=5)
            ),
            f"limit of one request is {MAX_ENTRY_BYTES}": tikv.KvPrewrite(
                kvrpcpb.PrewriteRequest(context=context, primary_lock=b"k", start_version=5, mutations=big)
            ),
            "primary_lock is empty": tikv.KvPrewrite(kvrpcpb.PrewriteRequest(context=context, start_version=5)),
            "pessimistic_actions for": tikv.KvPrewrite(
                kvrpcpb.PrewriteRequest(
                    context=context,
                    primary_lock=b"k",
                    start_version=5,
                    mutations=[kvrpcpb.Mutation(key=b"k")],
                    pessimistic_actions=[0, 0],
                )
            ),
            "commit_ts 5 is not above": tikv.KvCommit(
                kvrpcpb.CommitRequest(context=context, start_version=5, commit_version=5, keys=[b"k"])
            ),
            "names no transaction": tikv.KvResolveLock(kvrpcpb.ResolveLockRequest(context=context)),
            "1 to 1024 keys": tikv.SplitRegion(kvrpcpb.SplitRegionRequest(context=context)),
            "WakeUpModeForceLock": tikv.KvPessimisticLock(
                kvrpcpb.PessimisticLockRequest(context=context, primary_lock=b"k", start_version=5, wake_up_mode=1)
            ),
        }
        for text, call in refused.items():
            code, details = await status_of(call)
            assert (code, text in details) == (CODE.INVALID_ARGUMENT, True), details
        assert (await served.get(b"k", 5)).not_found

    run(scenario)


def test_another_cluster_is_refused(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        request = kvrpcpb.GetRequest(context=served.context(), key=b"k", version=5)
        request.context.cluster_id = CLUSTER_ID
        assert (await served.tikv.KvGet(request)).not_found
        request.context.cluster_id = CLUSTER_ID + 1
        code, details = await status_of(served.tikv.KvGet(request))
        assert code is CODE.INVALID_ARGUMENT
        assert str(CLUSTER_ID) in details

    run(scenario)


def test_bytes_that_are_no_message_end_one_call_only() -> None:
    async def main() -> None:
        async with serving("grpc") as served:
            call = served.channel.unary_unary("/tikvpb.Tikv/KvGet")
            code, _ = await status_of(call(b"\xff\xff\xff\xff"))
            assert code in (CODE.INTERNAL, CODE.INVALID_ARGUMENT, CODE.UNKNOWN)
            assert (await served.get(b"k", 5)).not_found

    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    asyncio.run(main())


def test_what_is_not_built_says_so(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        code, details = await status_of(served.tikv.MvccGetByStartTs(kvrpcpb.MvccGetByStartTsRequest()))
        assert (code, details) == (CODE.UNIMPLEMENTED, "Tikv.MvccGetByStartTs is not built in this version of Rutile")

    run(scenario)


# --- the region cannot serve it ---------------------------------------------------------------------------------------


def test_region_errors_stand_in_the_response(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        async def refusal(change: Callable[[kvrpcpb.Context], None], key: bytes = b"a") -> str:
            request = kvrpcpb.GetRequest(context=served.context(), key=key, version=5)
            change(request.context)
            error = (await served.tikv.KvGet(request)).region_error
            return next(field.name for field, _ in error.ListFields() if field.message_type is not None)

        assert await refusal(lambda context: setattr(context, "region_id", 99)) == "region_not_found"
        assert await refusal(lambda context: setattr(context.peer, "store_id", 9)) == "store_not_match"
        assert await refusal(lambda context: setattr(context.peer, "id", 9)) == "mismatch_peer_id"
        assert await refusal(lambda context: setattr(context.region_epoch, "version", 9)) == "epoch_not_match"
        assert await refusal(lambda context: None, key=b"z") == "key_not_in_region"
        served.kv.followers.add(1)
        assert await refusal(lambda context: None) == "not_leader"
        follower = kvrpcpb.GetRequest(context=served.context(), key=b"a", version=5)
        follower.context.replica_read = True
        assert (await served.tikv.KvGet(follower)).not_found

    run(scenario, make_region(1, b"", storage_key(b"m")))


def test_writes_outside_the_region_are_refused(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        request = kvrpcpb.PrewriteRequest(context=served.context(), primary_lock=b"a", start_version=5, lock_ttl=1)
        request.mutations.add(op=kvrpcpb.Put, key=b"z")
        assert (await served.tikv.KvPrewrite(request)).region_error.key_not_in_region.key == b"z"
        request.context.region_epoch.version = 9
        assert (await served.tikv.KvPrewrite(request)).region_error.HasField("epoch_not_match")

    run(scenario, make_region(1, b"", storage_key(b"m")))


def test_an_undetermined_result_is_a_region_error(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.broken = UndeterminedResult(5, "the leader changed")
        assert (await served.get(b"a", 5)).region_error.HasField("undetermined_result")

    run(scenario)


def test_a_store_that_stays_busy_says_so_as_its_caller_understands_it(run: Callable[..., None]) -> None:
    """The Python wheels raise server_is_busy at once, but retry on a status (wire.md 6.1)."""

    async def scenario(served: Served) -> None:
        served.service.patience_seconds = 0.02
        served.kv.broken = ServerIsBusy("too much", backoff_ms=7)
        code, details = await status_of(served.get(b"a", 5))
        assert (code, "too much" in details) == (CODE.RESOURCE_EXHAUSTED, True)
        request = kvrpcpb.GetRequest(context=served.context(), key=b"a", version=5)
        request.context.request_source = "external_Select"
        assert (await served.tikv.KvGet(request)).region_error.server_is_busy.backoff_ms == 7

    run(scenario)


def test_a_moment_of_being_busy_is_not_told(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.broken = ServerIsBusy("the leader is being transferred")
        asking = asyncio.ensure_future(served.get(b"a", 5))
        await until(lambda: served.kv.refused >= 2)
        served.kv.broken = None
        assert (await asking).not_found

    run(scenario)


def test_a_store_that_stops_while_busy_says_that(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.broken = ServerIsBusy("stopping")
        asking = asyncio.ensure_future(served.get(b"a", 5))
        await until(lambda: served.kv.refused >= 1)
        served.service.close()
        assert (await status_of(asking))[0] is CODE.UNAVAILABLE

    run(scenario)


# --- the store itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("a bug"), CODE.INTERNAL),
        (EngineCorrupt("block 7 is torn"), CODE.INTERNAL),
        (StorageError("the disk is gone"), CODE.UNAVAILABLE),
    ],
)
def test_unexpected_errors_are_logged_and_the_store_lives_on(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture, error: Exception, code: grpc.StatusCode
) -> None:
    async def scenario(served: Served) -> None:
        served.kv.broken = error
        got, details = await status_of(served.get(b"a", 5))
        assert (got, str(error) in details) == (code, True)
        served.kv.broken = None
        assert (await served.get(b"a", 5)).not_found

    run(scenario)
    logged = [record for record in caplog.records if record.name == "rutile_kv.server.boundary"]
    assert bool(logged) == (code is CODE.INTERNAL)


def test_a_deadline_ends_a_read_that_waits(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.kv.stuck = True
        request = kvrpcpb.GetRequest(context=served.context(), key=b"a", version=5)
        request.context.max_execution_duration_ms = 20
        code, _ = await status_of(served.tikv.KvGet(request))
        assert code is CODE.DEADLINE_EXCEEDED

    run(scenario)


def test_a_closed_service_sends_clients_away(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        served.service.close()
        code, _ = await status_of(served.get(b"a", 5))
        assert code is CODE.UNAVAILABLE

    run(scenario)


# --- bulk writes ------------------------------------------------------------------------------------------------------

PUT_DEFAULT, PUT_LOCK, PUT_WRITE, DELETE_WRITE = 0, 2, 4, 5


def bulk(served: Served, kind: int, key: bytes, value: bytes = b"") -> rutilepb.BulkWriteRequest:
    ops = rutilepb.WriteOps(kinds=bytes([kind]), keys=[key], values=[value])
    return rutilepb.BulkWriteRequest(context=served.context(), ops=ops)


def test_bulk_writes_put_and_take_back_versions(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        key = versioned_key(storage_key(b"a"), 20)
        record = b"P" + bytes([10]) + b"v\x01x"
        assert (await served.rutile.BulkWrite(bulk(served, PUT_WRITE, key, record))) == rutilepb.BulkWriteResponse()
        assert (await served.get(b"a", 25)).value == b"x"
        await served.rutile.BulkWrite(bulk(served, DELETE_WRITE, key))
        assert (await served.get(b"a", 25)).not_found
        assert (await served.rutile.BulkWrite(rutilepb.BulkWriteRequest(context=served.context()))).error == ""

    run(scenario)


def test_bulk_writes_are_held_to_their_bounds(run: Callable[..., None]) -> None:
    async def scenario(served: Served) -> None:
        good = versioned_key(storage_key(b"a"), 20)
        torn = bulk(served, PUT_WRITE, good)
        torn.ops.keys.append(b"one more")
        for request, text in (
            (bulk(served, PUT_LOCK, good), "lock family"),
            (bulk(served, 99, good), "malformed"),
            (torn, "malformed"),
            (bulk(served, PUT_WRITE, b"short"), "versioned key"),
            (bulk(served, PUT_DEFAULT, good, bytes(MAX_ENTRY_BYTES + 1)), "limit"),
        ):
            code, details = await status_of(served.rutile.BulkWrite(request))
            assert (code, text in details) == (CODE.INVALID_ARGUMENT, True), details
        outside = bulk(served, PUT_WRITE, versioned_key(storage_key(b"z"), 20))
        assert (await served.rutile.BulkWrite(outside)).region_error.HasField("key_not_in_region")

    run(scenario, make_region(1, b"", storage_key(b"m")))
