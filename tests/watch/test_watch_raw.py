"""Watching raw data on three stores: every change once, in the order of the log."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from lock_cluster import until
from watch_cluster import gathering, watched

from rutile_kv.client.watch_raw import RawChange, RawProgress
from rutile_proto.errors import WatchHistoryGone

END = b"\xff" * 8
"""Written last: who has seen it has seen everything of its region."""


def changes(items: list[Any]) -> list[tuple[bytes, bytes | None]]:
    return [(item.key, item.value) for item in items if isinstance(item, RawChange) and not item.is_state]


def state(items: list[Any]) -> dict[bytes, bytes | None]:
    return {item.key: item.value for item in items if isinstance(item, RawChange) and item.is_state}


def by_key(found: list[tuple[bytes, bytes | None]]) -> dict[bytes, list[bytes | None]]:
    result: dict[bytes, list[bytes | None]] = {}
    for key, value in found:
        result.setdefault(key, []).append(value)
    return result


def test_the_state_and_then_changes() -> None:
    async def main() -> None:
        async with watched(1) as (_, client):
            raw = client.raw
            await raw.batch_put({b"a%04d" % number: b"v" for number in range(3000)})
            await raw.put(b"b", b"elsewhere")
            await raw.with_cf("lock").put(b"a", b"another family")
            async with gathering(raw.watch(b"a", b"b", with_state=True, progress=True)) as seen:
                await seen.until(lambda each: len(state(each.items)) == 3000)
                await raw.put(b"a0000", b"new", ttl_s=500)
                await raw.delete(b"a0001")
                await raw.put(b"b", b"elsewhere")
                await raw.with_cf("lock").put(b"a", b"another family")
                assert await raw.compare_and_swap(b"a0002", b"v", b"swapped") == (True, b"v")
                await raw.delete_range(b"a0003", b"a0005")
                expected = [(b"a0000", b"new"), (b"a0001", None), (b"a0002", b"swapped")]
                expected += [(b"a0003", None), (b"a0004", None)]
                await seen.until(lambda each: len(changes(each.items)) >= len(expected))
                assert changes(seen.items) == expected
                put = next(item for item in seen.items if isinstance(item, RawChange) and item.value == b"new")
                assert put.expires_at_s > 0

    asyncio.run(asyncio.wait_for(main(), 30))


def test_leaders_move_and_regions_split_under_a_stream_of_writes() -> None:
    async def main() -> None:
        async with watched(3) as (cluster, client):
            raw, randomness = client.raw, random.Random(11)
            written: list[tuple[bytes, bytes | None]] = []

            async def write(worker: int) -> None:
                for number in range(80):
                    key = randomness.choice([b"bbbbbbbb", b"eeeeeeee", b"gggggggg", b"kkkkkkkk"]) + b"%d" % worker
                    value = None if number % 11 == 0 else b"%d" % number
                    await (raw.delete(key) if value is None else raw.put(key, value))
                    written.append((key, value))

            async with gathering(raw.watch(progress=True)) as seen:
                await seen.until(lambda each: each.items)
                writers = [asyncio.ensure_future(write(worker)) for worker in range(3)]
                for key, node in zip((b"cccccccc", b"ffffffff", b"hhhhhhhh"), (2, 1, 0), strict=True):
                    await cluster.lead(b"a", cluster.nodes[node])
                    await client.split_regions([key])
                    await cluster.lead(key, cluster.nodes[(node + 1) % 3])
                await asyncio.gather(*writers)
                await seen.until(lambda each: len(changes(each.items)) >= len(written))
                await _settled(seen)
                assert by_key(changes(seen.items)) == by_key(written)

    asyncio.run(asyncio.wait_for(main(), 60))


async def _settled(seen: Any) -> None:
    """A few more rounds of progress: whatever would come twice would have come."""
    count = len([item for item in seen.items if isinstance(item, RawProgress)])
    await seen.until(lambda each: len([item for item in each.items if isinstance(item, RawProgress)]) >= count + 8)


def test_a_token_is_where_to_go_on() -> None:
    async def main() -> None:
        async with watched(3) as (cluster, client):
            raw = client.raw
            await client.split_regions([b"mmmmmmmm"])
            async with gathering(raw.watch(progress=True)) as seen:
                await seen.until(lambda each: each.items)
                await raw.put(b"a", b"1")
                await raw.put(b"z", b"1")
                await seen.until(lambda each: len(changes(each.items)) == 2)
                await seen.until(lambda each: isinstance(each.items[-1], RawProgress))
                token = seen.items[-1].token
            await raw.put(b"a", b"2")
            await client.split_regions([b"eeeeeeee", b"tttttttt"])
            await raw.put(b"a", b"3")
            await raw.put(b"h", b"1")
            await raw.delete(b"z")
            await cluster.lead(b"a", next(node for node in cluster.nodes if node is not cluster.leader(b"a")))
            async with gathering(raw.watch(resume=token, progress=True)) as seen:
                await seen.until(lambda each: len(changes(each.items)) >= 4)
                await _settled(seen)
                assert by_key(changes(seen.items)) == {b"a": [b"2", b"3"], b"h": [b"1"], b"z": [None]}

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_log_that_was_cut_is_told() -> None:
    async def main() -> None:
        async with watched(1) as (cluster, client):
            async with gathering(client.raw.watch(progress=True)) as seen:
                await seen.until(lambda each: each.items)
                token = seen.items[-1].token
            store = cluster.nodes[0].driver.store
            for number in range(700):
                await client.raw.put(b"k", b"%d" % number)
            await until(lambda: store.region_infos()[0].truncated_index > 100)
            with pytest.raises(WatchHistoryGone):
                await anext(client.raw.watch(resume=token))

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_state_cut_off_half_way_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was received goes on from the log, the rest is read again."""

    async def main() -> None:
        monkeypatch.setattr("rutile_kv.server.watch_raw.ROWS_AT_ONCE", 10)
        async with watched(3) as (cluster, client):
            raw = client.raw
            await raw.batch_put({b"%08d" % number: b"old" for number in range(2000)})
            items: list[Any] = []
            watch = raw.watch(with_state=True, progress=True)
            while len(items) < 100:
                items.append(await anext(watch))
            await raw.delete(b"%08d" % 0)
            await raw.put(b"%08d" % 1999, b"new")
            await cluster.lead(b"", next(node for node in cluster.nodes if node is not cluster.leader(b"")))
            await raw.delete(b"%08d" % 1)
            async with gathering(watch) as seen:
                seen.items[:0] = items
                await seen.until(lambda each: len(changes(each.items)) >= 2 and b"%08d" % 1999 in state(each.items))
                await _settled(seen)
                kept = state(seen.items)
                for key, value in changes(seen.items):
                    kept[key] = value
                assert {key: value for key, value in kept.items() if value is not None} == dict(await raw.scan())

    asyncio.run(asyncio.wait_for(main(), 30))
