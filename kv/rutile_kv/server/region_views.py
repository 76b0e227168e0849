"""Linearizable snapshots of the regions a fragment reads: all of them, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rutile_kv.columnar.pins import RegionPin
from rutile_kv.engine.api import Reader, Snapshot
from rutile_kv.server.ranges import intersect
from rutile_kv.server.region_store import RegionStore, UserRange, user_range
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RegionError
from rutile_proto.types import LogIndex


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
    pin: RegionPin | None
    """What the mirror had of the region when the snapshot was taken; None when it is not to be used."""
    ranges: Sequence[UserRange]
    """What is wanted of it: ascending, and within the region."""


Pin = Callable[[int, LogIndex], RegionPin | None]
"""Given a region's id and the index applied in a snapshot that was taken in this very turn."""


class RegionsNotServed(Exception):
    """Some of the regions could not be read here; `failures` holds them with the reason."""

    def __init__(self, failures: list[tuple[metapb.Region, RegionError]]) -> None:
        super().__init__("; ".join(str(error) for _, error in failures))
        self.failures = failures


def no_pin(region_id: int, index: LogIndex) -> None:
    """The mirror is not to be used."""


async def open_views(
    store: RegionStore, scheduler: TxnScheduler, reads: Sequence[RegionRead], pin: Pin = no_pin
) -> list[RegionView]:
    """A view of each region, in the order asked. The caller has raised max_ts to the time it reads at.

    Raises RegionsNotServed, and then keeps none of them open.
    """
    found = await store.snapshots([read.context for read in reads])
    views: list[RegionView] = []
    failures: list[tuple[metapb.Region, RegionError]] = []
    try:
        for read, outcome in zip(reads, found, strict=True):
            if isinstance(outcome, RegionError):
                failures.append((_known_region(store, read.context), outcome))
            else:  # they came back in the turn they were taken in, so the pin is of the same moment
                snapshot, region, index = outcome
                wanted = intersect(read.ranges, [user_range(region)])
                views.append(RegionView(region, snapshot, scheduler.over(snapshot), pin(region.id, index), wanted))
        if failures:
            raise RegionsNotServed(failures)
    except BaseException:
        close_views(views)
        raise
    return views


def close_views(views: Iterable[RegionView]) -> None:
    for view in views:
        view.snapshot.close()


def _known_region(store: RegionStore, context: kvrpcpb.Context) -> metapb.Region:
    """What to tell the client about a region it has to look up again."""
    known = store.region(context.region_id)
    return known or metapb.Region(id=context.region_id, region_epoch=context.region_epoch)
