"""Watching raw data: every change in a range, once, in the order of the log of its region.

Raw data has no timestamps, so a part of the range is at a position: a region as it was at an index of its log. Any
leader of that region tells what came after, and when the region was split, at which positions to go on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import DecodeError

from rutile_kv.client.backoff import PD_FAILED, Backoff
from rutile_kv.client.branches import Branches
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import is_empty, lesser_end
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.watch_stream import Broken, responses
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, PdError

AHEAD = 32
"""Answers, of at most about a MiB each, that the consumer may be behind."""


@dataclass(frozen=True, slots=True)
class RawChange:
    """`key` was set or deleted. What has expired is deleted some time after."""

    key: bytes
    value: bytes | None
    """None: it was deleted."""
    expires_at_s: int
    """The Unix second from which the value is gone; 0: never."""
    is_state: bool
    """True for what was there when the watch began."""


@dataclass(frozen=True, slots=True)
class RawProgress:
    """Everything up to `token` has been delivered: a watch with `resume=token` goes on there."""

    token: bytes


RawItem: TypeAlias = RawChange | RawProgress


@dataclass(eq=False, slots=True)
class _Part:
    """[start, end) of raw keys; within the region of its position, if it has one."""

    start: bytes
    end: bytes
    position: rutilepb.WatchPosition | None = None
    """Received is everything up to here,"""
    delivered: rutilepb.WatchPosition | None = None
    """and delivered to the consumer everything up to here."""
    pending: rutilepb.WatchPosition | None = None
    """The position of the state that is on its way,"""
    last_key: bytes | None = None
    """of which this is the last key received."""

    def within(self, region: CachedRegion) -> _Part:
        """The part of it that lies in a region; its position is lost."""
        return _Part(max(self.start, region.start), lesser_end(self.end, region.end))

    def at(self, position: rutilepb.WatchPosition) -> _Part | None:
        """The part of it that lies in the region of a position, to go on there once what came before is delivered."""
        start = max(self.start, position.region.start_key)
        end = lesser_end(self.end, position.region.end_key)
        return None if is_empty(start, end) else _Part(start, end, position)


@dataclass(frozen=True, slots=True)
class _Received:
    part: _Part
    changes: Sequence[RawChange]
    position: rutilepb.WatchPosition | None


async def raw_watch_pages(
    cluster: Cluster, cf: str, start: bytes, end: bytes, *, with_state: bool, resume: bytes | None, progress: bool
) -> AsyncGenerator[list[RawItem], None]:
    """Changes and progress in the order they come, in pages none of which is empty. Never ends by itself.

    Raises WatchEnded, InvalidRequest, and RetriesExhausted when a region cannot be reached for as long as a read may
    take.
    """
    parts = [_Part(start, end)] if resume is None else _parse(resume)
    if any(is_empty(part.start, part.end) for part in parts):
        raise InvalidRequest(f"there is nothing to watch in the range from {start.hex()} to {end.hex()}")
    watching = _RawWatching(cluster, cf, with_state, parts)
    try:
        while True:
            page = await watching.next_page()
            if progress and (token := watching.token()) is not None:
                page.append(RawProgress(token))
            if page:
                yield page
    finally:
        await watching.close()


class _RawWatching:
    """The parts of one watch, and the consumer's side of it."""

    def __init__(self, cluster: Cluster, cf: str, with_state: bool, parts: Sequence[_Part]) -> None:
        self._cluster = cluster
        self._cf = cf
        self._with_state = with_state
        self._branches: Branches[_Received] = Branches(AHEAD)
        self._parts: dict[_Part, None] = {}
        for part in parts:
            self._start(part)

    async def next_page(self) -> list[RawItem]:
        """What came next."""
        received = await self._branches.take()
        if received.position is not None:
            received.part.delivered = received.position
        return [*received.changes]

    async def close(self) -> None:
        await self._branches.close()

    def token(self) -> bytes | None:
        """Where the consumer is; None while a part has no position yet."""
        if any(part.delivered is None for part in self._parts):
            return None
        token = rutilepb.WatchToken()
        for part in self._parts:
            raw = rutilepb.WatchRaw(cf=self._cf, after=part.delivered)
            token.parts.add(start_key=part.start, end_key=part.end, raw=raw)
        data: bytes = token.SerializeToString()
        return data

    # --- following a part ---------------------------------------------------------------------------------------------

    def _start(self, part: _Part) -> None:
        self._parts[part] = None
        self._branches.start(self._follow(part), f"raw watch from {part.start.hex()}")

    def _replace(self, part: _Part, parts: Sequence[_Part]) -> None:
        del self._parts[part]
        for each in parts:
            self._start(each)

    async def _follow(self, part: _Part) -> None:
        """Until the part has to be divided."""
        backoff = self._cluster.read_backoff("raw watch")
        while part in self._parts:
            region = await self._region(part, backoff)
            if region is None:
                return
            stream = responses(self._cluster, region, self._request(part, region), backoff)
            try:
                async with aclosing(stream):
                    async for answer in stream:
                        backoff = self._cluster.read_backoff(
                            "raw watch"
                        )  # it works: what comes next is another trouble
                        await self._receive(part, answer)
            except Broken as broken:
                await broken.missed.wait(backoff)
                self._save_state(part)

    async def _region(self, part: _Part, backoff: Backoff) -> CachedRegion | None:
        """Where to ask; None if the part lies in several regions and was divided."""
        if part.position is not None:
            return await self._by_id(part, part.position, backoff)
        regions = await self._cluster.regions.locate_range(part.start, part.end, backoff)
        if len(regions) > 1:
            self._replace(part, [part.within(region) for region in regions])
            return None
        return regions[0]

    async def _by_id(self, part: _Part, position: rutilepb.WatchPosition, backoff: Backoff) -> CachedRegion:
        """The region of a position, which keeps its id whatever becomes of its range; or, if it has merged, the one
        that has its keys: that one knows whether the watch can go on."""
        regions, region_id = self._cluster.regions, position.region.id
        while (known := regions.by_id(region_id)) is None:
            info = await self._cluster.pd.get_region_by_id(region_id, backoff)
            if info is not None:
                return regions.learn(info.region, info.leader)
            heir = await regions.locate(part.start, backoff)
            if heir.region.region_epoch.version > position.region.region_epoch.version:
                return heir
            await backoff.wait(PD_FAILED, PdError(f"nobody has reported region {region_id}"))
        return known

    def _request(self, part: _Part, region: CachedRegion) -> rutilepb.WatchRequest:
        raw = rutilepb.WatchRaw(cf=self._cf, with_state=self._with_state, after=part.position)
        return rutilepb.WatchRequest(context=region.context(), start_key=part.start, end_key=part.end, raw=raw)

    async def _receive(self, part: _Part, answer: rutilepb.WatchResponse) -> None:
        """The state comes between its position and the same position once more."""
        changes = [_change(each) for each in answer.changes]
        position = answer.position if answer.HasField("position") else None
        if part.position is None and part.pending is None:
            part.pending, position = position, None
        elif part.position is None and position is None:
            part.last_key = changes[-1].key
        elif position is not None:
            part.position, part.pending = position, None
        if changes or position is not None:
            await self._branches.put(_Received(part, changes, position))
        if answer.successors:
            found = [part.at(successor) for successor in answer.successors]
            self._replace(part, [each for each in found if each is not None])

    def _save_state(self, part: _Part) -> None:
        """A state that came only half: its keys go on from the state's position, the others begin anew."""
        pending, last_key, part.pending = part.pending, part.last_key, None
        if part.position is None and pending is not None and last_key is not None:
            border = last_key + b"\0"
            halves = [_Part(part.start, border, pending)]
            if not is_empty(border, part.end):
                halves.append(_Part(border, part.end))
            self._replace(part, halves)


def _parse(token: bytes) -> list[_Part]:
    try:
        parts = rutilepb.WatchToken.FromString(token).parts
    except DecodeError as error:
        raise InvalidRequest(f"these {len(token)} bytes are not the token of a raw watch") from error
    if not parts or not all(each.raw.HasField("after") for each in parts):
        raise InvalidRequest("the token of a raw watch says nothing of where it is")
    return [_Part(each.start_key, each.end_key, each.raw.after, each.raw.after) for each in parts]


def _change(change: rutilepb.WatchChange) -> RawChange:
    value = None if change.deleted else change.value
    return RawChange(change.key, value, change.expires_at_s, change.state)
