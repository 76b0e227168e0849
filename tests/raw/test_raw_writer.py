"""Raw writes over a store without Raft whose log takes its time: who looks, looks at the newest."""

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutile_kv.engine.api import CF_RAW, CF_RAW_LOCK, CF_WRITE, Cf, Modify
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raw.commands import CompareAndSwap, RemoveExpired, Swapped
from rutile_kv.raw.reader import RawReader
from rutile_kv.raw.sweep import find_expired
from rutile_kv.raw.values import encode_value
from rutile_kv.raw.writer import DELETE_BATCH_KEYS, RawWriter
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import NotLeader

NOW = 1_700_000_000
CONTEXT = kvrpcpb.Context(region_id=1)


class SlowLog:
    """RegionKv: writes take effect in the order they came, some turns of the loop later. `applied` is that order."""

    def __init__(self, seed: int = 1) -> None:
        self.engine = MemoryEngine()
        self.applied: list[Modify] = []
        self.views = 0
        self.failing = False
        self._random = random.Random(seed)
        self._order = asyncio.Lock()

    async def read_view(self, context: kvrpcpb.Context) -> MemoryEngine:
        self.views += 1
        await self._pause()
        return self.engine

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        if self.failing:
            raise NotLeader(1)
        async with self._order:
            await self._pause()
            batch = self.engine.batch()
            for cf, key, value in modifies:
                if value is None:
                    batch.delete(cf, key)
                else:
                    batch.put(cf, key, value)
            self.engine.write(batch)
            self.applied += modifies
        await self._pause()

    async def _pause(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


def swap(key: bytes, expected: bytes | None, value: bytes | None, now_s: int = NOW, cf: Cf = CF_RAW) -> CompareAndSwap:
    return CompareAndSwap(cf, key, expected, value, 0, now_s)


@pytest.mark.parametrize("before", [None, b"", b"old", b"expired"])
@pytest.mark.parametrize("expected", [None, b"", b"old"])
@pytest.mark.parametrize("value", [None, b"", b"new"])
def test_compare_and_swap(before: bytes | None, expected: bytes | None, value: bytes | None) -> None:
    engine = MemoryEngine()
    if before is not None:
        batch = engine.batch()
        batch.put(CF_RAW, b"k", encode_value(before, NOW if before == b"expired" else 0))
        engine.write(batch)
    outcome = swap(b"k", expected, value).process(engine)
    found = None if before == b"expired" else before
    assert outcome.result == Swapped(found == expected, found)
    if found != expected or (found is None and value is None):
        assert outcome.modifies == []
    else:
        assert outcome.modifies == [(CF_RAW, b"k", None if value is None else encode_value(value))]


def test_counters_lose_no_increment() -> None:
    """Twenty tasks increment one key by compare-and-swap, and as many another."""

    async def scenario() -> None:
        log = SlowLog()
        writer = RawWriter(log)

        async def increment(key: bytes) -> None:
            expected = None
            while True:
                wanted = str(int(expected or b"0") + 1).encode()
                swapped = await writer.execute(CONTEXT, swap(key, expected, wanted))
                if swapped.succeeded:
                    return
                expected = swapped.previous

        await asyncio.gather(*(increment(key) for _ in range(20) for key in (b"a", b"b")))
        assert [RawReader(log.engine, CF_RAW, NOW).get(key) for key in (b"a", b"b")] == [b"20", b"20"]

    asyncio.run(scenario())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_swap_that_succeeds_follows_the_value_it_expected(seed: int) -> None:
    """Plain puts and deletes of the same key run side by side with swaps; the log tells whether a swap lied."""

    async def scenario() -> None:
        dice = random.Random(seed)
        log = SlowLog(seed)
        writer = RawWriter(log)
        outcomes: list[tuple[bytes | None, bytes]] = []

        async def act(number: int) -> None:
            for _ in range(dice.randrange(6)):
                await asyncio.sleep(0)
            value = b"%d" % number
            match dice.randrange(4):
                case 0:
                    await writer.write(CONTEXT, [(CF_RAW, b"k", encode_value(value))])
                case 1:
                    await writer.delete_range(CONTEXT, CF_RAW, b"", b"")
                case _:
                    seen = RawReader(log.engine, CF_RAW, NOW).get(b"k")
                    swapped = await writer.execute(CONTEXT, swap(b"k", seen, value))
                    if swapped.succeeded:
                        outcomes.append((seen, value))

        await asyncio.gather(*(act(number) for number in range(24)))
        history = [None, *(None if value is None else value[:-1] for _, _, value in log.applied)]
        steps = list(pairwise(history))
        assert all(outcome in steps for outcome in outcomes)

    asyncio.run(scenario())


def test_puts_do_not_wait_for_each_other() -> None:
    async def scenario() -> None:
        log = SlowLog()
        writer = RawWriter(log)
        await log._order.acquire()
        puts = [asyncio.ensure_future(writer.write(CONTEXT, [(CF_RAW, b"k", b"\0")])) for _ in range(3)]
        look = asyncio.ensure_future(writer.execute(CONTEXT, swap(b"k", b"", b"new")))
        for _ in range(10):
            await asyncio.sleep(0)
        assert log.views == 0
        log._order.release()
        assert (await look).succeeded
        await asyncio.gather(*puts)
        assert len(log.applied) == 4

    asyncio.run(scenario())


def test_a_caller_that_goes_away_leaves_no_latch_behind() -> None:
    async def scenario() -> None:
        log = SlowLog()
        writer = RawWriter(log)
        await log._order.acquire()
        gone = asyncio.ensure_future(writer.execute(CONTEXT, swap(b"k", None, b"1")))
        for _ in range(10):
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        log._order.release()
        assert await writer.execute(CONTEXT, swap(b"k", b"1", b"2")) == Swapped(True, b"1")
        log.failing = True
        with pytest.raises(NotLeader):
            await writer.execute(CONTEXT, swap(b"k", b"2", b"3"))
        log.failing = False
        assert await writer.execute(CONTEXT, swap(b"k", b"2", b"3")) == Swapped(True, b"2")
        await writer.close()

    asyncio.run(scenario())


def test_closing_ends_what_is_under_way() -> None:
    async def scenario() -> None:
        log = SlowLog()
        writer = RawWriter(log)
        await log._order.acquire()
        running = [asyncio.ensure_future(writer.execute(CONTEXT, swap(b"k", None, b"1"))) for _ in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        await writer.close()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*running, return_exceptions=True)
        )

    asyncio.run(scenario())


def test_a_range_is_deleted_in_batches_and_only_it() -> None:
    async def scenario() -> None:
        log = SlowLog()
        writer = RawWriter(log)
        count = 2 * DELETE_BATCH_KEYS + 7
        keys = [b"%06d" % number for number in range(count)]
        await writer.write(CONTEXT, [(cf, key, b"\0") for key in keys for cf in (CF_RAW, CF_RAW_LOCK, CF_WRITE)])
        await writer.delete_range(CONTEXT, CF_RAW, keys[2], keys[-2])
        left = [key for key, _ in log.engine.scan(CF_RAW, b"", None)]
        assert left == [*keys[:2], *keys[-2:]]
        assert all(len(list(log.engine.scan(cf, b"", None))) == count for cf in (CF_RAW_LOCK, CF_WRITE))

    asyncio.run(scenario())


def test_the_sweep_leaves_what_was_written_again() -> None:
    engine = MemoryEngine()
    batch = engine.batch()
    for number in range(6):
        batch.put(CF_RAW, b"%d" % number, encode_value(b"v", NOW if number % 2 else 0))
    engine.write(batch)
    first = find_expired(engine, CF_RAW, b"", b"", NOW, 4)
    assert (first.expired, first.next_key) == ([b"1", b"3"], b"3\0")
    second = find_expired(engine, CF_RAW, b"3\0", b"", NOW, 4)
    assert (second.expired, second.next_key) == ([b"5"], None)
    batch = engine.batch()
    batch.put(CF_RAW, b"3", encode_value(b"again", NOW + 9))
    engine.write(batch)
    outcome = RemoveExpired(CF_RAW, [b"1", b"3", b"7"], NOW).process(engine)
    assert (outcome.modifies, outcome.result) == ([(CF_RAW, b"1", None)], 1)
