"""A Watch stream of raw data: the present state if wanted, or the log behind a position; then what is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence

from rutile_kv.engine.api import Cf, Snapshot
from rutile_kv.env.clock import Clock
from rutile_kv.raft.errors import Compacted
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.peer_storage import INITIAL_INDEX
from rutile_kv.raftstore.replay import SplitApart, replay
from rutile_kv.raw.values import decode_value, has_expired
from rutile_kv.server.watches import Watches
from rutile_kv.watch.backlog import raw_state
from rutile_kv.watch.changes import RawRow
from rutile_kv.watch.core import RegionMerged
from rutile_kv.watch.watcher import Entry, RawWatcher
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, RegionNotFound, WatchHistoryGone

ROWS_AT_ONCE = 1024
"""Rows of the state read before others get a turn."""
REPLAY_BYTES = 1 << 20
"""Log read before others get a turn."""

Answers = AsyncGenerator[rutilepb.WatchResponse, None]


class RawStreams:
    """Makes the streams of one store."""

    def __init__(self, watches: Watches, driver: StoreDriver, clock: Clock) -> None:
        self._watches = watches
        self._driver = driver
        self._clock = clock

    async def fresh(
        self, context: kvrpcpb.Context, start: bytes, end: bytes | None, cf: Cf, with_state: bool
    ) -> Answers:
        """Changes from now on; first the position they come after, and then, if wanted, the state at that position,
        which is complete when the position comes again. Raises RegionError, WatchEnded."""
        wake = asyncio.Event()
        watcher = RawWatcher(start, end, cf, wake.set, self._watches.queue_bytes)
        snapshot, region, index = await self._driver.snapshot(context)
        try:
            try:
                self._watches.add(region.id, watcher)  # in the turn of the snapshot: nothing missed, nothing doubled
                yield rutilepb.WatchResponse(position=_position(region, index))
                if with_state:
                    async for answer in self._state(watcher, snapshot):
                        yield answer
            finally:
                snapshot.close()
            yield rutilepb.WatchResponse(position=_position(region, index))
            async for answer in self._live(watcher, wake):
                yield answer
        finally:
            self._watches.remove(region.id, watcher)

    async def after(
        self, asked_region_id: int, position: rutilepb.WatchPosition, start: bytes, end: bytes | None, cf: Cf
    ) -> Answers:
        """Changes after `position`, whose region this store must lead, however it has changed since. If it was split or
        has merged, the stream ends with the successors. But the log of a region goes with it: who was not here when it
        merged hears that its history is gone. Raises RegionError, WatchEnded, InvalidRequest."""
        wake = asyncio.Event()
        watcher = RawWatcher(start, end, cf, wake.set, self._watches.queue_bytes)
        region_id = position.region.id
        info = self._driver.store.region_info(region_id)
        if info is None:
            if self._driver.store.has_absorbed(asked_region_id, region_id):
                raise WatchHistoryGone(region_id, position.index)
            raise RegionNotFound(region_id)
        if not self._driver.store.is_merging(region_id):  # otherwise what is applied here is all there will be
            await self._driver.read_view(context_of(info))
        upto = self._driver.store.applied_index(region_id)
        try:
            self._watches.add(region_id, watcher)
            async for answer in self._replay(watcher, position, upto):
                yield answer
                if answer.successors:
                    return
            async for answer in self._live(watcher, wake):
                yield answer
        finally:
            self._watches.remove(region_id, watcher)

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _live(self, watcher: RawWatcher, wake: asyncio.Event) -> Answers:
        try:
            async for page in self._watches.pages(watcher, wake):
                answer = _entries(page.entries)
                if page.progress is not None:
                    answer.position.CopyFrom(_position(page.progress.region, page.progress.index))
                yield answer
        except RegionMerged as merged:
            yield rutilepb.WatchResponse(successors=[_position(merged.target, merged.index)])

    async def _state(self, watcher: RawWatcher, snapshot: Snapshot) -> Answers:
        backlog = raw_state(snapshot, watcher.cf, watcher.start, watcher.end)
        while not backlog.done:
            if watcher.ended is not None:
                raise watcher.ended
            now_s = self._clock.wall_ms() // 1000
            changes = [_to_pb(each, state=True) for each in backlog.step(ROWS_AT_ONCE)]
            if live := [each for each in changes if not has_expired(each.expires_at_s, now_s)]:
                yield rutilepb.WatchResponse(changes=live)
            await asyncio.sleep(0)

    async def _replay(self, watcher: RawWatcher, position: rutilepb.WatchPosition, upto: int) -> Answers:
        """What the log says of (position, upto]."""
        region, index = position.region, position.index
        if index > upto:
            raise InvalidRequest(f"position {index} of region {region.id} is ahead of its log, which ends at {upto}")
        while index < upto:
            try:
                read = self._driver.store.applied_entries(region.id, index, REPLAY_BYTES)
            except Compacted as error:
                raise WatchHistoryGone(region.id, position.index) from error
            log = [entry for entry in read if entry.index <= upto]
            index = log[-1].index
            entries: list[Entry] = []
            for step in replay(region, log):
                if isinstance(step, SplitApart):
                    yield _successors(entries, step)
                    return
                if (entry := watcher.entry(step.region, step.index, step.modifies)) is not None:
                    entries.append(entry)
            if entries:
                yield _entries(entries)
            await asyncio.sleep(0)


def _position(region: metapb.Region, index: int) -> rutilepb.WatchPosition:
    return rutilepb.WatchPosition(region=region, index=index)


def _entries(entries: Sequence[Entry]) -> rutilepb.WatchResponse:
    answer = rutilepb.WatchResponse(changes=_changes(entries))
    if entries:
        answer.position.CopyFrom(_position(entries[-1].region, entries[-1].index))
    return answer


def _successors(entries: Sequence[Entry], split: SplitApart) -> rutilepb.WatchResponse:
    answer = rutilepb.WatchResponse(changes=_changes(entries))
    for child in split.children:
        answer.successors.add(region=child, index=INITIAL_INDEX)
    answer.successors.add(region=split.rest, index=split.index)
    return answer


def _changes(entries: Iterable[Entry]) -> list[rutilepb.WatchChange]:
    return [_to_pb(change, entry.index) for entry in entries for change in entry.changes if isinstance(change, RawRow)]


def _to_pb(row: RawRow, index: int = 0, *, state: bool = False) -> rutilepb.WatchChange:
    if row.stored is None:
        return rutilepb.WatchChange(key=row.key, deleted=True, index=index)
    value, expires_at_s = decode_value(row.stored)
    return rutilepb.WatchChange(key=row.key, value=value, expires_at_s=expires_at_s, index=index, state=state)
