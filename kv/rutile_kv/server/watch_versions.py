"""A Watch stream of transactional data: the versions there were, then what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from rutile_kv.client.pd import PdClient
from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, Reader, Snapshot
from rutile_kv.mvcc.records import Lock
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.server.watches import Watches
from rutile_kv.watch.backlog import versions_above
from rutile_kv.watch.changes import Version
from rutile_kv.watch.watcher import Entry, Page, TransactionalWatcher
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import StaleCommand, WatchBelowSafePoint
from rutile_proto.keys import user_key, versioned_key
from rutile_proto.wire_errors import lock_to_pb

ROWS_AT_ONCE = 1024
"""Rows of the backlog read before others get a turn."""


class VersionStreams:
    """Makes the streams of one store."""

    def __init__(self, watches: Watches, driver: StoreDriver, engine: Reader, pd: PdClient) -> None:
        """`engine` is the store's."""
        self._watches = watches
        self._driver = driver
        self._engine = engine
        self._pd = pd

    async def stream(
        self, context: kvrpcpb.Context, start: bytes, end: bytes | None, from_ts: int
    ) -> AsyncGenerator[rutilepb.WatchResponse, None]:
        """Commits above `from_ts` in [start, end), storage keys. Raises RegionError, WatchEnded, PdError."""
        wake = asyncio.Event()
        watcher = TransactionalWatcher(start, end, from_ts, wake.set, self._watches.queue_bytes)
        snapshot, region, _ = await self._driver.snapshot(context)
        try:
            try:
                self._watches.add(region.id, watcher)  # in the turn of the snapshot: nothing missed, nothing doubled
                async for answer in self._backlog(watcher, snapshot):
                    yield answer
            finally:
                snapshot.close()
            async for page in self._watches.pages(watcher, wake):
                yield self._answer(page, watcher)
        finally:
            self._watches.remove(region.id, watcher)

    async def _backlog(
        self, watcher: TransactionalWatcher, snapshot: Snapshot
    ) -> AsyncGenerator[rutilepb.WatchResponse, None]:
        """The safe point is asked for now that the snapshot is taken: whatever is missing in it was collected under one
        that PD has told of before."""
        safe_point = await self._pd.gc_safe_point()
        if watcher.from_ts < safe_point:
            raise WatchBelowSafePoint(watcher.from_ts, safe_point)
        backlog = versions_above(snapshot, watcher.start, watcher.end, watcher.from_ts)
        while not backlog.done:
            if watcher.ended is not None:
                raise watcher.ended
            if found := backlog.step(ROWS_AT_ONCE):
                yield rutilepb.WatchResponse(changes=[_to_pb(each, snapshot) for each in found])
            await asyncio.sleep(0)

    def _answer(self, page: Page, watcher: TransactionalWatcher) -> rutilepb.WatchResponse:
        changes = [_to_pb(each, self._engine) for each in _versions(page.entries)]
        answer = rutilepb.WatchResponse(changes=changes)
        if page.progress is not None:
            answer.resolved_ts = watcher.resolved_ts
            self._tell_holder(page.progress.held_by, answer)
        return answer

    def _tell_holder(self, storage_key: bytes | None, answer: rutilepb.WatchResponse) -> None:
        """The lock may be gone by now, or be another's: then there is nothing to tell."""
        data = None if storage_key is None else self._engine.get(CF_LOCK, storage_key)
        if storage_key is not None and data is not None:
            answer.held_by.CopyFrom(lock_to_pb(Lock.from_bytes(data).facts(user_key(storage_key))))


def _versions(entries: Iterable[Entry]) -> Iterable[Version]:
    return (change for entry in entries for change in entry.changes if isinstance(change, Version))


def _to_pb(version: Version, reader: Reader) -> rutilepb.WatchChange:
    """Raises StaleCommand when a long value is not there any more: the region was cleared, or garbage collection has
    come by; the client asks again, and hears which."""
    value = version.value
    if value is None and not version.deleted:
        value = reader.get(CF_DEFAULT, versioned_key(version.storage_key, version.start_ts))
        if value is None:
            raise StaleCommand(f"the value committed at {version.commit_ts} is gone")
    return rutilepb.WatchChange(
        key=user_key(version.storage_key),
        value=value or b"",
        deleted=version.deleted,
        start_ts=version.start_ts,
        commit_ts=version.commit_ts,
    )
