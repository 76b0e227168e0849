"""Whom a change of a definition waits for: the front ends in use, until they say they have come to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from fake_client import FakeClient, FakeStore, FakeTransaction

from rutile.catalog import meta
from rutile.catalog.cache import CatalogCache
from rutile.catalog.front_ends import FORGET_AFTER_MS, LOOK_EVERY_S, TERM_MS
from rutile.catalog.holds import ASK_EVERY_S, CommitHolds
from rutile.catalog.transactions import in_transaction
from rutile_proto.errors import ServerIsBusy
from rutile_proto.keys import meta_key

LEASE_S = 0.2


@dataclass
class World:
    """One clock for the store's timestamps and for the front ends; whoever sleeps moves it."""

    store: FakeStore = field(default_factory=FakeStore)
    now_s: float = 100.0
    meanwhile: Callable[[], Awaitable[None]] | None = None

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.store.clock += round(seconds * 1000) << 18
        if self.meanwhile is not None:
            await self.meanwhile()

    def front_end(self) -> FrontEnd:
        return FrontEnd(self)

    async def change(self) -> int:
        """A definition changes; the version it made."""
        return await in_transaction(FakeClient(self.store), meta.bump_version)


class FrontEnd:
    def __init__(self, world: World) -> None:
        self.client = FakeClient(world.store)
        self.cache = CatalogCache(self.client, world.monotonic, lease_s=LEASE_S, single_front_end=False)
        self.holds = CommitHolds(self.cache, LEASE_S, world.monotonic, single=False, sleep=world.sleep)
        self.attend = self.holds._attend_once


async def waited_s(world: World, changer: FrontEnd) -> float:
    version = await world.change()
    started = world.now_s
    await changer.holds.settle(version)
    return world.now_s - started


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def within() -> None:
        await scenario(World())

    asyncio.run(within())


def test_alone_nobody_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        one = world.front_end()
        await one.cache.current()
        assert await waited_s(world, one) == 0

    run(scenario)


def test_another_in_use_is_waited_for_until_it_says_so() -> None:
    async def scenario(world: World) -> None:
        one, two = world.front_end(), world.front_end()
        await two.cache.current()
        await one.cache.current()
        await two.holds._cache.place.hold(0)  # now it knows of the other
        looks = 0

        async def meanwhile() -> None:
            nonlocal looks
            looks += 1
            if looks * ASK_EVERY_S >= LOOK_EVERY_S:
                await two.attend()

        world.meanwhile = meanwhile
        assert LOOK_EVERY_S / 2 < await waited_s(world, one) < LEASE_S / 2
        assert two.cache.place.version == two.cache.version

    run(scenario)


def test_a_commit_under_way_holds_back_what_its_front_end_says() -> None:
    async def scenario(world: World) -> None:
        one, two = world.front_end(), world.front_end()
        await one.cache.current()
        before = (await two.cache.current()).version
        async with two.holds.commit([]):
            version = await world.change()
            await two.attend()
            assert (two.cache.version, two.cache.place.version) == (version, before)
        await two.attend()
        assert two.cache.place.version == version

    run(scenario)


def test_one_that_is_silent_costs_a_lease_until_its_place_has_lapsed() -> None:
    async def scenario(world: World) -> None:
        one, two = world.front_end(), world.front_end()
        await two.cache.current()
        await one.cache.current()
        assert await waited_s(world, one) == pytest.approx(LEASE_S)
        await world.sleep(TERM_MS / 1000)
        assert await waited_s(world, one) == 0
        assert two.cache.cached() is None

    run(scenario)


def test_whoever_has_let_its_place_lapse_sees_the_change_before_it_goes_on() -> None:
    async def scenario(world: World) -> None:
        one, two = world.front_end(), world.front_end()
        await two.cache.current()
        await world.sleep(TERM_MS / 1000 + 1)
        assert await waited_s(world, one) == 0
        assert (await two.cache.current()).version == 1
        assert two.cache.place.covers(two.cache.valid_as_of)

    run(scenario)


def test_a_place_is_renewed_while_it_is_used_and_only_then() -> None:
    async def scenario(world: World) -> None:
        one = world.front_end()
        for _ in range(100):
            await one.cache.current()
            await world.sleep(0.1)
            await one.attend()
            assert one.cache.place.covers(world.store.clock)
        for _ in range(100):
            await world.sleep(0.1)
            await one.attend()
        assert not one.cache.place.covers(world.store.clock)

    run(scenario)


def test_places_of_long_ago_are_forgotten() -> None:
    async def scenario(world: World) -> None:
        one, two = world.front_end(), world.front_end()
        await one.cache.current()
        await world.sleep((TERM_MS + FORGET_AFTER_MS) / 1000 + 1)
        await two.cache.current()
        places = await meta.scan_all(two.client.snapshot(world.store.clock), meta_key("front_end"))
        assert len(places) == 1
        await two.cache.place.leave()
        assert not await meta.scan_all(two.client.snapshot(world.store.clock), meta_key("front_end"))

    run(scenario)


def test_where_nothing_can_be_written_every_use_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: FakeTransaction) -> int:
        raise ServerIsBusy("the disk is full")

    monkeypatch.setattr(FakeTransaction, "commit", refuse)

    async def scenario(world: World) -> None:
        one = world.front_end()
        assert (await one.cache.current()).version == 0
        assert one.cache.cached() is None

    run(scenario)
