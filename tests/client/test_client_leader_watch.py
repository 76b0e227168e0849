"""A store that does not answer: whoever waits goes to the new leader as soon as the placement driver knows one."""

import asyncio
from typing import Any

import pytest

from rutile.testing.loops import VirtualLoop
from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.connections import LocalStores
from rutile_kv.client.leader_watch import LeaderWatch
from rutile_kv.client.pd import RegionInfo
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.sender import Missed, RegionSender
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import PdError

PEERS = [metapb.Peer(id=10 + store, store_id=store) for store in (1, 2, 3)]
REGION = metapb.Region(id=7, peers=PEERS, region_epoch=metapb.RegionEpoch(version=1, conf_ver=1))


class SomePd:
    """Names the leader that `leads` says; counts questions."""

    def __init__(self) -> None:
        self.leads: metapb.Peer | None = PEERS[0]
        self.asked = 0

    async def get_region(self, key: bytes, backoff: Backoff | None = None) -> RegionInfo | None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.leads is None:
            raise PdError("not now")
        return RegionInfo(REGION, self.leads)


class Slow:
    """A store that answers after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.given_up = 0

    async def KvGet(self, request: Any, timeout: float) -> kvrpcpb.GetResponse:  # noqa: ASYNC109 gRPC's
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return kvrpcpb.GetResponse(value=b"v")


class World:
    def __init__(self, seconds: float) -> None:
        self.pd, self.store = SomePd(), Slow(seconds)
        self.regions = RegionCache(self.pd)  # type: ignore[arg-type]
        self.pace = Pace()
        watch = LeaderWatch(self.pd, self.regions, self.pace)  # type: ignore[arg-type]
        self.sender = RegionSender(self.regions, LocalStores({1: self.store}), watch)
        self.region = self.regions.learn(REGION, PEERS[0])

    async def get(self) -> Any:
        return await self.sender.send(self.region, "KvGet", kvrpcpb.GetRequest(), Backoff("get", 20.0, self.pace))

    async def timed(self) -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await self.get(), loop.time() - began


def run(body: Any) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(body())


@pytest.mark.parametrize("seconds", [0.0, 0.9])
def test_nobody_is_asked_about_answers_that_come(seconds: float) -> None:
    async def body() -> None:
        world = World(seconds)
        assert (await world.get()).value == b"v"
        await asyncio.sleep(5)
        assert world.pd.asked == 0

    run(body)


def test_the_new_leader_is_tried_as_soon_as_it_is_known() -> None:
    async def body() -> None:
        world = World(60.0)
        asyncio.get_running_loop().call_later(1.6, setattr, world.pd, "leads", PEERS[1])
        missed, seconds = await world.timed()
        assert isinstance(missed, Missed) and missed.answer_lost, "it may have been executed"
        assert 1.6 < seconds < 2.2 and world.store.given_up == 1
        known = world.regions.by_id(REGION.id)
        assert isinstance(known, CachedRegion) and known.leader == PEERS[1]

    run(body)


@pytest.mark.parametrize("leads", [PEERS[0], None])
def test_a_slow_leader_is_waited_for(leads: metapb.Peer | None) -> None:
    async def body() -> None:
        world = World(4.5)
        world.pd.leads = leads
        answer, seconds = await world.timed()
        assert answer.value == b"v" and 4.4 < seconds < 4.6
        assert 1 <= world.pd.asked < 12
        asked = world.pd.asked
        await asyncio.sleep(5)
        assert world.pd.asked == asked

    run(body)


def test_many_who_wait_ask_together() -> None:
    async def body() -> None:
        world = World(60.0)
        asyncio.get_running_loop().call_later(1.4, setattr, world.pd, "leads", PEERS[2])
        answers = await asyncio.gather(*(world.get() for _ in range(100)))
        assert all(isinstance(answer, Missed) for answer in answers)
        assert world.pd.asked <= 5

    run(body)


def test_a_caller_who_goes_away_takes_everything_along() -> None:
    async def body() -> None:
        world = World(60.0)
        caller = asyncio.ensure_future(world.get())
        await asyncio.sleep(2.1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        asked = world.pd.asked
        await asyncio.sleep(5)
        assert world.pd.asked == asked and world.store.given_up == 1

    run(body)
