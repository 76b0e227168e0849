"""`FencedKv`: writes that fail when another leader may have written since their command read.

A transaction command reads, decides, and writes what it decided; latches keep other commands of this store out in
between, but not another leader. So the view notes the term it was read in, and the write is refused (StaleCommand)
once that term is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.engine.api import Modify, Reader, Snapshot
from rutile_kv.raftstore.driver import StoreDriver
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.types import LogIndex


class FencedKv:
    """The driver as the transaction scheduler uses it (txn.shell.RegionKv)."""

    def __init__(self, driver: StoreDriver) -> None:
        self._driver = driver

    async def read_view(self, context: kvrpcpb.Context) -> Reader:
        """The driver's view; sets `context.term` to the term this store leads the region in."""
        view = await self._driver.read_view(context)
        context.term = self._driver.store.led_term(context.region_id)
        return view

    def view_now(self, context: kvrpcpb.Context) -> tuple[Reader, metapb.Region] | None:
        """The driver's, and the term as well."""
        found = self._driver.view_now(context)
        if found is not None:
            context.term = self._driver.store.led_term(context.region_id)
        return found

    def local_view(self, context: kvrpcpb.Context) -> Reader:
        """The region as this replica has applied it, until the next await: for sweeps that look for what may go, and
        ask again before they remove it. Unlike `read_view` it wakes no sleeping region. Raises RegionError."""
        _, view = self._driver.stale_view(context)
        return view

    async def snapshot(self, context: kvrpcpb.Context) -> tuple[Snapshot, metapb.Region, LogIndex]:
        return await self._driver.snapshot(context)

    async def write(self, context: kvrpcpb.Context, modifies: Sequence[Modify]) -> None:
        await self._driver.write(context, modifies)
