"""The catalogue in memory: used for a lease, then checked by one read, reloaded when it moved.

A lease is had only under a place among the front ends (`front_ends.py`), taken before the read that begins it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rutile.catalog import meta
from rutile.catalog.front_ends import OwnPlace
from rutile.catalog.model import CatalogSnapshot
from rutile.session.storage import KvClient
from rutile_proto.errors import RutileError

LEASE_S = 0.2
"""How long a front end may use the catalogue without asking; what DROP waits for the others at most."""
PLACE_WITHIN_S = 1.0
"""How long a statement waits for its front end's place; where writing takes longer it goes on without a lease."""
_log = logging.getLogger(__name__)


class CatalogCache:
    """Gives a snapshot that was current at some moment of the last `lease_s` seconds."""

    def __init__(
        self, client: KvClient, monotonic: Callable[[], float], *, lease_s: float, single_front_end: bool
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._lease_s = lease_s
        self._single = single_front_end
        self._snapshot: CatalogSnapshot | None = None
        self._valid_until = self._checked_at = 0.0
        self.used_at = 0.0
        """When somebody last asked for the snapshot."""
        self.valid_as_of = 0
        """A timestamp at which the snapshot was current: what it says holds for commits up to a lease after it."""
        self._loading = asyncio.Lock()
        self.place = OwnPlace(client, lease_s)
        """Among the front ends; a single one has none."""
        self._taking: asyncio.Task[bool] | None = None

    @property
    def version(self) -> int:
        """Of the catalogue as it is known here; 0 before it is."""
        return self._snapshot.version if self._snapshot is not None else 0

    def cached(self) -> CatalogSnapshot | None:
        """The snapshot if the lease still holds, without asking anyone: the way of point statements."""
        if self._single:
            return self._snapshot
        self.used_at = self._monotonic()
        return self._snapshot if self.used_at < self._valid_until else None

    async def current(self) -> CatalogSnapshot:
        """The snapshot within its lease, or checked just now."""
        return self.cached() or await self.refresh(if_older_than=self._monotonic())

    async def refresh(self, *, if_older_than: float | None = None) -> CatalogSnapshot:
        """Check the version now, and load everything if it moved. Callers that wait here share one check."""
        asked = self._monotonic() if if_older_than is None else if_older_than
        async with self._loading:
            if self._snapshot is not None and self._checked_at > asked:
                return self._snapshot  # somebody else checked while we waited
            # The lease counts from before the question: the answer may be as old as that.
            started, ts = self._monotonic(), await self._client.timestamp()
            lease_s = self._lease_s
            if not self._single and not self.place.covers(ts):
                lease_s = await self._take_place()
                started, ts = self._monotonic(), await self._client.timestamp()
            version = await meta.read_counter(self._client.snapshot(ts), meta.SCHEMA_VERSION_KEY)
            if self._snapshot is None or self._snapshot.version != version:
                self._snapshot = await meta.load(self._client.snapshot(ts))
            self._checked_at, self._valid_until = started, started + lease_s
            self.valid_as_of = ts
            return self._snapshot

    async def _take_place(self) -> float:
        """How long a lease may be: none without a place, where nothing can be written; then each use asks again."""
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._try_place(), name="place among the front ends")
        await asyncio.wait([self._taking], timeout=PLACE_WITHIN_S)
        return self._lease_s if self._taking.done() and self._taking.result() else 0.0

    async def _try_place(self) -> bool:
        try:
            await self.place.hold(self.place.version)
        except RutileError as error:
            _log.warning("no place among the front ends, so every statement asks for the catalogue: %s", error)
            return False
        return True

    async def close(self) -> None:
        """Give the place up; nothing is used or committed from here any more."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
        await self.place.leave()
