"""Replicas that lag behind, waited for before their data is changed beside the log.

A range is destroyed on each store for itself. Where a replica has yet to apply entries that wrote to the range, they
would be applied afterwards: it would hold again what its peers have not. So before anything is destroyed, every replica
here that meets the range asks its leader for what is committed (ReadIndex, thesis §6.4) and applies that much. What was
split off meanwhile is waited for as well; what was damaged serves nobody and is not waited for.

Nothing keeps the range from being written afterwards, or a leader that still has it from sending it in a snapshot: the
one is the caller's promise, against the other ranges are destroyed twice (`rutile_kv.client.delete_ranges`).
"""

from __future__ import annotations

import asyncio
from functools import partial

from rutile_kv.client.parallel import run_bounded
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.pd_commands import context_of
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RegionError, StorageError

PATIENCE_SECONDS = 30.0
"""So long all replicas in a range may take together; well below what callers allow for destroying it."""
RETRY_SECONDS = 0.1
REGIONS_AT_ONCE = 16


class ReplicaLags(StorageError):
    """A replica here did not apply in time what was committed. Nothing was changed; try again once it has a leader."""


class CatchingUp:
    """Of the replicas of one store. Belongs to its event loop."""

    def __init__(self, driver: StoreDriver, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._driver = driver
        self._patience_seconds = patience_seconds

    async def wait(self, start: bytes, end: bytes) -> None:
        """Returns once every replica here that meets [start, end) (storage keys) has applied what was committed when
        this was called. Raises ReplicaLags when one has not in time, StorageError when the store has failed."""
        behind: dict[int, RegionError | None] = {}
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._all(start, end, behind)
        except TimeoutError:
            why = "; ".join(f"region {each}: {said or 'no answer yet'}" for each, said in list(behind.items())[:3])
            raise ReplicaLags(
                f"{len(behind)} replicas in the range have not applied what is committed within"
                f" {self._patience_seconds:g} s ({why}): nothing was destroyed on this store; try again"
            ) from None

    async def _all(self, start: bytes, end: bytes, behind: dict[int, RegionError | None]) -> None:
        """What a replica splits off while it catches up begins its own log: round after round, until nothing is new."""
        seen: dict[int, None] = {}
        while new := [region_id for region_id in self._meeting(start, end) if region_id not in seen]:
            behind |= dict.fromkeys(new)
            await run_bounded([partial(self._one, region_id, behind) for region_id in new], REGIONS_AT_ONCE)
            seen |= dict.fromkeys(new)

    async def _one(self, region_id: int, behind: dict[int, RegionError | None]) -> None:
        while (info := self._driver.store.region_info(region_id)) is not None and not info.damage:
            context = context_of(info)
            context.replica_read = True
            try:
                await self._driver.read_view(context)
                break
            except RegionError as error:
                behind[region_id] = error
            await asyncio.sleep(RETRY_SECONDS)
        del behind[region_id]

    def _meeting(self, start: bytes, end: bytes) -> list[int]:
        regions = (info.region for info in self._driver.region_infos())
        return [region.id for region in regions if _meets(region, start, end)]


def _meets(region: metapb.Region, start: bytes, end: bytes) -> bool:
    return region.start_key < end and (not region.end_key or start < region.end_key)
