"""Temporary tables' rows: they lie in the store under table ids of their own, and go with the session.

Their definitions are in no catalogue, only in their session's memory (`rutile.session.temporary`). So that the rows of
a front end that died do not stay for ever, it writes down which ids it uses, and renews a lease while it has any:

    m temporary_table <front end> <table id>    JSON: the two
    m temporary_lease <front end>               until when the front end is taken for alive, in ms

Whoever starts removes what belongs to front ends whose lease has passed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets

from rutile.catalog import meta
from rutile.catalog.transactions import in_transaction
from rutile.session.storage import KvClient, KvTransaction
from rutile_proto.errors import RutileError
from rutile_proto.keys import meta_key
from rutile_proto.timestamps import physical_ms

LEASE_MS = 120_000
RENEW_EVERY_S = 30.0
_TABLES = meta_key("temporary_table")
_log = logging.getLogger(__name__)


class TemporaryIds:
    """The table ids that sessions of one front end use for temporary tables."""

    def __init__(self, client: KvClient, *, single_front_end: bool) -> None:
        self._client = client
        self._single = single_front_end
        self._name = secrets.token_hex(8)
        self._used: set[int] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, as_of: int) -> None:
        """Remove what front ends have left that are no more. `as_of` is a timestamp of just now."""
        if await meta.scan_all(self._client.snapshot(as_of), _TABLES):
            await in_transaction(self._client, self._sweep)

    async def close(self) -> None:
        """Remove what is left, and stop."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        for table_id in sorted(self._used):
            await self.give_back(table_id)

    async def take(self) -> int:
        """A fresh table id, noted as this front end's."""
        taken: list[int] = []

        async def change(txn: KvTransaction) -> None:
            taken[:] = [await meta.next_id(txn)]
            body = {"front_end": self._name, "table_id": taken[0]}
            txn.put(meta_key("temporary_table", self._name, taken[0]), json.dumps(body).encode())
            self._renew(txn)

        await in_transaction(self._client, change)
        self._used.add(taken[0])
        if self._renewing is None and not self._single:
            self._renewing = asyncio.create_task(self._keep_lease(), name="lease of temporary tables")
        return taken[0]

    async def give_back(self, table_id: int) -> None:
        """The table is dropped: its keys go when nobody can read them any more."""

        async def change(txn: KvTransaction) -> None:
            meta.forget_rows(txn, table_id)
            txn.delete(meta_key("temporary_table", self._name, table_id))

        await in_transaction(self._client, change)
        self._used.discard(table_id)

    # --- the lease ---

    def _renew(self, txn: KvTransaction) -> None:
        until_ms = physical_ms(txn.start_ts) + LEASE_MS
        txn.put(meta_key("temporary_lease", self._name), str(until_ms).encode())

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if not self._used:
                continue
            try:
                await in_transaction(self._client, self._renewed)
            except RutileError as error:
                _log.warning("the lease of temporary tables was not renewed: %s", error)

    async def _renewed(self, txn: KvTransaction) -> None:
        self._renew(txn)

    async def _sweep(self, txn: KvTransaction) -> None:
        now_ms = physical_ms(txn.start_ts)
        for key, value in await meta.scan_all(txn, _TABLES):
            body = json.loads(value)
            lease_key = meta_key("temporary_lease", body["front_end"])
            if self._single or await meta.read_counter(txn, lease_key) < now_ms:
                meta.forget_rows(txn, body["table_id"])
                txn.delete(key)
                txn.delete(lease_key)
