"""Old transactions hold garbage collection back.

A version lives on for the cluster's life time (ten minutes) after it was overwritten, so a transaction shorter than
that needs no protection. This client looks once a minute whether one of its running transactions has grown old; while
there is one, it holds a service safe point in PD just below it. PD forgets it if the client dies.

Snapshots without a transaction (`Client.snapshot`) are not held: read below the safe point, they fail.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Protocol
from uuid import uuid4

from rutile_kv.client.backoff import Pace
from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.pd import PdClient
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
TTL_S = 200
"""A hold outlives three looks that failed to renew it."""


class Running(Protocol):
    """A transaction, as far as this module is concerned."""

    @property
    def oldest_ts(self) -> int | None:
        """The timestamp it reads at; None once it has ended."""


class GcHold:
    """The running transactions of one client. One that is dropped without an end is forgotten with it."""

    def __init__(self, pd: PdClient, pace: Pace) -> None:
        self._pd = pd
        self._pace = pace
        self._service = f"rutile-client-{uuid4()}".encode()
        self._running: weakref.WeakSet[Running] = weakref.WeakSet()
        self._looking: asyncio.Task[None] | None = None

    def add(self, transaction: Running) -> None:
        """It runs from now on."""
        self._running.add(transaction)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="gc hold")

    def oldest_ts(self) -> int | None:
        """The least timestamp a running transaction reads at."""
        every = [ts for transaction in list(self._running) if (ts := transaction.oldest_ts) is not None]
        return min(every, default=None)

    async def close(self) -> None:
        """Let PD forget the hold when its time is over."""
        if self._looking is not None:
            await cancel_all([self._looking])

    async def _look(self) -> None:
        """Look until nothing runs. Transactions that end before the first look cost nothing."""
        holds = False
        while True:
            await self._pace.sleep(LOOK_EVERY_S)
            oldest = self.oldest_ts()
            try:
                holds = await self._hold(oldest, holds)
            except RutileError as error:
                log.warning("garbage collection is not held back at %s: %s", oldest, error)
            if oldest is None and not holds:
                return

    async def _hold(self, oldest: int | None, holds: bool) -> bool:
        if oldest is not None:
            await self._pd.update_service_gc_safe_point(self._service, TTL_S, oldest - 1)
        elif holds:
            await self._pd.update_service_gc_safe_point(self._service, 0, 0)
        return oldest is not None
