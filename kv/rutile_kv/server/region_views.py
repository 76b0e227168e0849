"""Linearizable snapshots of the regions a fragment reads: all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rutile_kv.engine.api import Reader, Snapshot
from rutile_kv.server.region_store import RegionStore, UserRange
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RegionError


@dataclass(frozen=True, slots=True)
class RegionRead:
    """One region to read: where the request thinks it is, and which parts of it are wanted (user keys)."""

    context: kvrpcpb.Context
    ranges: Sequence[UserRange]


@dataclass(frozen=True, slots=True)
class RegionView:
    """A region as of one moment. Whoever holds it closes its snapshot."""

    region: metapb.Region
    snapshot: Snapshot
    reader: Reader
    """The snapshot with the locks that were on their way to it."""
    data_version: int | None
    """The region's data version in the snapshot; None when it changed while the snapshot was being taken."""
    ranges: Sequence[UserRange]


class RegionsNotServed(Exception):
    """Some of the regions could not be read here; `failures` holds them with the reason."""

    def __init__(self, failures: list[tuple[metapb.Region, RegionError]]) -> None:
        super().__init__("; ".join(str(error) for _, error in failures))
        self.failures = failures


async def open_views(store: RegionStore, scheduler: TxnScheduler, reads: Sequence[RegionRead]) -> list[RegionView]:
    """A view of each region, in the order asked. The caller has raised max_ts to the time it reads at.

    Raises RegionsNotServed, and then keeps none of them open.
    """
    views: dict[int, RegionView] = {}
    failures: list[tuple[metapb.Region, RegionError]] = []

    async def open_one(position: int, read: RegionRead) -> None:
        try:
            views[position] = await _open(store, scheduler, read)
        except RegionError as error:
            failures.append((_known_region(store, read.context), error))

    try:
        opening = (open_one(position, read) for position, read in enumerate(reads))
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if outcome is not None:
                raise outcome
        if failures:
            raise RegionsNotServed(failures)
    except BaseException:
        close_views(views.values())
        raise
    return [views[position] for position in range(len(reads))]


def close_views(views: Iterable[RegionView]) -> None:
    for view in views:
        view.snapshot.close()


async def _open(store: RegionStore, scheduler: TxnScheduler, read: RegionRead) -> RegionView:
    """The version is that of the snapshot only if it is the same on both sides of the wait for it."""
    before = store.data_version(read.context.region_id)
    snapshot, region, _ = await store.snapshot(read.context)
    after = store.data_version(read.context.region_id)
    return RegionView(region, snapshot, scheduler.over(snapshot), after if before == after else None, read.ranges)


def _known_region(store: RegionStore, context: kvrpcpb.Context) -> metapb.Region:
    """What to tell the client about a region it has to look up again."""
    known = store.region(context.region_id)
    return known or metapb.Region(id=context.region_id, region_epoch=context.region_epoch)
