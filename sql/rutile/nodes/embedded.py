"""A whole Rutile in this process: placement driver, one store and the SQL front end, joined by calls, not sockets.

    PdNode ◄── LocalStub ── PdClient ── Client ── Database (SQL)
    StoreNode ◄── LocalStub ──────────────┘

The same classes make a cluster of processes; only the stubs differ (rutile_kv.env.rpc). A directory is opened once per
process (rutile.dbapi): a second `connect` to it shares the node, and the last one to close stops it. A directory that
another process has open is refused (DataDirMismatch).
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from rutile.session.engine import Database, DatabaseOptions
from rutile_kv.client.client import Client
from rutile_kv.env.rpc import LocalStub
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.node import PdConfig, PdNode


class EmbeddedNode:
    """PD, one store and SQL in this process, durable under `path` (None: in memory, gone when closed)."""

    def __init__(self, pd: PdNode, store: StoreNode, client: Client, database: Database) -> None:
        self.pd = pd
        self.store = store
        self.client = client
        self.database = database

    @classmethod
    async def open(cls, path: Path | None) -> Self:
        """Start everything and return when the first region has its leader.

        Raises DataDirMismatch when the directory is open elsewhere, newer, or another cluster's.
        """
        pd = PdNode(path / "pd" if path else None, None, config=PdConfig(max_replicas=1))
        await pd.start()
        try:
            pd_stub = LocalStub(pd.servicer)
            store = StoreNode(StoreConfig(data_dir=path / "store" if path else None, address=None), pd_stub=pd_stub)
            await store.start()
        except BaseException:
            await pd.stop()
            raise
        client = Client.local(pd_stub, {store.store_id: LocalStub(store.servicer)})
        database = Database(client, options=DatabaseOptions(single_front_end=True))
        await database.start()
        return cls(pd, store, client, database)

    async def close(self) -> None:
        """Stop from the top down; everything acknowledged is on disk."""
        await self.database.close()
        await self.client.close()
        await self.store.stop()
        await self.pd.stop()
