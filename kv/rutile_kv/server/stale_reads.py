"""Stale reads: any replica serves what was committed at or below a timestamp it is known to be complete up to.

A replica's *safe timestamp* in a region is one at or below which nothing will be committed any more that is not applied
here already. It is found out as for watchers (`rutile_kv.watch`), but by the replica itself, and from a follower read:

1. take `ts` from PD and raise this store's max_ts to it. The question for a read index carries that to the leader
   (`read_index_gate`), where it waits until locks that may be committed at or below `ts` have landed;
2. once this replica has applied up to the read index, look at its locks. A transaction that has none here by now gets a
   commit_ts above `ts`, one that has gets one above its start_ts.

So safe_ts = min(ts, start_ts of the oldest lock - 1), and a lock met by a read at or below it need not be looked into:
its transaction commits later. A read above it is refused with DataIsNotReady, and the client goes to the leader.

Safe timestamps are advanced every `ADVANCE_SECONDS` in regions that were asked for stale reads within `KEEP_SECONDS`,
and nowhere else: regions that nobody reads go on sleeping. They are forgotten when the region's range changes: what a
merge brings along has a history of its own.

Not told: bulk loads, which come with a timestamp from before their beginning (nobody can name their table until then).
Fragments with `stale_read` are served like any other, by the leader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from rutile_kv.client.parallel import cancel_all, run_bounded
from rutile_kv.client.pd import PdClient
from rutile_kv.engine.api import CF_LOCK, Reader, Snapshot
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.txn.shell import TxnScheduler
from rutile_kv.watch.locks import Loading, LockTable
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import DataIsNotReady, RutileError, ServerIsBusy

log = logging.getLogger(__name__)

ADVANCE_SECONDS = 1.0
KEEP_SECONDS = 30.0
REGIONS_AT_ONCE = 16
REGION_SECONDS = 5.0
"""What one region may take; then it keeps the safe timestamp it has."""
LOCKS_AT_ONCE = 1024

Landed = Callable[[metapb.Region, int], Awaitable[None]]
"""Returns once no lock on its way to a region may be committed at or below a timestamp (`Watches.landed`)."""


class Everybody(frozenset[int]):
    """A set that holds every transaction."""

    def __contains__(self, start_ts: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


EVERYBODY = Everybody()


@dataclass(frozen=True, slots=True)
class _Safe:
    """How far a replica was known to be complete, and what it was then."""

    ts: int
    peer_id: int
    version: int


class StaleReads:
    """The safe timestamps of one store. Belongs to one event loop."""

    def __init__(self, driver: StoreDriver, scheduler: TxnScheduler, pd: PdClient, landed: Landed) -> None:
        self._driver = driver
        self._scheduler = scheduler
        self._pd = pd
        self._landed = landed
        self._safe: dict[int, _Safe] = {}
        self._wanted: dict[int, float] = {}
        """When each region was asked last."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="safe timestamps")

    async def close(self) -> None:
        if self._task is not None:
            await cancel_all([self._task])

    def safe_ts(self, region: metapb.Region, peer_id: int) -> int:
        """The newest timestamp at which the replica may be read; 0 if none is known."""
        safe = self._safe.get(region.id)
        if safe is None or (safe.peer_id, safe.version) != (peer_id, region.region_epoch.version):
            return 0
        return safe.ts

    def view(self, context: kvrpcpb.Context, version: int) -> tuple[Reader, metapb.Region]:
        """The replica's data, for a read at `version` that steps over all locks; until the next await. Raises
        DataIsNotReady and other RegionErrors."""
        region, reader = self._driver.stale_view(context)
        self._wanted[region.id] = asyncio.get_running_loop().time()
        self._wake.set()
        safe_ts = self.safe_ts(region, context.peer.id)
        if version > safe_ts:
            raise DataIsNotReady(region.id, context.peer.id, safe_ts)
        return reader, region

    # --- advancing ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            began = loop.time()
            self._wanted = {each: at for each, at in self._wanted.items() if began - at < KEEP_SECONDS}
            self._safe = {each: safe for each, safe in self._safe.items() if each in self._wanted}
            if not self._wanted:
                self._wake.clear()
                continue
            try:
                await self._advance(list(self._wanted))
            except RutileError as error:
                log.info("safe timestamps stay where they are: %s", error)
            await asyncio.sleep(max(0.0, began + ADVANCE_SECONDS - loop.time()))

    async def _advance(self, region_ids: list[int]) -> None:
        ts = await self._pd.timestamp()
        self._scheduler.max_ts.raise_to(ts)
        await run_bounded([partial(self._advance_region, each, ts) for each in region_ids], REGIONS_AT_ONCE)

    async def _advance_region(self, region_id: int, ts: int) -> None:
        info = self._driver.store.region_info(region_id)
        if info is None:
            return
        try:
            async with asyncio.timeout(REGION_SECONDS):
                safe = await self._find_out(info, ts)
        except (RutileError, TimeoutError) as error:
            log.info("the safe timestamp of region %d stays where it is: %s", region_id, error)
            return
        known = self._safe.get(region_id)
        if known is None or (known.peer_id, known.version) != (safe.peer_id, safe.version) or known.ts < safe.ts:
            self._safe[region_id] = safe

    async def _find_out(self, info: RegionInfo, ts: int) -> _Safe:
        context = context_of(info)
        if info.is_leader:
            await self._landed(info.region, ts)
        else:
            context.replica_read = True
        snapshot, region, _ = await self._driver.snapshot(context)
        with snapshot:
            oldest = await _oldest_lock(snapshot)
        safe_ts = ts if oldest is None else min(ts, oldest - 1)
        return _Safe(safe_ts, info.peer.id, region.region_epoch.version)


async def _oldest_lock(snapshot: Snapshot) -> int | None:
    """The start_ts of the oldest transaction with a lock in the snapshot that may become a version."""
    locks = LockTable()
    locks.begin()
    pairs = snapshot.scan(CF_LOCK, b"", None)
    while locks.loading is Loading.UNDER_WAY and (some := list(islice(pairs, LOCKS_AT_ONCE))):
        locks.found(some)
        await asyncio.sleep(0)
    locks.finish()
    if locks.loading is not Loading.DONE:
        raise ServerIsBusy("the region holds too many locks to tell the oldest")
    oldest = locks.oldest()
    return None if oldest is None else oldest[0]
