"""DirectKv: a store's regions over a memory engine, without Raft. What is written is applied at once.

It keeps the raftstore's checks (store, region, peer, epoch version, key in region) and tells observers what it applies,
so the services meet the same errors; leadership can be taken away with `followers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rutile_kv.engine.api import Modify
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.raftstore.observer import ApplyObserver
from rutile_kv.raftstore.region_reader import RegionReader, RegionSnapshot
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import (
    EpochNotMatch,
    InvalidRequest,
    KeyNotInRegion,
    MismatchPeerId,
    NotLeader,
    RegionError,
    RegionNotFound,
    StoreNotMatch,
)
from rutile_proto.types import LogIndex

STORE_ID = 1


def make_region(region_id: int, start: bytes = b"", end: bytes = b"", version: int = 1) -> metapb.Region:
    """A region of one peer on this store; bounds in storage form."""
    return metapb.Region(
        id=region_id,
        start_key=start,
        end_key=end,
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=version),
        peers=[metapb.Peer(id=region_id * 10, store_id=STORE_ID)],
    )


def context_for(region: metapb.Region) -> kvrpcpb.Context:
    return kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=region.peers[0])


class CountedSnapshot(RegionSnapshot):
    """Tells its DirectKv when it is closed, which happens once."""

    def __init__(self, kv: DirectKv, region: metapb.Region) -> None:
        super().__init__(kv.engine.snapshot(), region)
        self._kv = kv

    def close(self) -> None:
        super().close()
        self._kv.snapshots_open -= 1


class DirectKv:
    """RegionStore (server/region_store.py) without replication."""

    def __init__(self, *regions: metapb.Region) -> None:
        self.engine = MemoryEngine()
        self.regions = {region.id: region for region in regions or (make_region(1),)}
        self.followers: set[int] = set()
        self.broken: Exception | None = None
        """Raised by every access while set."""
        self.refused = 0
        """Accesses it was raised for."""
        self.stuck = False
        """Views do not come while set, until `free`."""
        self._freed = asyncio.Event()
        self.snapshots_taken = self.snapshots_open = 0
        self.observers: list[ApplyObserver] = []
        self._index = 0

    async def read_view(self, context: kvrpcpb.Context) -> RegionReader:
        if self.stuck:
            await self._freed.wait()
        return RegionReader(self.engine, self._check(context))

    def view_now(self, context: kvrpcpb.Context) -> tuple[RegionReader, metapb.Region] | None:
        if self.stuck:
            return None
        region = self._check(context)
        return RegionReader(self.engine, region), region

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[RegionSnapshot, metapb.Region, LogIndex]:
        region = self._check(context)
        self.snapshots_taken += 1
        self.snapshots_open += 1
        return CountedSnapshot(self, region), region, LogIndex(self._index)

    async def snapshots(
        self, contexts: Sequence[kvrpcpb.Context]
    ) -> list[tuple[RegionSnapshot, metapb.Region, LogIndex] | RegionError]:
        found: list[tuple[RegionSnapshot, metapb.Region, LogIndex] | RegionError] = []
        for context in contexts:
            try:
                found.append(await self.snapshot(context))
            except RegionError as error:
                found.append(error)
        return found

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        region = self._check(context)
        batch = self.engine.batch()
        for cf, key, value in modifies:
            if key < region.start_key or (region.end_key and key >= region.end_key):
                raise KeyNotInRegion(key, region.id, region.start_key, region.end_key)
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)
        self._index += 1
        for observer in self.observers:
            observer.on_applied(region, self._index, modifies)

    def free(self) -> None:
        """Let everybody go who is stuck, and nobody be stuck any more."""
        self.stuck = False
        self._freed.set()

    def region(self, region_id: int) -> metapb.Region | None:
        return self.regions.get(region_id)

    def former_region(self, region_id: int) -> metapb.Region | None:
        return None

    async def merge(self, context: kvrpcpb.Context, target: metapb.Region) -> metapb.Region:
        raise InvalidRequest("regions do not merge here")

    async def check_consistency(self, context: kvrpcpb.Context) -> None:
        raise InvalidRequest("there is one replica here, and nothing to compare")

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        covering = (each for each in self.regions.values() if each.start_key <= storage_key)
        return next((each for each in covering if not each.end_key or storage_key < each.end_key), None)

    async def split(self, context: kvrpcpb.Context, split_keys: Sequence[bytes]) -> list[metapb.Region]:
        """The last part keeps the id, as with the raftstore."""
        region = self._check(context)
        version = region.region_epoch.version + len(split_keys)
        starts = [region.start_key, *split_keys]
        ends = [*split_keys, region.end_key]
        ids = [*(max(self.regions) + 1 + place for place in range(len(split_keys))), region.id]
        parts = [make_region(*each, version) for each in zip(ids, starts, ends, strict=True)]
        self.regions |= {part.id: part for part in parts}
        return parts

    def _check(self, context: kvrpcpb.Context) -> metapb.Region:
        if self.broken is not None:
            self.refused += 1
            raise self.broken
        if context.peer.store_id not in (0, STORE_ID):
            raise StoreNotMatch(context.peer.store_id, STORE_ID)
        region = self.regions.get(context.region_id)
        if region is None:
            raise RegionNotFound(context.region_id)
        if context.peer.id not in (0, region.peers[0].id):
            raise MismatchPeerId(context.peer.id, region.peers[0].id)
        if region.id in self.followers and not context.replica_read:
            raise NotLeader(region.id)
        if context.region_epoch.version != region.region_epoch.version:
            raise EpochNotMatch(region.id, [region])
        return region
