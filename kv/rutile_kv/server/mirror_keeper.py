"""Folds deltas behind the readers' backs, keeps up with what is read, and writes bases to disk; one at a time.

A fold copies what the delta touches in every column; a read does the same for its own columns and throws it away. So a
base is folded once reads have spent on its delta what the fold will cost: at most twice the least possible work is
done, whatever the mix of reads and writes is. And once a delta is so long that it would soon be thrown away, and all be
decoded anew: that is some fifteen microseconds a change, where a write costs a store hundreds. A fold works on a
snapshot of its own in a thread; readers keep what they were pinned to.

Where queries read what was written beside the bases, their next one finds that done but for the last changes
(`rutile_kv.server.keeping_up`).

A base that is not on disk is written, but one of the same table and region not more often than every SAVE_SECONDS
unless memory runs short: columns of wide tables join one by one, and a file that is old is brought forward after a
restart, by its journal and the Raft log. So it is written anew only when much of it has changed, or the journal is
long. When memory runs short, builders of bases wait for the end of a round (`columnar.room`).
"""

from __future__ import annotations

import asyncio
import logging

from rutile_kv.columnar.base import TableBase
from rutile_kv.columnar.cache import ArrowCache, nobody
from rutile_kv.columnar.files import MirrorFiles
from rutile_kv.columnar.journals import Journals
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.live_tables import LiveTables
from rutile_kv.columnar.mirror import MirrorReader, RegionData
from rutile_kv.columnar.pins import RegionPin
from rutile_kv.engine.api import Engine, Snapshot
from rutile_kv.raftstore.region_reader import RegionSnapshot
from rutile_kv.raftstore.store import Store
from rutile_kv.server.keeping_up import KeepingUp, LocalSnapshot
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EngineCorrupt, InvalidRequest, LayoutMismatch

log = logging.getLogger(__name__)

SAVE_SECONDS = 10.0


class LocalSnapshots:
    """Of a store's regions, for whoever does not ask whether they are the newest."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def take(self, region_id: int) -> tuple[Snapshot, metapb.Region, int] | None:
        region = self._store.region(region_id)
        if region is None:
            return None
        return RegionSnapshot(self._engine.snapshot(), region), region, self._store.applied_index(region_id)


class MirrorKeeper:
    """A task of a running store. `start` it in the loop, and `close` it before the engine."""

    def __init__(
        self,
        cache: ArrowCache,
        snapshot: LocalSnapshot,
        files: MirrorFiles | None = None,
        journals: Journals | None = None,
        save_seconds: float = SAVE_SECONDS,
        followed: LiveTables | None = None,
    ) -> None:
        """Without `files` nothing is written; `followed` is kept up with."""
        self._cache = cache
        self._reader = MirrorReader(cache)
        self._snapshot = snapshot
        self._keeping_up = None if followed is None else KeepingUp(cache, followed, snapshot)
        self._files = files
        self._journals = journals or Journals()
        self._save_seconds = save_seconds
        self._may_save = True
        self._due = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(self._due.set)

        self._cache.when_due(tell)
        self._due.set()
        self._tasks = [loop.create_task(self._follow(), name="mirror keeper")]

    async def close(self) -> None:
        """Write what is not on disk yet, and return when nothing runs any more."""
        self._closing = True
        self._cache.when_due(nobody)
        self._due.set()
        await asyncio.gather(*self._tasks)

    async def _follow(self) -> None:
        try:
            if self._files is not None:
                await self._wake_all(self._files)
            while not self._closing:
                await self._due.wait()
                self._due.clear()
                await self._round()
                self._cache.writes(is_kept=self._files is not None)
        finally:
            self._cache.writes(is_kept=False)

    async def _round(self) -> None:
        for key in self._cache.due():
            await self._fold(key)
        if self._keeping_up is not None and not self._closing:
            await self._keeping_up.catch_up()
        if self._files is not None and (self._may_save or self._closing or self._cache.is_pressed()):
            await self._save_all(self._files)

    # --- folding ------------------------------------------------------------------------------------------------------

    async def _fold(self, key: BaseKey) -> None:
        taken = self._snapshot(key.region_id)
        self._cache.settle(key)
        if taken is None or self._closing:
            return
        snapshot, region, index = taken
        try:
            data = RegionData(region, snapshot, self._cache.pin(region.id, [key.table_id], index))
            await asyncio.to_thread(self._reader.fold, key, data, self._check)
        except (
            EngineCorrupt,
            InvalidRequest,
            LayoutMismatch,
        ) as error:  # rows of a newer layout than the base's, most likely
            log.warning("table %d in region %d: its base is dropped, %s", key.table_id, key.region_id, error)
            self._cache.discard(key)
        finally:
            snapshot.close()

    def _check(self, size_bytes: int) -> None:
        """Folds are bounded by the base they copy; there is nobody to ask."""

    # --- files --------------------------------------------------------------------------------------------------------

    async def _wake_all(self, files: MirrorFiles) -> None:
        """Look at what an earlier process left, one after the other: who does not want to wait looks before us."""
        for key in files.asleep:
            if self._closing:
                return
            taken = self._snapshot(key.region_id)
            if taken is None:
                continue
            snapshot, region, index = taken
            snapshot.close()
            pin = self._cache.pin(region.id, [key.table_id], index)
            if pin is not None:
                await asyncio.to_thread(self._wake, key, pin)

    def _wake(self, key: BaseKey, pin: RegionPin) -> None:
        with self._cache.turns.of(key, self._check):
            self._cache.revive(key, pin)

    async def _save_all(self, files: MirrorFiles) -> None:
        unsaved = self._cache.unsaved(files.index_of, self._is_behind)
        for key, base in unsaved.items():
            await self._save(files, key, base)
        files.retain(self._cache.keys())
        for key in files.over_budget():
            self._cache.discard(key)
            files.remove(key)
        self._journals.retain(files.keys())
        if unsaved and not self._closing:
            self._may_save = False
            asyncio.get_running_loop().call_later(self._save_seconds, self._save_again)

    def _is_behind(self, key: BaseKey, base: TableBase) -> bool:
        """Whether the file of `base` has nothing, or too much, that brings it forward."""
        journal = self._journals.get(key)
        return journal is None or journal.is_long(base.size_bytes)

    def _save_again(self) -> None:
        self._may_save = True
        self._due.set()

    async def _save(self, files: MirrorFiles, key: BaseKey, base: TableBase) -> None:
        try:
            mapped = await asyncio.to_thread(files.save, key, base)
        except OSError as error:
            log.warning("the mirror of table %d in region %d stays in memory: %s", key.table_id, key.region_id, error)
            return
        if mapped is not None:
            applied = self._applied(key.region_id)
            go_on_with(self._cache, files, self._journals, key, mapped, applied)

    def _applied(self, region_id: int) -> int | None:
        taken = self._snapshot(region_id)
        if taken is None:
            return None
        taken[0].close()
        return taken[2]


def go_on_with(
    cache: ArrowCache, files: MirrorFiles, journals: Journals, key: BaseKey, mapped: TableBase, applied: int | None
) -> None:
    """Use what was just saved, and keep its journal from now on. In the store's loop: what was committed up to the
    region's `applied` index is in the cache, and what comes is told to the journal, with nothing between. The journal
    begins with a frame up to that index: what was committed before a split or a merge no log tells any more."""
    journals.drop(key)
    if applied is None or not cache.saved(key, mapped):
        files.remove(key)
        return
    try:
        journal = files.begin_journal(key)
    except OSError as error:
        log.warning("table %d in region %d: its file has no journal, %s", key.table_id, key.region_id, error)
        return
    if journal is not None:
        for entry in cache.committed_since(key, mapped.index):
            journal.note(*entry)
        journals.keep(key, journal)
        journals.write(key.region_id, applied)
