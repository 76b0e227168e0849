"""Snapshots: what they find, and that they find it whatever the regions do meanwhile."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from client_fakes import DROP, LOSE_ANSWER, World, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.snapshot import Snapshot
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest, KeyIsLocked, RaftEntryTooLarge, RetriesExhausted, ServerIsBusy


async def now(world: World) -> Snapshot:
    return world.client.snapshot(await world.client.timestamp())


def test_get_finds_the_version_of_its_timestamp(transport: str) -> None:
    async def body(world: World) -> None:
        old = world.cluster.write(a=b"1")
        new = world.cluster.write(a=b"2", empty=b"")
        assert await world.client.snapshot(old).get(b"a") == b"1"
        assert await world.client.snapshot(new).get(b"a") == b"2"
        assert await world.client.snapshot(new).get(b"empty") == b""
        assert await world.client.snapshot(new).get(b"missing") is None
        assert await (await now(world)).get(b"a") == b"2"

    run(transport, body)


def test_batch_get_takes_one_rpc_a_region(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"k3", b"k6")
        pairs = {b"k%d" % i: b"v%d" % i for i in range(9)}
        world.cluster.write_all(pairs)
        snapshot = await now(world)
        found = await snapshot.batch_get([*reversed(pairs), b"k1", b"zzz"])
        assert list(found.items()) == sorted(pairs.items())
        assert world.cluster.count("KvBatchGet") == 3
        assert await snapshot.batch_get([]) == {}

    run(transport, body)


def peer(store: int) -> metapb.Peer:
    return metapb.Peer(id=10 + store, store_id=store)


REGION_ERRORS = {
    "not_leader_hint": errorpb.Error(not_leader=errorpb.NotLeader(region_id=1, leader=peer(1))),
    "not_leader_unknown": errorpb.Error(not_leader=errorpb.NotLeader(region_id=1)),
    "not_leader_stranger": errorpb.Error(
        not_leader=errorpb.NotLeader(region_id=1, leader=metapb.Peer(id=99, store_id=9))
    ),
    "region_not_found": errorpb.Error(region_not_found=errorpb.RegionNotFound(region_id=1)),
    "key_not_in_region": errorpb.Error(key_not_in_region=errorpb.KeyNotInRegion(region_id=1)),
    "epoch_not_match_empty": errorpb.Error(epoch_not_match=errorpb.EpochNotMatch()),
    "epoch_not_match_older": errorpb.Error(
        epoch_not_match=errorpb.EpochNotMatch(current_regions=[metapb.Region(id=1, peers=[peer(1)])])
    ),
    "server_is_busy": errorpb.Error(server_is_busy=errorpb.ServerIsBusy(reason="full", backoff_ms=300)),
    "stale_command": errorpb.Error(stale_command=errorpb.StaleCommand()),
    "store_not_match": errorpb.Error(store_not_match=errorpb.StoreNotMatch(request_store_id=1, actual_store_id=2)),
    "max_timestamp_not_synced": errorpb.Error(max_timestamp_not_synced=errorpb.MaxTimestampNotSynced()),
    "read_index_not_ready": errorpb.Error(read_index_not_ready=errorpb.ReadIndexNotReady(region_id=1)),
    "proposal_in_merging_mode": errorpb.Error(proposal_in_merging_mode=errorpb.ProposalInMergingMode(region_id=1)),
    "data_is_not_ready": errorpb.Error(data_is_not_ready=errorpb.DataIsNotReady(region_id=1)),
    "region_not_initialized": errorpb.Error(region_not_initialized=errorpb.RegionNotInitialized(region_id=1)),
    "disk_full": errorpb.Error(disk_full=errorpb.DiskFull(store_id=[1])),
    "mismatch_peer_id": errorpb.Error(mismatch_peer_id=errorpb.MismatchPeerId(request_peer_id=1, store_peer_id=2)),
    "undetermined_result": errorpb.Error(undetermined_result=errorpb.UndeterminedResult(message="who knows")),
    "unknown": errorpb.Error(message="something new"),
    "grpc_dropped": DROP,
    "grpc_lost": LOSE_ANSWER,
    "grpc_internal": grpc.StatusCode.INTERNAL,
    "grpc_deadline": grpc.StatusCode.DEADLINE_EXCEEDED,
    "grpc_busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
Read = Callable[[Snapshot], Any]
READS: dict[str, tuple[str, Read, Any]] = {
    "get": ("KvGet", lambda s: s.get(b"b"), b"2"),
    "batch_get": ("KvBatchGet", lambda s: s.batch_get([b"a", b"b"]), {b"a": b"1", b"b": b"2"}),
    "scan": ("KvScan", lambda s: s.scan(), [(b"a", b"1"), (b"b", b"2")]),
    "reverse": ("KvScan", lambda s: s.scan(reverse=True), [(b"b", b"2"), (b"a", b"1")]),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("error", REGION_ERRORS)
def test_a_read_survives_every_region_error(error: str, read: str) -> None:
    method, do, expected = READS[read]

    async def body(world: World) -> None:
        world.cluster.write(a=b"1", b=b"2")
        snapshot = await now(world)
        world.cluster.inject(method, REGION_ERRORS[error], REGION_ERRORS[error])
        assert await do(snapshot) == expected
        assert 3 <= world.cluster.count(method) <= 5

    run("local", body)


def test_a_read_survives_errors_over_grpc() -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1")
        for error in REGION_ERRORS.values():
            world.cluster.inject("KvGet", error)
            assert await (await now(world)).get(b"a") == b"1"

    run("grpc", body)


def test_busy_for_ever_ends_with_the_last_cause(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.inject("KvGet", *[REGION_ERRORS["server_is_busy"]] * 1000)
        with pytest.raises(RetriesExhausted) as caught:
            await (await now(world)).get(b"a")
        assert isinstance(caught.value.cause, ServerIsBusy)
        assert caught.value.what == "get"
        assert 1_000 < caught.value.spent_ms <= 2_000

    run(transport, body, options=ClientOptions(read_budget_s=2.0))


def test_what_no_second_try_can_help_is_raised_at_once(transport: str) -> None:
    async def body(world: World) -> None:
        too_large = errorpb.Error(raft_entry_too_large=errorpb.RaftEntryTooLarge(region_id=1, entry_size=9))
        world.cluster.inject("KvGet", too_large, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)
        with pytest.raises(RaftEntryTooLarge):
            await (await now(world)).get(b"a")
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                await (await now(world)).get(b"a")
        assert world.cluster.count("KvGet") == 3

    run(transport, body)


def test_a_store_that_keeps_failing_inside_is_not_asked_for_ever(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.inject("KvGet", *[grpc.StatusCode.INTERNAL] * 100)
        with pytest.raises(RetriesExhausted):
            await (await now(world)).get(b"a")
        assert world.cluster.count("KvGet") == 4

    run(transport, body)


def test_the_next_peer_is_tried_when_the_leader_is_gone(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1")
        assert await (await now(world)).get(b"a") == b"1"
        world.pd.freeze()  # the placement driver has not heard of the new leader yet
        world.cluster.down.add(1)
        world.cluster.move_leader(b"a", 3)
        assert await (await now(world)).get(b"a") == b"1"
        assert world.client.regions.peek(b"").leader.store_id == 3  # type: ignore[union-attr]

    run(transport, body)


def test_a_split_teaches_the_cache_without_the_placement_driver(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1", z=b"2")
        snapshot = await now(world)
        assert await snapshot.get(b"a") == b"1"
        world.pd.freeze()
        asked = world.cluster.count("GetRegion")
        world.cluster.split(b"m")
        assert await snapshot.get(b"z") == b"2"
        assert await snapshot.get(b"a") == b"1"
        assert world.cluster.count("GetRegion") == asked
        assert len(world.client.regions) == 2

    run(transport, body)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_pages_over_regions_splits_and_leader_moves(transport: str, reverse: bool) -> None:
    async def body(world: World) -> None:
        pairs = {b"k%04d" % i: b"v%d" % i for i in range(1000)}
        world.cluster.split(b"k0100", b"k0333")
        world.cluster.write_all(pairs)
        snapshot = await now(world)
        moves = iter(
            [
                lambda: world.cluster.split(b"k0050", b"k0600", b"k0888"),
                lambda: world.cluster.move_leader(b"k0600", 2),
                lambda: world.cluster.split(b"k0610", b"k0051"),
                lambda: world.cluster.move_leader(b"k0050", 3),
            ]
        )
        seen = []
        async for page in snapshot.pages(b"k0001", b"k0999", reverse=reverse):
            seen += page
            next(moves, lambda: None)()
        expected = sorted(pairs.items())[1:-1]
        assert seen == (expected[::-1] if reverse else expected)
        part = await snapshot.scan(b"k0040", limit=700, reverse=reverse)
        assert part == (sorted(pairs.items())[40:][::-1] if reverse else sorted(pairs.items())[40:])[:700]

    run(transport, body)


def test_scan_of_nothing_asks_nothing() -> None:
    async def body(world: World) -> None:
        snapshot = await now(world)
        assert await snapshot.scan(b"b", b"a") == []
        assert await snapshot.scan(b"b", b"b", reverse=True) == []
        assert await snapshot.scan(limit=0) == []
        assert world.cluster.count("KvScan") == 0

    run("local", body)


def test_key_only_scan_leaves_values_at_home(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(a=b"1", b=b"2")
        assert await (await now(world)).scan(key_only=True) == [(b"a", b""), (b"b", b"")]

    run(transport, body)


KEYS = st.binary(min_size=1, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs=st.dictionaries(KEYS, st.binary(max_size=3), min_size=1, max_size=40),
    splits=st.lists(st.tuples(st.integers(0, 6), KEYS), max_size=8),
    moves=st.lists(st.tuples(st.integers(0, 6), KEYS, st.integers(1, 3)), max_size=4),
    bounds=st.tuples(st.binary(max_size=2), st.binary(max_size=2)),
    limit=st.none() | st.integers(0, 30),
    reverse=st.booleans(),
    locked=st.lists(KEYS, max_size=3, unique=True),
)
def test_scan_equals_a_dict(
    pairs: dict[bytes, bytes],
    splits: list[tuple[int, bytes]],
    moves: list[tuple[int, bytes, int]],
    bounds: tuple[bytes, bytes],
    limit: int | None,
    reverse: bool,
    locked: list[bytes],
) -> None:
    """Splits and leader moves before the n-th RPC, and abandoned locks in the way, change nothing."""
    start, end = bounds
    expected = sorted(((k, v) for k, v in pairs.items() if start <= k and (not end or k < end)), reverse=reverse)

    async def body(world: World) -> None:
        cluster = world.cluster
        cluster.write_all(pairs)
        if locked:
            cluster.leave_locks(*locked, ttl_ms=0)
            cluster.time.advance(1)
        snapshot = await now(world)

        def disturb(method: str, request: Any) -> None:
            at = cluster.count("KvScan") - 1
            if method == "KvScan":
                for when, key in splits:
                    if when == at:
                        cluster.split(key)
                for when, key, store in moves:
                    if when == at:
                        cluster.move_leader(key, store)

        cluster.on_call = disturb
        assert await snapshot.scan(start, end, limit, reverse=reverse) == expected[:limit]

    run("local", body)


# --- locks ------------------------------------------------------------------------------------------------------------

LOCKED_READS: dict[str, Read] = {
    "get": lambda s: s.get(b"b"),
    "batch_get": lambda s: s.batch_get([b"a", b"b"]),
    "scan": lambda s: s.scan(b"a", b"c"),
    "reverse": lambda s: s.scan(b"a", b"c", reverse=True),
}


def values(result: Any) -> bytes | None:
    """What the read says of key b."""
    return result if isinstance(result, bytes | None) else dict(result).get(b"b")


@pytest.mark.parametrize("read", LOCKED_READS)
@pytest.mark.parametrize("txn_size", [3, 100_000])
def test_a_lock_whose_owner_has_committed_is_finished(transport: str, read: str, txn_size: int) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"aa")
        start_ts = world.cluster.leave_locks(b"a", b"b", ttl_ms=100_000, txn_size=txn_size)
        world.cluster.mvcc.commit([b"a"], start_ts, world.cluster.ts())
        assert values(await LOCKED_READS[read](await now(world))) == b"locked"
        assert not world.cluster.mvcc.locks

    run(transport, body)


@pytest.mark.parametrize("read", LOCKED_READS)
@pytest.mark.parametrize("fate", ["rolled back", "expired", "never arrived"])
def test_a_lock_whose_owner_has_failed_is_removed(transport: str, read: str, fate: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(b=b"old")
        start_ts = world.cluster.leave_locks(b"a", b"b", ttl_ms=100)
        if fate == "rolled back":
            world.cluster.mvcc.rollback([b"a"], start_ts)
        elif fate == "never arrived":
            del world.cluster.mvcc.locks[b"a"]  # waits until the lock at b has expired
        else:
            world.cluster.time.advance(0.2)
        assert values(await LOCKED_READS[read](await now(world))) == b"old"
        assert not world.cluster.mvcc.locks

    run(transport, body)


@pytest.mark.parametrize("read", LOCKED_READS)
def test_a_reader_pushes_a_living_writer_out_of_its_way(transport: str, read: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write(b=b"old")
        start_ts = world.cluster.leave_locks(b"b", ttl_ms=100_000, min_commit=True)
        snapshot = await now(world)
        before_s = world.cluster.time.clock.monotonic()
        assert values(await LOCKED_READS[read](snapshot)) == b"old"
        assert world.cluster.time.clock.monotonic() == before_s
        assert world.cluster.mvcc.locks[b"b"].min_commit_ts > snapshot.ts
        assert world.cluster.mvcc.locks[b"b"].start_ts == start_ts

    run(transport, body)


def test_a_reader_waits_for_a_living_writer_that_cannot_be_pushed(transport: str) -> None:
    async def body(world: World) -> None:
        start_ts = world.cluster.leave_locks(b"b", ttl_ms=100_000)

        def commit(method: str, request: Any) -> None:
            if world.cluster.count("KvGet") == 3 and b"b" in world.cluster.mvcc.locks:
                world.cluster.mvcc.commit([b"b"], start_ts, start_ts + 1)

        world.cluster.on_call = commit
        assert await (await now(world)).get(b"b") == b"locked"
        assert world.cluster.count("KvGet") == 3

    run(transport, body)


def test_a_reader_gives_up_with_the_lock_as_its_cause(transport: str) -> None:
    async def body(world: World) -> None:
        start_ts = world.cluster.leave_locks(b"b", ttl_ms=100_000)
        with pytest.raises(RetriesExhausted) as caught:
            await (await now(world)).get(b"b")
        assert isinstance(caught.value.cause, KeyIsLocked)
        assert caught.value.cause.lock.start_ts == start_ts

    run(transport, body, options=ClientOptions(read_budget_s=3.0))


def test_many_locks_of_one_transaction_cost_one_question(transport: str) -> None:
    async def body(world: World) -> None:
        keys = [b"k%02d" % i for i in range(30)]
        world.cluster.split(b"k10", b"k20")
        start_ts = world.cluster.leave_locks(*keys, txn_size=30)
        world.cluster.mvcc.commit(keys[:1], start_ts, world.cluster.ts())
        found = await (await now(world)).batch_get(keys)
        assert found == dict.fromkeys(keys, b"locked")
        assert world.cluster.count("KvCheckTxnStatus") <= 3  # regions are read in parallel
        assert world.cluster.count("KvResolveLock") == 3

    run(transport, body)


def test_locks_are_resolved_across_a_split(transport: str) -> None:
    async def body(world: World) -> None:
        start_ts = world.cluster.leave_locks(b"a", b"b", b"c", txn_size=3)
        world.cluster.mvcc.commit([b"a"], start_ts, world.cluster.ts())
        snapshot = await now(world)
        split = lambda request: world.cluster.split(b"c")  # noqa: E731 between the question and the resolution
        world.cluster.inject("KvResolveLock", split)
        assert dict(await snapshot.scan()) == {b"a": b"locked", b"b": b"locked", b"c": b"locked"}

    run(transport, body)


def test_pages_of_large_rows_are_short() -> None:
    async def body(world: World) -> None:
        pairs = {b"k%03d" % i: b"v" * 100_000 for i in range(400)}
        world.cluster.write_all(pairs)
        snapshot = await now(world)
        sizes = [len(page) async for page in snapshot.pages()]
        assert sum(sizes) == 400
        assert max(sizes[1:]) <= 42

    run("local", body)
