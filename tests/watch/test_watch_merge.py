"""Watching three stores while regions split and merge: every change once, in the order of each key."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest
from watch_cluster import by_key, gathering, put, told, watched

from rutile_kv.client.watch_raw import RawChange, RawProgress
from rutile_proto.errors import WatchHistoryGone

CUTS = (b"dddddddd", b"hhhhhhhh")


async def come_and_go(cluster, client, rounds: int) -> None:
    """Split and merge again, with leaders on different stores."""
    for number in range(rounds):
        await client.split_regions(list(CUTS))
        for at, key in enumerate((b"", *CUTS)):
            await cluster.lead(key, cluster.nodes[(number + at) % 3])
        for _ in CUTS:
            await cluster.merge(b"")


def test_transactions_over_splits_and_merges() -> None:
    async def main() -> None:
        randomness = random.Random(3)
        async with watched(3) as (cluster, client):
            start_ts = await client.timestamp()
            committed: list[tuple[bytes, bytes | None, int]] = []
            stopped = False

            async def write(worker: int) -> None:
                number = 0
                while not stopped:
                    number += 1
                    keys = randomness.sample([b"%c%d" % (letter, worker) for letter in b"abcdefghijkl"], 3)
                    mine = dict.fromkeys(keys, None if number % 7 == 0 else b"%d" % number)
                    committed.extend(await put(client, mine))

            async with gathering(client.watch(b"", b"y", from_ts=start_ts, progress=True)) as seen:
                writers = [asyncio.ensure_future(write(worker)) for worker in range(3)]
                await come_and_go(cluster, client, 2)
                stopped = True
                await asyncio.gather(*writers)
                await seen.reaches(await client.timestamp())
                assert by_key(told(seen.changes)) == by_key(sorted(committed, key=lambda each: each[2]))

    asyncio.run(asyncio.wait_for(main(), 60))


def test_raw_writes_over_splits_and_merges() -> None:
    """A watch that is connected all the while sees all; one that was not when a region merged is told so (on a slow
    machine that happens), and what it was given until then is right."""
    assert any(asyncio.run(asyncio.wait_for(_raw_watch_sees_all(), 60)) for _ in range(3))


async def _raw_watch_sees_all() -> bool:
    async with watched(3) as (cluster, client):
        written: list[tuple[bytes, bytes]] = []
        stopped = False

        async def write(worker: int) -> None:
            number = 0
            while not stopped:
                number += 1
                key, value = b"%c%d" % (b"abcdefghijkl"[number % 12], worker), b"%d" % number
                await client.raw.put(key, value)
                written.append((key, value))

        async with gathering(client.raw.watch(progress=True)) as seen:
            await seen.until(lambda each: each.items)
            writers = [asyncio.ensure_future(write(worker)) for worker in range(3)]
            await come_and_go(cluster, client, 2)
            stopped = True
            await asyncio.gather(*writers)
            with suppress(WatchHistoryGone):
                await seen.until(lambda each: len(_changes(each.items)) >= len(written))
        given, wanted = _by_key(_changes(seen.items)), _by_key(written)
        assert all(values == wanted[key][: len(values)] for key, values in given.items())
        return given == wanted


def test_who_was_away_while_its_region_merged_is_told() -> None:
    async def main() -> None:
        async with watched(3) as (cluster, client):
            await client.split_regions([CUTS[0]])
            async with gathering(client.raw.watch(start=b"a", end=b"b", progress=True)) as seen:
                await seen.until(lambda each: each.items)
                token = next(item for item in seen.items if isinstance(item, RawProgress)).token
            await client.raw.put(b"a", b"unseen")
            await cluster.merge(b"")
            with pytest.raises(WatchHistoryGone):
                await anext(client.raw.watch(resume=token))

    asyncio.run(asyncio.wait_for(main(), 30))


def _changes(items: list) -> list[tuple[bytes, bytes | None]]:
    return [(item.key, item.value) for item in items if isinstance(item, RawChange)]


def _by_key(changes: list) -> dict[bytes, list[bytes | None]]:
    found: dict[bytes, list[bytes | None]] = {}
    for key, value in changes:
        found.setdefault(key, []).append(value)
    return found
