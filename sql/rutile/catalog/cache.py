"""The catalogue in memory: used for a lease, then checked by one read, reloaded when it moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rutile.catalog import meta
from rutile.catalog.model import CatalogSnapshot
from rutile.session.storage import KvClient

LEASE_S = 0.2
"""How long a front end may use the catalogue without asking; what DROP waits before it returns."""


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
        self._valid_until = 0.0
        self.valid_as_of = 0
        """A timestamp at which the snapshot was current: what it says holds for commits up to a lease after it."""
        self._loading = asyncio.Lock()

    def cached(self) -> CatalogSnapshot | None:
        """The snapshot if the lease still holds, without asking anyone: the way of point statements."""
        if self._snapshot is not None and (self._single or self._monotonic() < self._valid_until):
            return self._snapshot
        return None

    async def current(self) -> CatalogSnapshot:
        """The snapshot within its lease, or checked just now."""
        return self.cached() or await self.refresh(if_older_than=self._monotonic())

    async def refresh(self, *, if_older_than: float | None = None) -> CatalogSnapshot:
        """Check the version now, and load everything if it moved. Callers that wait here share one check."""
        asked = self._monotonic() if if_older_than is None else if_older_than
        async with self._loading:
            if self._snapshot is not None and self._valid_until - self._lease_s > asked:
                return self._snapshot  # somebody else checked while we waited
            # The lease counts from before the question: the answer may be as old as that.
            started = self._monotonic()
            ts = await self._client.timestamp()
            version = await meta.read_counter(self._client.snapshot(ts), meta.SCHEMA_VERSION_KEY)
            if self._snapshot is None or self._snapshot.version != version:
                self._snapshot = await meta.load(self._client.snapshot(ts))
            self._valid_until = started + self._lease_s
            self.valid_as_of = ts
            return self._snapshot
