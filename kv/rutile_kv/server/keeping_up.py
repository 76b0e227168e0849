"""Reads what was committed to the tables that queries read, so that the query after a million changes does not.

A query goes on from what the one before it found of the deltas (`rutile_kv.columnar.live`), at some ten microseconds a
change: nothing while queries follow each other, seconds after an hour of writes that nobody looked at. So now and then,
whenever enough has been committed, this does what a query would do for each table that is followed and has fallen
behind, in a thread, as of what is applied here. Only committed records are looked at, as in a fold: locks do not
matter, and readers of earlier moments have the states before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rutile_kv.columnar.cache import NEWS_ENTRIES, ArrowCache
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.live import LiveTable, Stretch
from rutile_kv.columnar.live_tables import LiveTables
from rutile_kv.columnar.mirror import FOREVER
from rutile_kv.columnar.pins import RegionPin
from rutile_kv.engine.api import Snapshot
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import EngineCorrupt, InvalidRequest, LayoutMismatch

log = logging.getLogger(__name__)

LocalSnapshot = Callable[[int], tuple[Snapshot, metapb.Region, int] | None]
"""A region's data as applied here in this very turn, the region and the index; None if it is not here. Whether others
have more is of no matter: what is folded, or kept up with, is committed."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A region as a reader meets it."""

    key: BaseKey
    region: metapb.Region
    snapshot: Snapshot
    pin: RegionPin


class KeepingUp:
    """With the deltas of a store's tables."""

    def __init__(self, cache: ArrowCache, followed: LiveTables, snapshot: LocalSnapshot) -> None:
        self._cache = cache
        self._followed = followed
        self._snapshot = snapshot

    async def catch_up(self) -> None:
        """Look at the tables one after the other. In the store's loop."""
        for table in self._followed.tables():
            if self._unseen(table) >= NEWS_ENTRIES:
                await self._follow(table)

    def _unseen(self, table: LiveTable) -> int:
        """How many changes nobody has read yet."""
        return sum(self._cache.unseen(key, index) for key, index in zip(table.keys, table.indexes, strict=True))

    async def _follow(self, table: LiveTable) -> None:
        parts: list[_Part] = []
        try:
            for key in table.keys:
                part = self._taken(key)
                if part is None:  # split, merged, or gone: those who read next make what takes its place
                    self._followed.forget(table)
                    return
                parts.append(part)
            await asyncio.to_thread(self._read, table, parts)
        except (EngineCorrupt, InvalidRequest, LayoutMismatch) as error:  # rows of a newer layout, most likely
            log.info("table %d is not kept up with any more: %s", table.schema.table_id, error)
            self._followed.forget(table)
        finally:
            for part in parts:
                part.snapshot.close()

    def _taken(self, key: BaseKey) -> _Part | None:
        """A snapshot of the region of `key`, and the mirror as of it; None if the region is another now."""
        taken = self._snapshot(key.region_id)
        if taken is None:
            return None
        snapshot, region, index = taken
        pin = self._cache.pin(region.id, [key.table_id], index)
        if pin is None or region.region_epoch.version != key.epoch_version:
            snapshot.close()
            return None
        return _Part(key, region, snapshot, pin)

    def _read(self, table: LiveTable, parts: Sequence[_Part]) -> None:
        """As a query for all rows would, if all bases are there; they may be newer ones than those of `table`."""
        stretches = []
        for part in parts:
            held = self._cache.find(part.key, part.pin, FOREVER)
            if held is None:
                self._followed.forget(table)
                return
            stretches.append(Stretch(part.region, held.base, held.delta, part.pin.index, part.snapshot))
        self._followed.rows(stretches, table.schema, FOREVER, _unbounded)


def _unbounded(size_bytes: int) -> None:
    """What is decoded is bounded by the bases; there is nobody to ask."""
