"""Removes the rows of dropped tables, in the background, from the list the catalogue keeps of them."""

from __future__ import annotations

import asyncio
import logging

from rutile.catalog import meta
from rutile.storage import KvClient
from rutile_proto.errors import RutileError
from rutile_proto.keys import prefix_next, table_prefix

BATCH_KEYS = 2_000
"""Keys deleted in one transaction."""

_log = logging.getLogger(__name__)


class RowRemover:
    """Deletes by ordinary transactions, so nothing special happens at the stores, and it can stop anywhere."""

    def __init__(self, client: KvClient) -> None:
        self._client = client
        self._tasks: set[asyncio.Task[None]] = set()

    async def resume(self) -> None:
        """Start on what an earlier process left."""
        ts = await self._client.timestamp()
        for table_id in await meta.dropped_tables(self._client.snapshot(ts)):
            self.start(table_id)

    def start(self, table_id: int, after_s: float = 0.0) -> None:
        """Remove the rows of `table_id`, beginning in `after_s` seconds."""
        task = asyncio.ensure_future(self._run(table_id, after_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop; what is left stays on the list for the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, table_id: int, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            await self._remove(table_id)
        except RutileError as error:
            _log.warning("rows of dropped table %d stay until the next start: %s", table_id, error)

    async def _remove(self, table_id: int) -> None:
        prefix = table_prefix(table_id)
        more = True
        while more:
            more = await self._remove_batch(prefix)
        txn = await self._client.begin()
        txn.delete(meta.dropped_key(table_id))
        await txn.commit()

    async def _remove_batch(self, prefix: bytes) -> bool:
        """Delete one batch; whether there may be more."""
        txn = await self._client.begin()
        pairs = await txn.scan(prefix, prefix_next(prefix), BATCH_KEYS)
        for key, _ in pairs:
            txn.delete(key)
        await (txn.commit() if pairs else txn.rollback())
        return len(pairs) == BATCH_KEYS
