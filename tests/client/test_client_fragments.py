"""Fragments on their way: which stores run them, and what happens when a store cannot."""

import asyncio
from typing import Any

import grpc
import pyarrow as pa
import pytest
from client_fakes import DROP, World, run, until

from rutile_kv.client import coprocessor as client_coprocessor
from rutile_kv.client.client import WholeNotPossible
from rutile_kv.client.fragment_plan import plan
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import FragmentCancelled, FragmentFailed, FragmentRefused, InvalidRequest

FRAGMENT = rutilepb.Fragment(sql='select * from "t"', scans=[rutilepb.FragmentScan(name="t")], rowwise=True)
ALL = {"t": [(b"k", b"l")]}
PAIRS = {b"k%02d" % i: b"v%d" % i for i in range(30)}


def rows(batches: Any) -> list[tuple[bytes, bytes]]:
    return [(row["k"], row["v"]) for row in pa.Table.from_batches(batches).to_pylist()]


def fill(world: World) -> None:
    """30 rows in three regions led by three stores."""
    world.cluster.split(b"k10", b"k20")
    world.cluster.move_leader(b"k10", 2)
    world.cluster.move_leader(b"k20", 3)
    world.cluster.write_all(PAIRS)


def requests(world: World) -> list[coprocessor.BatchRequest]:
    return [request for method, request in world.cluster.calls if method == "BatchCoprocessor"]


def test_per_store_asks_each_leader_once(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        world.cluster.split(b"k15")
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), "per_store", 5.0)
        assert sorted(rows(result.batches)) == sorted(PAIRS.items())
        assert sorted(s.store_id for s in result.summaries) == [1, 2, 3]
        sent = requests(world)
        assert len(sent) == 3
        assert sorted(len(request.regions) for request in sent) == [1, 1, 2]
        assert rutilepb.Fragment.FromString(sent[0].data).scans[0].ranges[0].end == b"l"
        assert not sent[0].context.replica_read

    run(transport, body)


def test_whole_asks_the_store_with_most_leaders(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        world.cluster.move_leader(b"k00", 3)
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), "whole", 5.0)
        assert rows(result.batches) == sorted(PAIRS.items())
        [summary] = result.summaries
        assert summary.store_id == 3
        assert requests(world)[0].context.replica_read

    run(transport, body)


def test_ranges_are_cut_at_region_borders() -> None:
    async def body(world: World) -> None:
        fill(world)
        ranges = {"t": [(b"k05", b"k08"), (b"k07", b"k12"), (b"k25", b""), (b"z", b"a")]}
        result = await world.client.run_fragment(FRAGMENT, ranges, await world.client.timestamp(), "whole", 5.0)
        expected = [(k, v) for k, v in PAIRS.items() if b"k05" <= k < b"k12" or k >= b"k25"]
        assert rows(result.batches) == expected
        cut = [[(r.start, r.end) for r in info.ranges] for info in requests(world)[0].regions]
        assert cut == [[(b"k05", b"k10")], [(b"k10", b"k12")], [(b"k25", b"")]]

    run("local", body)


def test_nothing_to_read_still_runs_once(transport: str) -> None:
    async def body(world: World) -> None:
        for mode in ("whole", "per_store"):
            result = await world.client.run_fragment(FRAGMENT, {"t": []}, 5, mode, 5.0)  # type: ignore[arg-type]
            assert rows(result.batches) == []
            assert result.schema.names == ["k", "v"]

    run(transport, body)


def test_whole_is_not_possible_without_a_common_store() -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        for key, store in ((b"a", 1), (b"z", 2)):
            region = world.cluster.region_at(b"" if key == b"a" else b"\xff")
            region.leader_store = store
            kept = [peer for peer in region.meta.peers if peer.store_id == store]
            del region.meta.peers[:]
            region.meta.peers.extend(kept)
        with pytest.raises(WholeNotPossible):
            await world.client.run_fragment(FRAGMENT, {"t": [(b"", b"")]}, 5, "whole", 5.0)
        result = await world.client.run_fragment(FRAGMENT, {"t": [(b"", b"")]}, 5, "per_store", 5.0)
        assert len(result.summaries) == 2

    run("local", body)


def test_ranges_must_name_the_scans() -> None:
    async def body(world: World) -> None:
        with pytest.raises(InvalidRequest, match="other"):
            await world.client.run_fragment(FRAGMENT, {"other": []}, 5, "whole", 5.0)
        with pytest.raises(InvalidRequest, match="rowwise"):
            await anext(aiter(world.client.scan_rows(rutilepb.Fragment(), {}, 5)))

    run("local", body)


@pytest.mark.parametrize("mode", ["whole", "per_store"])
def test_splits_and_leader_moves_repeat_only_what_failed(transport: str, mode: Any) -> None:
    async def body(world: World) -> None:
        fill(world)
        await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)
        world.cluster.split(b"k15")
        world.cluster.move_leader(b"k20", 1)
        before = len(requests(world))
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)
        assert sorted(rows(result.batches)) == sorted(PAIRS.items())
        assert len(requests(world)) - before == (2 if mode == "whole" else 5)

    run(transport, body)


@pytest.mark.parametrize("mode", ["whole", "per_store"])
def test_a_store_that_is_gone_is_replaced(transport: str, mode: Any) -> None:
    async def body(world: World) -> None:
        fill(world)
        await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)
        world.cluster.down.add(1)
        world.cluster.move_leader(b"k00", 2)
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)
        assert sorted(rows(result.batches)) == sorted(PAIRS.items())
        assert 1 not in [summary.store_id for summary in result.summaries]

    run(transport, body)


@pytest.mark.parametrize("mode", ["whole", "per_store"])
def test_locks_are_resolved_and_the_request_repeated(transport: str, mode: Any) -> None:
    async def body(world: World) -> None:
        fill(world)
        committed = world.cluster.leave_locks(b"k05", b"k15")
        world.cluster.mvcc.commit([b"k05"], committed, world.cluster.ts())
        world.cluster.leave_locks(b"k16", ttl_ms=100_000, min_commit=True)
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)
        expected = {**PAIRS, b"k05": b"locked", b"k15": b"locked"}
        assert sorted(rows(result.batches)) == sorted(expected.items())
        assert list(world.cluster.mvcc.locks) == [b"k16"]

    run(transport, body)


def page(*pairs: tuple[bytes, bytes], big: bool = False) -> coprocessor.BatchResponse:
    value = b"x" * (5 << 20) if big else b""
    batch = pa.record_batch([[k for k, _ in pairs], [v + value for _, v in pairs]], names=["k", "v"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = rutilepb.FragmentPage(arrow_ipc=sink.getvalue().to_pybytes()).SerializeToString()
    return coprocessor.BatchResponse(data=data)


def test_a_stream_that_breaks_early_is_repeated(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write_all(PAIRS)
        world.cluster.inject("BatchCoprocessor", lambda request: [page((b"half", b"")), RuntimeError()])
        ts = await world.client.timestamp()
        async with await world.client.stream_fragment(FRAGMENT, ALL, ts, "whole", 5.0) as stream:
            assert rows([batch async for batch in stream]) == sorted(PAIRS.items())
        assert len(stream.summaries) == 1

    run(transport, body)


def asked(world: World) -> list[int]:
    """The stores, in turn."""
    return [request.context.peer.store_id for request in requests(world)]


def broken(request: coprocessor.BatchRequest) -> list[Any]:
    return [RuntimeError()]


def without_leader(request: coprocessor.BatchRequest) -> list[Any]:
    region = request.regions[0]
    return [coprocessor.BatchResponse(retry_regions=[metapb.Region(id=region.region_id)])]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([broken], [2, 2, 2]),
        ([broken, broken], [2, 2, 2, 2]),
        ([without_leader, broken, without_leader], [2, 2, 2, 2, 2]),
    ],
)
def test_the_store_that_has_the_mirror_gets_time_to_come_back(
    transport: str, faults: list[Any], expected: list[int]
) -> None:
    async def body(world: World) -> None:
        fill(world)
        world.cluster.move_leader(b"k00", 2)
        ts = await world.client.timestamp()
        await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 20.0)
        world.cluster.inject("BatchCoprocessor", *faults)
        result = await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 20.0)
        assert rows(result.batches) == sorted(PAIRS.items())
        assert asked(world) == expected

    run(transport, body)


@pytest.mark.parametrize("fault", [broken, without_leader])
def test_a_store_that_cannot_serve_for_long_is_passed_by(
    transport: str, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    monkeypatch.setattr(client_coprocessor, "COMEBACK_MS", 0)

    async def body(world: World) -> None:
        fill(world)
        world.cluster.move_leader(b"k00", 2)
        ts = await world.client.timestamp()
        await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 20.0)
        world.cluster.inject("BatchCoprocessor", fault)
        await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 20.0)
        assert asked(world) == [2, 2, 3]

    run(transport, body)


def test_a_stream_that_breaks_after_rows_were_handed_on_fails(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.write_all(PAIRS)
        broken = [page((b"half", b""), big=True), RuntimeError()]
        world.cluster.inject("BatchCoprocessor", lambda request: broken, lambda request: broken)
        ts = await world.client.timestamp()
        with pytest.raises(FragmentFailed, match="run it again"):
            async with await world.client.stream_fragment(FRAGMENT, ALL, ts, "whole", 5.0) as stream:
                async for _ in stream:
                    pass
        result = await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 5.0)  # complete or not at all: repeated
        assert rows(result.batches) == sorted(PAIRS.items())

    run(transport, body)


@pytest.mark.parametrize("mode", ["whole", "per_store"])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("FragmentRefused: function read_csv", FragmentRefused),
        ("FragmentFailed: overflow", FragmentFailed),
        ("FragmentCancelled: deadline", FragmentCancelled),
        ("UnsupportedKind: tp 103", FragmentFailed),
    ],
)
def test_errors_of_the_stores_keep_their_class(transport: str, mode: Any, text: str, kind: type[Exception]) -> None:
    async def body(world: World) -> None:
        fill(world)
        world.cluster.inject("BatchCoprocessor", lambda request: [coprocessor.BatchResponse(other_error=text)])
        with pytest.raises(kind, match=text.split()[-1]):
            await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), mode, 5.0)

    run(transport, body)


def test_a_busy_store_is_asked_again(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        busy = [coprocessor.BatchResponse(other_error="ServerIsBusy: full")]
        world.cluster.inject("BatchCoprocessor", lambda request: busy)
        result = await world.client.run_fragment(FRAGMENT, ALL, await world.client.timestamp(), "whole", 5.0)
        assert rows(result.batches) == sorted(PAIRS.items())

    run(transport, body)


def test_the_deadline_cancels(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        ts = await world.client.timestamp()
        world.cluster.inject("BatchCoprocessor", grpc.StatusCode.DEADLINE_EXCEEDED)
        with pytest.raises(FragmentCancelled, match="time is up"):
            await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 5.0)
        world.cluster.inject("BatchCoprocessor", *[DROP] * 1000)
        with pytest.raises(FragmentCancelled, match="time is up"):
            await world.client.run_fragment(FRAGMENT, ALL, ts, "whole", 5.0)

    run(transport, body)


@pytest.mark.parametrize("mode", ["whole", "per_store"])
def test_leaving_early_cancels_the_stores(transport: str, mode: Any) -> None:
    async def body(world: World) -> None:
        fill(world)

        def endless(request: Any) -> Any:
            return [page((b"k", b""), big=True), asyncio.get_running_loop().create_future()]

        world.cluster.inject("BatchCoprocessor", endless, endless, endless)
        ts = await world.client.timestamp()
        async with await world.client.stream_fragment(FRAGMENT, ALL, ts, mode, 60.0) as stream:
            assert len(await anext(aiter(stream))) == 1
            assert world.cluster.open_streams > 0
        await until(lambda: world.cluster.open_streams == 0)

    run(transport, body)


def test_a_slow_consumer_holds_the_stores_back() -> None:
    async def body(world: World) -> None:
        fill(world)
        sent: list[int] = []

        class Pages(list[Any]):
            def __iter__(self) -> Any:
                for n in range(100):
                    sent.append(n)
                    yield page((b"k", b""), big=True)

        world.cluster.inject("BatchCoprocessor", *[lambda request: Pages()] * 3)
        ts = await world.client.timestamp()
        async with await world.client.stream_fragment(FRAGMENT, ALL, ts, "per_store", 60.0) as stream:
            await anext(aiter(stream))
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(sent) < 20

    run("local", body)


def test_scan_rows_pages_in_key_order_over_everything(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        committed = world.cluster.leave_locks(b"k05", b"k15")
        world.cluster.mvcc.commit([b"k05"], committed, world.cluster.ts())
        ts = await world.client.timestamp()
        moves = iter([lambda: world.cluster.split(b"k07"), lambda: world.cluster.move_leader(b"k12", 1)])
        seen = []
        async for batch in world.client.scan_rows(FRAGMENT, {"t": [(b"k02", b"k18"), (b"k25", b"")]}, ts, 4):
            assert batch.num_rows <= 4
            seen += rows([batch])
            next(moves, lambda: None)()
        expected = {**PAIRS, b"k05": b"locked", b"k15": b"locked"}
        assert seen == [(k, v) for k, v in expected.items() if b"k02" <= k < b"k18" or k >= b"k25"]

    run(transport, body)


def test_the_plan_avoids_stores_that_have_just_failed() -> None:
    async def body(world: World) -> None:
        fill(world)
        backoff = world.client.cluster.read_backoff("test")
        [task] = await plan(world.client.cluster, ALL["t"], "whole", backoff, avoid=[1])
        assert task.store_id == 2
        [task] = await plan(world.client.cluster, ALL["t"], "whole", backoff, avoid=[1, 2, 3])
        assert task.store_id == 1

    run("local", body)


def test_mirrors_are_warmed_on_every_replica_and_a_store_that_is_down_is_left_alone(transport: str) -> None:
    async def body(world: World) -> None:
        fill(world)
        await world.client.warm_mirrors(FRAGMENT, ALL, await world.client.timestamp(), 5.0)
        assert reads(world) == {(store, region) for store in (1, 2, 3) for region in world.cluster.regions}
        assert all(request.context.replica_read for request in requests(world))
        world.cluster.calls.clear()
        world.cluster.down.add(2)
        await world.client.warm_mirrors(FRAGMENT, ALL, await world.client.timestamp(), 5.0)
        assert reads(world) >= {(store, region) for store in (1, 3) for region in world.cluster.regions}

    def reads(world: World) -> set[tuple[int, int]]:
        return {(sent.context.peer.store_id, info.region_id) for sent in requests(world) for info in sent.regions}

    run(transport, body)
