"""Impatience: a request that stays without an answer for a second is given up as soon as its region is led elsewhere.

A store that is cut off, or stands still, breaks no connection, and the timeout of a call has to be long: a disk may
take its time, and a commit whose answer is lost costs a question. But the placement driver hears of a new leader within
the second or two that an election takes. So whoever waits for longer than `FIRST_LOOK_S` asks it who leads, again and
again; those who wait for the same region ask together. As long as it names the store that was asked, they wait.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import chain, repeat
from types import TracebackType

from rutile_kv.client.backoff import Backoff, Pace
from rutile_kv.client.pd import PdClient, RegionInfo
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

FIRST_LOOK_S = 1.0
LOOKS_S = (0.25, 0.25, 0.5, 0.5)
"""Between the first looks, while an election is likely; then every second."""
LATER_LOOKS_S = 1.0
LOOK_BUDGET_S = 1.0


class LedElsewhere(RutileError):
    """The store did not answer, and the region is led by another one now. The request may have been executed."""


class LeaderWatch:
    """Asks the placement driver about leaders that do not answer."""

    def __init__(self, pd: PdClient, regions: RegionCache, pace: Pace) -> None:
        self._pd = pd
        self._regions = regions
        self._pace = pace
        self._looks: dict[int, asyncio.Task[RegionInfo | None]] = {}

    def over(self, region: CachedRegion, waited_s: float = 0.0) -> Impatience:
        """`async with`: its body is ended by TimeoutError once another peer than `region.leader` leads the region.
        `waited_s`: how long the answer has been waited for already."""
        return Impatience(self, region, max(0.0, FIRST_LOOK_S - waited_s))

    async def until_moved(self, region: CachedRegion) -> None:
        """Returns when another peer leads; the cache knows it then. Begin after `FIRST_LOOK_S`."""
        for pause_s in chain((0.0,), LOOKS_S, repeat(LATER_LOOKS_S)):
            await asyncio.sleep(pause_s)
            info = await self._look(region)
            if info is None or info.leader is None or info.leader.id == region.leader.id:
                continue
            if info.region.id == region.id:
                learnt = self._regions.learn(info.region, info.leader)
                self._regions.leader_is(learnt, info.leader)
                return

    async def _look(self, region: CachedRegion) -> RegionInfo | None:
        look = self._looks.get(region.id)
        if look is None:
            look = self._looks[region.id] = asyncio.ensure_future(self._ask(region))
            look.add_done_callback(lambda done: self._looks.pop(region.id))
        return await asyncio.shield(look)

    async def _ask(self, region: CachedRegion) -> RegionInfo | None:
        try:
            backoff = Backoff("who leads", LOOK_BUDGET_S, self._pace)
            return await self._pd.get_region(region.start, backoff)
        except RutileError as error:
            log.info("region %d: the placement driver does not say who leads it: %s", region.id, error)
            return None


class Impatience:
    """See `LeaderWatch.over`. Costs a timer as long as the answer comes in time."""

    __slots__ = ("_first_look_s", "_region", "_task", "_timeout", "_timer", "_watch")

    def __init__(self, watch: LeaderWatch, region: CachedRegion, first_look_s: float) -> None:
        self._first_look_s = first_look_s
        self._watch = watch
        self._region = region
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._timer = asyncio.get_running_loop().call_later(self._first_look_s, self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await self._watch.until_moved(self._region)
        self._timeout.reschedule(asyncio.get_running_loop().time())
