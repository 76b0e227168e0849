"""What the services want of the raftstore's driver, and how requests relate to a region's range.

`RegionStore` is the Protocol; `raftstore.driver.StoreDriver` is the real one, `tests/server/direct_kv.py` the one
without Raft. Region ranges are in storage (memcomparable) form, requests carry user keys; an empty bound is infinity in
both forms and is never encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rutile_kv.engine.api import Reader, Snapshot
from rutile_kv.txn.shell import RegionKv
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import KeyNotInRegion, RegionError
from rutile_proto.keys import storage_key, user_bound
from rutile_proto.types import LogIndex

UserRange = tuple[bytes, bytes]
"""[low, high) of user keys, empty for no bound."""


class RegionStore(RegionKv, Protocol):
    """A store's regions: linearizable views, writes, and what is known about each region."""

    async def read_view(self, context: kvrpcpb.Context) -> Reader: ...

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        """The live engine, linearizable, within the region, and the region; None if that takes an await. Notes nothing
        in the context. Raises RegionError."""

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]: ...

    async def snapshots(
        self, contexts: Sequence[kvrpcpb.Context]
    ) -> list[tuple[Snapshot, metapb.Region, LogIndex] | RegionError]:
        """Of many regions at one moment; closing any of them closes all."""

    def region(self, region_id: int) -> metapb.Region | None:
        """The region as this store last applied it, or None when it is not here."""

    def former_region(self, region_id: int) -> metapb.Region | None:
        """A region that was here and is gone, as it was known last."""

    def find_region(self, storage_key: bytes) -> metapb.Region | None:
        """The region here that covers a key, or None."""

    async def split(self, context: kvrpcpb.Context, split_keys: Sequence[bytes]) -> list[metapb.Region]:
        """Split at `split_keys` (storage form, ascending) under ids from PD; all parts, in key order, the old id last.
        Raises RegionError, InvalidRequest, PdError."""

    async def merge(self, context: kvrpcpb.Context, target: metapb.Region) -> metapb.Region:
        """Merge a region into its right neighbour; returns it when it is prepared. Raises RegionError,
        InvalidRequest."""

    async def check_consistency(self, context: kvrpcpb.Context) -> None:
        """Have the replicas of a region compare their data; returns when they have begun. Raises RegionError."""


def user_range(region: metapb.Region) -> UserRange:
    """The region's range in user keys."""
    return user_bound(region.start_key), user_bound(region.end_key)


def clip(low: bytes, high: bytes, region: metapb.Region) -> UserRange | None:
    """The part of [low, high) within the region, or None when there is none."""
    region_low, region_high = user_range(region)
    low = max(low, region_low)
    if region_high and (not high or region_high < high):
        high = region_high
    return None if high and low >= high else (low, high)


def check_in_region(region: metapb.Region | None, context: kvrpcpb.Context, keys: Iterable[bytes]) -> None:
    """Raises KeyNotInRegion for the first of the user `keys` outside the region.

    Says nothing when the region is unknown here or its epoch version differs from the request's: the raftstore's own
    check, which comes earlier in TiKV's order, answers with a better error.
    """
    if region is None or region.region_epoch.version != context.region_epoch.version:
        return
    for key in keys:
        stored = storage_key(key)
        if stored < region.start_key or (region.end_key and stored >= region.end_key):
            raise KeyNotInRegion(key, region.id, region.start_key, region.end_key)
