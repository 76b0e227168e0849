"""Group commit by client: small requests to one region that are under way together travel together.

An RPC costs about half a millisecond of CPU on both ends whatever it carries; what it carries costs microseconds. So a
request does not leave by itself. It joins the `_Lane` of its region; the lane leaves at the end of this turn of the
loop, or, while `IN_FLIGHT` groups are on their way, when one of them is back. A lone caller waits for nobody, many
callers share RPCs: the busier the client, the larger the groups.

Each request keeps its own fate. It has its own backoff and region; a group that missed is missed by each of its
members, which look their regions up again; a group that is refused is sent again one by one, so that the one at fault
hears of it and the others do not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed, RegionSender
from rutile_proto.errors import RutileError

IN_FLIGHT = 2
"""Groups of one lane on their way: while the store works on one, the client makes up the next."""
MAX_GROUP = 1024
"""Requests in one group."""
MAX_GROUP_BYTES = 512 << 10

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Verb(Generic[RequestT, AnswerT]):
    """One kind of request, in its two forms on the wire."""

    alone: Callable[[RequestT], str]
    """The RPC for one."""
    together: str
    """The RPC for many."""
    one: Callable[[CachedRegion, RequestT], Any]
    """The message for one."""
    many: Callable[[CachedRegion, Sequence[RequestT]], Any]
    """The message for many."""
    answer_to_one: Callable[[Any], AnswerT]
    """What the request's caller gets; raises a RutileError for an answer that is a refusal."""
    answers_to_many: Callable[[Sequence[RequestT], Any], Sequence[AnswerT]]
    """The same for each request of a group, in its order; raises if the whole group was refused."""


@dataclass(slots=True, eq=False)
class _Member(Generic[RequestT, AnswerT]):
    request: RequestT
    size_bytes: int
    backoff: Backoff
    answer: asyncio.Future[AnswerT | Missed]


@dataclass(slots=True, eq=False)
class _Lane(Generic[RequestT, AnswerT]):
    """What waits to go to one region, as the callers know it."""

    region: CachedRegion
    waiting: deque[_Member[RequestT, AnswerT]] = field(default_factory=deque)
    in_flight: int = 0
    called: bool = False
    """A departure is due at the end of this turn."""


class Groups(Generic[RequestT, AnswerT]):
    """Requests of one verb, on their way in groups. Belongs to one event loop."""

    def __init__(self, verb: Verb[RequestT, AnswerT], sender: RegionSender) -> None:
        self._verb = verb
        self._sender = sender
        self._lanes: dict[int, _Lane[RequestT, AnswerT]] = {}
        """By the identity of the region object, which the lane keeps alive: other knowledge, another lane."""
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def send(
        self, region: CachedRegion, request: RequestT, size_bytes: int, backoff: Backoff
    ) -> AnswerT | Missed:
        """The region's answer, or `Missed`; raises as `RegionSender.send` does, and what the verb makes of refusals.

        A caller that is cancelled leaves its group, if that has not left yet.
        """
        lane = self._lanes.get(id(region))
        if lane is None:
            lane = self._lanes[id(region)] = _Lane(region)
        answer: asyncio.Future[AnswerT | Missed] = asyncio.get_running_loop().create_future()
        lane.waiting.append(_Member(request, size_bytes, backoff, answer))
        self._call(lane)
        return await answer

    def _call(self, lane: _Lane[RequestT, AnswerT]) -> None:
        """Have the lane leave once all that is ready to run now has had its turn."""
        if not lane.called and lane.in_flight < IN_FLIGHT:
            lane.called = True
            asyncio.get_running_loop().call_soon(self._depart, lane)

    def _depart(self, lane: _Lane[RequestT, AnswerT]) -> None:
        lane.called = False
        group = _take_group(lane.waiting)
        if group:
            lane.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._travel(lane, group))
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)
        if lane.waiting:
            self._call(lane)
        elif not lane.in_flight:
            self._lanes.pop(id(lane.region), None)

    async def _travel(self, lane: _Lane[RequestT, AnswerT], group: Sequence[_Member[RequestT, AnswerT]]) -> None:
        try:
            await self._send_together(lane.region, group)
        except asyncio.CancelledError:
            for member in group:
                member.answer.cancel()
            raise
        except Exception as error:  # whatever it is, nobody is left waiting
            for member in group:
                if not member.answer.done():
                    member.answer.set_exception(error)
        finally:
            lane.in_flight -= 1
            self._call(lane)  # after those who were answered, and may have the next request ready

    async def _send_together(self, region: CachedRegion, group: Sequence[_Member[RequestT, AnswerT]]) -> None:
        if len(group) == 1:
            await self._send_alone(region, group[0])
            return
        requests = [member.request for member in group]
        message = self._verb.many(region, requests)
        try:
            answer = await self._sender.send(region, self._verb.together, message, group[-1].backoff)
            missed = isinstance(answer, Missed)
            answers = [answer] * len(group) if missed else self._verb.answers_to_many(requests, answer)
        except RutileError:
            await asyncio.gather(*(self._send_alone(region, member) for member in group))
            return
        for member, each in zip(group, answers, strict=True):
            if not member.answer.done():
                member.answer.set_result(each)

    async def _send_alone(self, region: CachedRegion, member: _Member[RequestT, AnswerT]) -> None:
        message = self._verb.one(region, member.request)
        try:
            answer = await self._sender.send(region, self._verb.alone(member.request), message, member.backoff)
            result = answer if isinstance(answer, Missed) else self._verb.answer_to_one(answer)
        except RutileError as error:
            if not member.answer.done():
                member.answer.set_exception(error)
        else:
            if not member.answer.done():
                member.answer.set_result(result)


def _take_group(waiting: deque[_Member[RequestT, AnswerT]]) -> list[_Member[RequestT, AnswerT]]:
    """The first of `waiting`, within both bounds; those whose callers have gone are dropped."""
    group: list[_Member[RequestT, AnswerT]] = []
    size_bytes = 0
    while waiting and len(group) < MAX_GROUP and (not group or size_bytes + waiting[0].size_bytes <= MAX_GROUP_BYTES):
        member = waiting.popleft()
        if not member.answer.done():
            group.append(member)
            size_bytes += member.size_bytes
    return group
