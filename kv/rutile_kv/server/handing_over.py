"""Before a region gets another leader or another range: the locks that only memory has are written out.

It saves transactions from being aborted, no more: locks that are not written in time get lost, which their owners find
out (`txn.memory_locks`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rutile_kv.txn.commands.persist_locks import PersistLocks
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import RutileError
from rutile_proto.keys import user_key

log = logging.getLogger(__name__)

PERSIST_SECONDS = 1.0
"""What a change of a region waits for its locks to be written out."""
PERSIST_KEYS = 256
"""Locks written out by one command."""


class HandingOver:
    """Entered round each change of a region: `StoreDriver.handing_over`."""

    def __init__(self, scheduler: TxnScheduler) -> None:
        self._scheduler = scheduler

    @asynccontextmanager
    async def __call__(self, context: kvrpcpb.Context) -> AsyncIterator[None]:
        """Locks in memory are written out first, and until the change is made no new ones are kept there."""
        memory = self._scheduler.memory_locks
        if not memory.close_region(context.region_id):
            yield
            return
        try:
            writing = asyncio.ensure_future(self._write_out(context))
            await asyncio.wait((writing,), timeout=PERSIST_SECONDS)
            yield
        finally:
            memory.open_region(context.region_id)

    async def _write_out(self, context: kvrpcpb.Context) -> None:
        keys = [user_key(key) for key in self._scheduler.memory_locks.keys(context.region_id)]
        try:
            for at in range(0, len(keys), PERSIST_KEYS):
                await self._scheduler.execute(context, PersistLocks(tuple(keys[at : at + PERSIST_KEYS])))
        except RutileError as error:  # the region moves by itself: its locks are lost
            log.info("region %d: pessimistic locks were not written out: %s", context.region_id, error)
