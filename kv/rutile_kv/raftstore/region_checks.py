"""Slow looks at whole regions, beside the rounds: where to cut them, and whether replicas hold the same.

The engine snapshot is taken in the store's turn, the reading is done in a thread, a slice at a time, so that other
threads get theirs and a store that stops need not wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from rutile_kv.engine.api import Engine, Snapshot
from rutile_kv.raftstore import split_check
from rutile_kv.raftstore.config import StoreConfig
from rutile_kv.raftstore.consistency import HashScan
from rutile_kv.raftstore.events import CheckSplit, Event, HashComputed, HashRegion, SplitChecked
from rutile_kv.raftstore.load import Span, balanced_key
from rutile_kv.raftstore.region_profile import ProfileScan, RegionProfile, spans_tables
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import InvalidRequest, RutileError

log = logging.getLogger(__name__)

SLICE_ENTRIES = 4096
"""Read in one go: a few milliseconds, between which the loop has the interpreter to itself."""

CutRegion = Callable[[metapb.Region, Sequence[bytes]], Awaitable[object]]
"""Cut a region, as it was when it was looked at, at these keys. Raises RutileError."""


class RegionChecks:
    """The checks of one store; one at a time, in a thread of their own."""

    def __init__(self, engine: Engine, config: StoreConfig, step: Callable[[Event], None], cut: CutRegion) -> None:
        self._engine = engine
        self._config = config
        self._step = step
        self._cut = cut
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rutile-check")

    def close(self) -> None:
        """Wait for the slice that is being read. Nothing may be asked for any more."""
        self._thread.shutdown()

    async def check_split(self, check: CheckSplit) -> None:
        """Tell the core what a region holds, and cut it if it is too big. One that is not is read only if it holds
        several tables."""
        region, version = check.region, check.region.region_epoch.version
        oversized = split_check.is_oversized(check.size_bytes, check.keys, self._config)
        if not oversized and not spans_tables(self._engine, region):
            self._step(SplitChecked(region.id, version, check.size_bytes, check.keys))
            return
        profile = await self._profile(region)
        self._step(SplitChecked(region.id, version, profile.size_bytes, profile.keys))
        keys = split_check.split_keys(profile, self._config)
        if keys:
            await self._try_cut(region, keys, f"{profile.size_bytes} bytes and {profile.keys} keys")

    async def split_in_half(self, region: metapb.Region) -> None:
        """Cut a region in the middle. Raises RutileError, InvalidRequest when it has none."""
        keys = split_check.in_half(await self._profile(region))
        if not keys:
            raise InvalidRequest(f"region {region.id} has no border inside at which it could be cut")
        await self._cut(region, keys)

    async def split_for_load(self, region: metapb.Region, spans: Sequence[Span]) -> None:
        """Cut a hot region so that both halves are asked alike, if that can be done."""
        key = balanced_key(spans, region)
        if key is not None:
            await self._try_cut(region, [key], "many requests")

    async def hash_region(self, snapshot: Snapshot, asked: HashRegion) -> None:
        """Hash a region's data in `snapshot`, which is closed then, and tell the core."""
        loop = asyncio.get_running_loop()
        with snapshot:
            scan = await loop.run_in_executor(self._thread, HashScan, snapshot, asked.region)
            while await loop.run_in_executor(self._thread, scan.advance, SLICE_ENTRIES):
                pass
        self._step(HashComputed(asked.region.id, asked.index, scan.value()))

    async def _try_cut(self, region: metapb.Region, keys: Sequence[bytes], why: str) -> None:
        try:
            await self._cut(region, keys)
        except RutileError as error:
            log.info("region %d was not cut for its %s: %s", region.id, why, error)
        else:
            log.info("region %d was cut into %d for its %s", region.id, len(keys) + 1, why)

    async def _profile(self, region: metapb.Region) -> RegionProfile:
        loop = asyncio.get_running_loop()
        with self._engine.snapshot() as snapshot:
            scan = await loop.run_in_executor(self._thread, ProfileScan, snapshot, region)
            while await loop.run_in_executor(self._thread, scan.advance, SLICE_ENTRIES):
                pass
            return await loop.run_in_executor(self._thread, scan.profile)
