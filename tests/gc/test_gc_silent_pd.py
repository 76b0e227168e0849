"""A store that the placement driver does not answer: it refuses what may have been removed, and nothing else."""

import asyncio
from typing import Any

import pytest
from lock_cluster import stores, until

from rutile_kv.client.backoff import Pace
from rutile_kv.env.clock import ManualClock
from rutile_kv.server.gc_manager import CLOCKS_APART_SECONDS, GcManager
from rutile_kv.txn.safe_point import SafePoint
from rutile_proto.errors import PdError, TxnAborted
from rutile_proto.timestamps import MAX_TIMESTAMP, compose

LIFE_S, POLL_S = 600.0, 10.0


class Pd:
    """Knows the safe point, and is silent now and then."""

    def __init__(self) -> None:
        self.safe_point = 0
        self.silent = False
        self.asked: list[float] = []


class World:
    """A GcManager without anything to collect, on a clock that sleepers move."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.safe_point = SafePoint()
        self.silent = False
        self.told = 0
        self.asked: list[float] = []
        self.walked: list[int] = []
        self.life_time_s = LIFE_S
        pace = Pace(self.clock, self._sleep)
        me: Any = self
        self.manager = GcManager(me, self.safe_point, me, me, me, me, POLL_S, 1e9, pace)
        self.until_s = 0.0

    async def _sleep(self, seconds: float) -> None:
        if self.clock.monotonic() + seconds > self.until_s:
            raise asyncio.CancelledError
        self.clock.advance(seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def follow(self, seconds: float) -> None:
        self.until_s = self.clock.monotonic() + seconds
        collecting = asyncio.ensure_future(self.manager.collect())
        with pytest.raises(asyncio.CancelledError):
            await self.manager.follow()
        collecting.cancel()
        await asyncio.wait([collecting])

    async def gc_safe_point(self) -> int:
        self.asked.append(self.clock.monotonic())
        if self.silent:
            raise PdError("nobody there")
        return self.told

    def led_term(self) -> int:
        return 0

    async def walk(self, safe_point: int) -> int:
        self.walked.append(safe_point)
        return 0

    def age(self, seconds: float) -> int:
        """The timestamp of so many seconds ago."""
        return compose(self.clock.wall_ms() - round(seconds * 1000))


def test_before_the_grace_is_over_a_silent_pd_makes_old_reads_fail_until_it_answers() -> None:
    async def main() -> None:
        world = World()
        await world.follow(25)
        old, young = world.age(LIFE_S - CLOCKS_APART_SECONDS + 1), world.age(LIFE_S / 2)
        world.safe_point.check(old)
        world.silent = True
        heard_at = world.asked[-1]
        await world.follow(POLL_S * 3)
        refused = next(at for at in world.asked if at - heard_at >= 1.5 * POLL_S)
        assert refused - heard_at < 2 * POLL_S
        with pytest.raises(TxnAborted, match="has not heard from the placement driver"):
            world.safe_point.check(old)
        world.safe_point.check(young)
        world.safe_point.check(MAX_TIMESTAMP)
        assert world.safe_point.ts == 0  # what is removed here goes by what is known
        world.silent = False
        await world.follow(POLL_S)
        world.safe_point.check(old)

    asyncio.run(main())


def test_a_short_silence_changes_nothing() -> None:
    async def main() -> None:
        world = World()
        await world.follow(25)
        old = world.age(LIFE_S * 2)
        world.silent = True
        await world.follow(POLL_S / 4)
        world.safe_point.check(old)
        world.silent = False
        await world.follow(POLL_S)
        world.safe_point.check(old)

    asyncio.run(main())


def test_a_store_that_never_heard_presumes_at_once() -> None:
    async def main() -> None:
        world = World()
        world.silent = True
        assert not await world.manager.poll()
        with pytest.raises(TxnAborted):
            world.safe_point.check(world.age(LIFE_S))

    asyncio.run(main())


def test_collecting_waits_for_two_polls_that_were_answered() -> None:
    async def main() -> None:
        world = World()
        await world.follow(15)
        world.told = world.age(LIFE_S)
        await world.follow(POLL_S)
        world.silent = True
        await world.follow(POLL_S)
        assert world.walked == []
        world.silent = False
        await world.follow(POLL_S * 3)
        assert world.walked == [world.told]
        await world.follow(POLL_S * 3)
        assert world.walked == [world.told]

    asyncio.run(main())


def test_reads_of_a_real_store_cut_from_pd() -> None:
    async def main() -> None:
        config = {"gc_poll_seconds": 0.05, "gc_life_time_seconds": 0.4, "gc_interval_seconds": 1e6}
        async with stores(1, 1, **config) as cluster, cluster.client() as client:
            txn = await client.begin()
            txn.put(b"k", b"v")
            await txn.commit()
            ts = await client.timestamp()
            assert await client.snapshot(ts).get(b"k") == b"v"
            await cluster.pd.stop()

            async def refused() -> bool:
                try:
                    await client.snapshot(ts).get(b"k")
                except TxnAborted as error:
                    assert "has not heard" in str(error)
                    return True
                return False

            await until(refused)
            assert await client.snapshot(MAX_TIMESTAMP).get(b"k") == b"v"

    asyncio.run(main())
