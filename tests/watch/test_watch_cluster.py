"""Watching transactions on three stores: leaders move and regions split, the stream goes on."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from lock_cluster import until
from watch_cluster import by_key, gathering, put, told, watched

from rutile_kv.client.bulk_load import CommittedRows
from rutile_kv.client.watch import Progress
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, WatchBelowSafePoint, WatchFellBehind, WatchHistoryGone
from rutile_proto.keys import storage_key

LONG = b"v" * 1000


def test_what_was_before_and_what_comes() -> None:
    async def main() -> None:
        async with watched(1) as (_, client):
            old = await put(client, {b"a": b"too old", b"b": b"1"})
            before = [
                *await put(client, {b"a": b"1", b"c": LONG}),
                *await put(client, {b"a": None}),
                *await put(client, {b"z": b"outside"}),
            ]
            async with gathering(client.watch(b"a", b"d", from_ts=old[0][2], progress=True)) as seen:
                after = [*await put(client, {b"a": b""}), *await put(client, {b"b": LONG, b"zz": b"outside"})]
                await seen.reaches(await client.timestamp())
                expected = [each for each in before + after if b"a" <= each[0] < b"d"]
                assert by_key(told(seen.changes)) == by_key(expected)
                assert {change.value for change in seen.changes} == {b"1", LONG, None, b""}

    asyncio.run(asyncio.wait_for(main(), 30))


def test_leaders_move_and_regions_split_under_a_stream_of_transactions() -> None:
    async def main() -> None:
        randomness = random.Random(7)
        async with watched(3) as (cluster, client):
            start_ts = await client.timestamp()
            committed: list[tuple[bytes, bytes | None, int]] = []

            async def write(worker: int) -> None:
                for number in range(25):
                    keys = randomness.sample([b"%c" % letter for letter in b"abcdefghij"], 3)
                    mine = {b"%b%d" % (key, worker): b"%d" % number for key in keys}
                    mine[keys[0]] = None if number % 7 == 0 else LONG[: 250 + randomness.randrange(12)]
                    try:
                        committed.extend(await put(client, mine))
                    except Exception as error:
                        if type(error).__name__ != "WriteConflict":
                            raise

            async with gathering(client.watch(b"", b"y", from_ts=start_ts, progress=True)) as seen:
                writers = [asyncio.ensure_future(write(worker)) for worker in range(3)]
                for key, node in zip((b"c", b"f", b"h"), (2, 1, 0), strict=True):
                    await cluster.lead(b"a", cluster.nodes[node])
                    await client.split_regions([key])
                    await cluster.lead(key, cluster.nodes[(node + 1) % 3])
                await asyncio.gather(*writers)
                await seen.reaches(await client.timestamp())
                expected = sorted(committed, key=lambda each: each[2])
                assert by_key(told(seen.changes)) == by_key(expected)
                _check_progress(seen.items)

    asyncio.run(asyncio.wait_for(main(), 30))


def _check_progress(items: list) -> None:
    """Progress rises, and nothing at or below it comes after it."""
    newest = 0
    for item in items:
        if isinstance(item, Progress):
            assert item.resolved_ts > newest
            newest = item.resolved_ts
        else:
            assert item.commit_ts > newest


def test_a_store_stops() -> None:
    async def main() -> None:
        async with watched(3) as (cluster, client):
            start_ts = await client.timestamp()
            async with gathering(client.watch(from_ts=start_ts, progress=True)) as seen:
                expected = await put(client, {b"a": b"1"})
                await seen.until(lambda each: len(each.changes) == 1)
                leader = cluster.leader(b"a")
                assert leader is not None
                await leader.stop()
                expected += await put(client, {b"a": b"2"})
                await seen.reaches(await client.timestamp())
                assert told(seen.changes) == expected

    asyncio.run(asyncio.wait_for(main(), 30))


def test_progress_waits_for_a_lock_and_the_lock_of_a_dead_owner_is_resolved() -> None:
    """Async commit: all keys are locked, so it is committed, though nobody writes the commit records. A reader would
    finish it, and so does a watcher."""

    async def main() -> None:
        async with watched(1) as (_, client):
            start_ts = await client.timestamp()
            async with gathering(client.watch(from_ts=start_ts, progress=True)) as seen:
                await seen.reaches(await client.timestamp())
                dead_ts = await client.timestamp()
                await _prewrite(client, dead_ts, {b"k1": b"left", b"k2": b"behind"}, ttl_ms=400)
                later = await put(client, {b"other": b"1"})
                await seen.until(lambda each: any(change.key == b"other" for change in each.changes))
                assert not [i for i in seen.items if isinstance(i, Progress) and i.resolved_ts > dead_ts]
                await seen.reaches(later[0][2])
                left = [change for change in seen.changes if change.start_ts == dead_ts]
                assert sorted((change.key, change.value) for change in left) == [(b"k1", b"left"), (b"k2", b"behind")]

    asyncio.run(asyncio.wait_for(main(), 30))


async def _prewrite(client, start_ts: int, values: dict[bytes, bytes], ttl_ms: int) -> None:
    backoff = client.cluster.write_backoff("prewrite")

    def request(region) -> kvrpcpb.PrewriteRequest:
        mutations = [kvrpcpb.Mutation(op=kvrpcpb.Put, key=key, value=values[key]) for key in sorted(values)]
        return kvrpcpb.PrewriteRequest(
            context=region.context(),
            mutations=mutations,
            primary_lock=min(values),
            start_version=start_ts,
            lock_ttl=ttl_ms,
            use_async_commit=True,
            secondaries=sorted(values)[1:],
            min_commit_ts=start_ts + 1,
        )

    answer = await client.cluster.router.call(min(values), "KvPrewrite", request, backoff)
    assert not answer.errors and answer.min_commit_ts


def test_a_slow_reader_is_ended_and_told_where_to_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr("rutile_kv.client.watch.AHEAD", 1)
        async with watched(1, watch_queue_bytes=8_000) as (cluster, client):
            start_ts = await client.timestamp()
            expected = await put(client, {b"k": b"0"})
            async with aclosing(client.watch(from_ts=start_ts, progress=True)) as items:
                got = [await anext(items)]
                while not isinstance(got[-1], Progress):
                    got.append(await anext(items))
                for number in range(1, 80):  # nobody reads
                    expected += await put(client, {b"k": b"%03d" % number * 100})
                with pytest.raises(WatchFellBehind) as ended:  # after what the client had fetched
                    while True:
                        got.append(await anext(items))
            resume_ts = ended.value.resume_ts
            assert resume_ts >= start_ts
            assert resume_ts == max(each.resolved_ts for each in got if isinstance(each, Progress))
            async with gathering(client.watch(from_ts=resume_ts, progress=True)) as seen:
                await seen.reaches(await client.timestamp())
                again = told(seen.changes)
            first = told([each for each in got if not isinstance(each, Progress)])
            assert [each for each in first if each[2] <= resume_ts] + again == expected
            await until(lambda: _watchers(cluster) == 0)

    asyncio.run(asyncio.wait_for(main(), 30))


def _watchers(cluster) -> int:
    return sum(len(node.servicer.watching.watches.core) for node in cluster.nodes)


def test_closing_releases_everything() -> None:
    async def main() -> None:
        async with watched(3) as (cluster, client):
            await client.split_regions([b"c", b"g"])
            watch = client.watch(progress=True)
            while not isinstance(await anext(watch), Progress):
                pass
            await until(lambda: _watchers(cluster) == 3)
            assert any(task.get_name().startswith("watch from") for task in asyncio.all_tasks())
            await watch.aclose()
            assert _watchers(cluster) == 0
            async with gathering(client.watch(progress=True)) as seen:
                await seen.until(lambda each: each.items)
            assert _watchers(cluster) == 0
            assert [task for task in asyncio.all_tasks() if task.get_name().startswith("watch from")] == []

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_bulk_load_ends_the_watch_of_its_range() -> None:
    async def main() -> None:
        async with watched(1) as (_, client):
            ts = await client.timestamp()
            keys = [storage_key(b"k%06d" % number) for number in range(10_000)]
            rows = CommittedRows.of(keys, [bytes(150)] * len(keys), ts, ts + 1)
            watch = client.watch(b"k", b"l", progress=True)
            while not isinstance(await anext(watch), Progress):
                pass
            await client.bulk_load(rows)
            with pytest.raises(WatchHistoryGone):
                while True:
                    await anext(watch)
            async with gathering(client.watch(b"k", b"l", progress=True)) as again:
                await put(client, {b"k": b"1"})
                await again.until(lambda seen: told(seen.changes))

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_is_refused() -> None:
    async def main() -> None:
        async with watched(1) as (cluster, client):
            old_ts = await client.timestamp()
            await client.pd.update_gc_safe_point(await client.timestamp())
            with pytest.raises(WatchBelowSafePoint) as refused:
                await anext(client.watch(from_ts=old_ts))
            assert refused.value.from_ts == old_ts and refused.value.safe_point > old_ts
            with pytest.raises(InvalidRequest):
                await anext(client.watch(b"b", b"a"))
            with pytest.raises(InvalidRequest):
                await anext(client.watch(from_ts=0))
            with pytest.raises(InvalidRequest):
                await anext(client.raw.watch(resume=b"nonsense"))
            with pytest.raises(InvalidRequest):
                await anext(client.raw.with_cf("no such family").watch())
            await _refused_on_the_wire(cluster, client)
            assert _watchers(cluster) == 0

    asyncio.run(asyncio.wait_for(main(), 30))


async def _refused_on_the_wire(cluster, client) -> None:
    backoff = client.cluster.read_backoff("test")
    region = await client.regions.locate(storage_key(b"a"), backoff)
    stub = next(iter(cluster.stubs.values()))
    follower = region.context()
    follower.replica_read = True
    for request in (
        rutilepb.WatchRequest(context=region.context()),
        rutilepb.WatchRequest(context=follower, transactional=rutilepb.WatchTransactional(from_ts=1)),
    ):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            await anext(stub.Watch(request))
    stale = region.context()
    stale.region_epoch.version += 1
    request = rutilepb.WatchRequest(context=stale, transactional=rutilepb.WatchTransactional(from_ts=1 << 60))
    assert (await anext(stub.Watch(request))).region_error.HasField("epoch_not_match")
