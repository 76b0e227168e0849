"""Watching transactional data: every commit in a range, once, in commit order for each key.

The range is cut into parts, one a region, each followed by a task of its own. A part knows the timestamp up to which it
has received everything (`resolved_ts`), and for keys committed above it the newest commit it has received. When its
stream breaks, because the region has split or another store leads it now, the part is cut anew and taken up from
resolved_ts; what was received above comes again, and is known by the commit_ts of its key.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.branches import Branches
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import is_empty, lesser_end
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.watch_stream import Broken, responses
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, LockFacts, RutileError, WatchFellBehind
from rutile_proto.keys import storage_bound
from rutile_proto.wire_errors import lock_from_pb

_log = logging.getLogger(__name__)

AHEAD = 32
"""Answers, of at most about a MiB each, that the consumer may be behind."""
MAX_UNRESOLVED_KEYS = 1 << 20
"""Keys of a part remembered above its resolved timestamp. With more, a stream that breaks cannot be taken up again."""
RESOLVE_BUDGET_S = 2.0
"""For finding out about the owner of a lock that holds progress back."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction that began at `start_ts` set `key` at `commit_ts`."""

    key: bytes
    value: bytes | None
    """None: it deleted the key."""
    start_ts: int
    commit_ts: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Every change of the range committed at or below this timestamp has been delivered."""

    resolved_ts: int


WatchItem: TypeAlias = Change | Progress


@dataclass(eq=False, slots=True)
class _Part:
    """[start, end) of user keys, within one region as far as is known."""

    start: bytes
    end: bytes
    resolved_ts: int
    """Received is everything up to here,"""
    delivered_ts: int
    """and delivered to the consumer everything up to here."""
    newest: dict[bytes, int] = field(default_factory=dict)
    """By key, the newest commit received above resolved_ts."""
    forgotten_ts: int = 0
    """Not 0: `newest` had grown too large, and commits up to this one are no longer told from those received."""
    holder: LockFacts | None = None

    def is_news(self, change: rutilepb.WatchChange) -> bool:
        """Whether the change was not received before; it is now."""
        if change.commit_ts <= self.newest.get(change.key, 0):
            return False
        self.newest[change.key] = change.commit_ts
        if len(self.newest) > MAX_UNRESOLVED_KEYS:
            self.forgotten_ts = max(self.forgotten_ts, *self.newest.values())
            self.newest.clear()
        return True

    def resolved(self, ts: int) -> None:
        """Everything up to `ts` was received."""
        self.resolved_ts = max(self.resolved_ts, ts)
        self.newest = {key: commit_ts for key, commit_ts in self.newest.items() if commit_ts > ts}
        if self.forgotten_ts <= ts:
            self.forgotten_ts = 0

    def within(self, region: CachedRegion) -> _Part:
        """The part of it that lies in a region."""
        start, end = max(self.start, region.user_start), lesser_end(self.end, region.user_end)
        newest = {key: ts for key, ts in self.newest.items() if start <= key and (not end or key < end)}
        return _Part(start, end, self.resolved_ts, self.delivered_ts, newest)


@dataclass(frozen=True, slots=True)
class _Received:
    part: _Part
    changes: Sequence[Change]
    resolved_ts: int


async def watch_pages(
    cluster: Cluster, start: bytes, end: bytes, from_ts: int | None
) -> AsyncGenerator[list[WatchItem], None]:
    """Changes and progress in the order they come, in pages none of which is empty. Never ends by itself.

    Raises WatchEnded, InvalidRequest, and RetriesExhausted when a region cannot be reached for as long as a read may
    take.
    """
    if is_empty(start, end):
        raise InvalidRequest(f"there is nothing to watch in the range from {start.hex()} to {end.hex()}")
    watching = _Watching(cluster, start, end, await cluster.pd.timestamp() if from_ts is None else from_ts)
    try:
        while True:
            page = await watching.next_page()
            if page:
                yield page
    finally:
        await watching.close()


class _Watching:
    """The parts of one watch, and the consumer's side of it."""

    def __init__(self, cluster: Cluster, start: bytes, end: bytes, from_ts: int) -> None:
        self._cluster = cluster
        self._branches: Branches[_Received] = Branches(AHEAD)
        self._parts: dict[_Part, None] = {}
        self._told_ts = from_ts
        self._start(_Part(start, end, from_ts, from_ts))

    async def next_page(self) -> list[WatchItem]:
        """What came next, if it was news."""
        try:
            received = await self._branches.take()
        except WatchFellBehind as error:
            raise WatchFellBehind(self._told_ts) from error
        page: list[WatchItem] = [*received.changes]
        if (progress := self._progress(received)) is not None:
            page.append(progress)
        return page

    async def close(self) -> None:
        await self._branches.close()

    def _progress(self, received: _Received) -> Progress | None:
        part = received.part
        slowest = part.delivered_ts <= self._told_ts
        part.delivered_ts = max(part.delivered_ts, received.resolved_ts)
        if slowest and part.delivered_ts > self._told_ts:
            told_ts = min(each.delivered_ts for each in self._parts)
            if told_ts > self._told_ts:
                self._told_ts = told_ts
                return Progress(told_ts)
        return None

    # --- following a part ---------------------------------------------------------------------------------------------

    def _start(self, part: _Part) -> None:
        self._parts[part] = None
        self._branches.start(self._follow(part), f"watch from {part.start.hex()}")

    async def _follow(self, part: _Part) -> None:
        """Until the part has to be divided, because it lies in several regions now."""
        backoff = self._cluster.read_backoff("watch")
        low, high = storage_bound(part.start), storage_bound(part.end)
        while True:
            regions = await self._cluster.regions.locate_range(low, high, backoff)
            if len(regions) > 1:
                self._divide(part, regions)
                return
            stream = responses(self._cluster, regions[0], _request(part, regions[0]), backoff)
            try:
                async with aclosing(stream):
                    async for answer in stream:
                        backoff = self._cluster.read_backoff("watch")  # it works: what comes next is another trouble
                        await self._receive(part, answer)
            except Broken as broken:
                if part.forgotten_ts:
                    raise WatchFellBehind(part.resolved_ts) from broken
                await broken.missed.wait(backoff)

    def _divide(self, part: _Part, regions: Sequence[CachedRegion]) -> None:
        del self._parts[part]
        for region in regions:
            self._start(part.within(region))

    async def _receive(self, part: _Part, answer: rutilepb.WatchResponse) -> None:
        changes = [_change(each) for each in answer.changes if part.is_news(each)]
        if answer.resolved_ts:
            part.resolved(answer.resolved_ts)
        if changes or answer.resolved_ts:
            await self._branches.put(_Received(part, changes, answer.resolved_ts))
        await self._look_at(lock_from_pb(answer.held_by) if answer.HasField("held_by") else None, part)

    async def _look_at(self, lock: LockFacts | None, part: _Part) -> None:
        """Met for the second time, a lock may have been left behind: find out about its owner, as a reader would."""
        before, part.holder = part.holder, lock
        if lock is None or before is None or (lock.key, lock.start_ts) != (before.key, before.start_ts):
            return
        try:
            backoff = Backoff("resolve what holds a watch back", RESOLVE_BUDGET_S, self._cluster.pace)
            await self._cluster.locks.release_if_ended(lock, backoff)
        except RutileError as error:
            _log.info("a watch is held back by a lock of transaction %d: %s", lock.start_ts, error)


def _request(part: _Part, region: CachedRegion) -> rutilepb.WatchRequest:
    return rutilepb.WatchRequest(
        context=region.context(),
        start_key=part.start,
        end_key=part.end,
        transactional=rutilepb.WatchTransactional(from_ts=part.resolved_ts),
    )


def _change(change: rutilepb.WatchChange) -> Change:
    value = None if change.deleted else change.value
    return Change(change.key, value, change.start_ts, change.commit_ts)
