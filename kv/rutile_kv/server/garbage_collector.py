"""Removes versions below the safe point from the regions this store leads, through Raft, a little at a time.

A walk looks through the family write of each region in pages; keys with garbage are collected by transaction commands
(txn.commands.CollectGarbage), each one log entry of bounded size, with a rest in between. A region in which nothing was
written since a walk found everything in it below its safe point has nothing new to offer, and is passed over. A walk
looks at what this replica has applied, which wakes no sleeping region; the commands look again. Regions that lost much
are compacted afterwards, on this store: the others compact when RocksDB sees fit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rutile_kv.engine.api import Reader
from rutile_kv.mvcc.gc import find_garbage
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.txn.commands import CollectGarbage
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RegionError, TxnError, UndeterminedResult

log = logging.getLogger(__name__)

PAGE_RECORDS = 2048
"""Records looked through in one turn of the loop: about two milliseconds."""
KEYS_AT_ONCE = 128
RECORDS_AT_ONCE = 512
"""What one log entry removes at most."""
REST_S = 0.03
"""After each page and each entry."""
COMPACT_AFTER = 10_000
"""Records removed from a region that make it worth compacting."""

Compact = Callable[[bytes, bytes | None], Awaitable[None]]


class Views(Protocol):
    """What the collector asks of the store's regions."""

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The region, linearizable; good until the next await. Raises RegionError."""

    def local_view(self, context: kvrpcpb.Context) -> Reader:
        """The region as this replica has applied it, until the next await. Raises RegionError."""


@dataclass(slots=True)
class _Passed:
    """What is known of a region that was walked to its end."""

    data_version: int
    safe_point: int
    newest_ts: int


class GarbageCollector:
    """The walks of one store."""

    def __init__(
        self,
        kv: Views,
        scheduler: TxnScheduler,
        regions: Callable[[], Sequence[RegionInfo]],
        compact: Compact,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`regions` are those of the store, in key order; `compact` gives back the space of a range of storage keys."""
        self._kv = kv
        self._scheduler = scheduler
        self._regions = regions
        self._compact = compact
        self._sleep = sleep
        self._passed: dict[int, _Passed] = {}

    async def walk(self, safe_point: int) -> int:
        """One walk over all regions led from here; how many records it removed."""
        removed = 0
        infos = [info for info in self._regions() if info.is_leader]
        self._passed = {
            info.region.id: self._passed[info.region.id] for info in infos if info.region.id in self._passed
        }
        for info in infos:
            if self._may_have_garbage(info):
                removed += await self._walk_region(info, safe_point)
        return removed

    async def collect(self, context: kvrpcpb.Context, region: metapb.Region, safe_point: int) -> int:
        """Remove the garbage of one region led from here; how many records that were. Raises RegionError,
        UndeterminedResult."""
        await self._kv.read_view(_copy(context))  # so that everything acknowledged until now is applied here
        removed, _ = await self._collect(context, region, safe_point)
        if removed >= COMPACT_AFTER:
            await self._compact(region.start_key, region.end_key or None)
        return removed

    async def _walk_region(self, info: RegionInfo, safe_point: int) -> int:
        """A region that changes under the walk is left to the next one."""
        try:
            removed, newest_ts = await self._collect(context_of(info), info.region, safe_point)
        except (RegionError, TxnError, UndeterminedResult) as error:
            log.debug("garbage of region %d is left to the next walk: %s", info.region.id, error)
            return 0
        if not removed:
            self._passed[info.region.id] = _Passed(info.data_version, safe_point, newest_ts)
        elif removed >= COMPACT_AFTER:
            await self._compact(info.region.start_key, info.region.end_key or None)
        return removed

    def _may_have_garbage(self, info: RegionInfo) -> bool:
        passed = self._passed.get(info.region.id)
        if passed is None or passed.data_version != info.data_version:
            return True
        return passed.newest_ts > passed.safe_point

    async def _collect(self, context: kvrpcpb.Context, region: metapb.Region, safe_point: int) -> tuple[int, int]:
        """(records removed, newest commit_ts seen)."""
        removed, newest_ts, place = 0, 0, region.start_key
        while True:
            reader = self._kv.local_view(context)
            page = find_garbage(reader, place, region.end_key or None, safe_point, PAGE_RECORDS)
            newest_ts = max(newest_ts, page.newest_ts)
            for at in range(0, len(page.keys), KEYS_AT_ONCE):
                removed += await self._remove(context, tuple(page.keys[at : at + KEYS_AT_ONCE]), safe_point)
            if page.next_start is None:
                return removed, newest_ts
            place = page.next_start
            await self._sleep(REST_S)

    async def _remove(self, context: kvrpcpb.Context, keys: tuple[bytes, ...], safe_point: int) -> int:
        removed = 0
        while keys:
            done = await self._scheduler.execute(context, CollectGarbage(keys, safe_point, RECORDS_AT_ONCE))
            removed += done.records
            keys = done.unfinished
            await self._sleep(REST_S)
        return removed


def _copy(context: kvrpcpb.Context) -> kvrpcpb.Context:
    """A view notes the term it was led in; the removals may outlive terms."""
    copy = kvrpcpb.Context()
    copy.CopyFrom(context)
    return copy
