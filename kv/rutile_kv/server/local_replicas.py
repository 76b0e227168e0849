"""What a scan ticket reads of the replicas in this process: whole regions, as Arrow batches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa

from rutile_coprocessor.fragment import Fragment
from rutile_kv.server.coprocessor_endpoint import CoprocessorEndpoint
from rutile_kv.server.fragment_task import FragmentJob
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.region_views import RegionRead, RegionsNotServed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.errors import LockFacts, RegionNotFound
from rutile_proto.keys import storage_key, user_bound

FRAGMENT_TIMEOUT_S = 60.0
"""For one region."""


class LocalReplicas:
    """The replicas of this store, leaders or not: a follower asks its leader how far it has to be."""

    def __init__(self, store_id: int, store: RegionStore, endpoint: CoprocessorEndpoint) -> None:
        self._store_id = store_id
        self._store = store
        self._endpoint = endpoint

    def region_end(self, position: bytes) -> bytes | None:
        region = self._store.find_region(storage_key(position))
        return None if region is None or self._peer(region) is None else user_bound(region.end_key)

    async def rows(
        self, ticket: ticketpb.ScanTicket, fragment: Fragment, start: bytes, end: bytes, passable: Collection[int]
    ) -> list[pa.RecordBatch] | LockFacts:
        region = self._store.find_region(storage_key(start))
        peer = None if region is None else self._peer(region)
        if region is None or peer is None:
            raise RegionNotFound(0)
        context = kvrpcpb.Context(region_id=region.id, region_epoch=region.region_epoch, peer=peer, replica_read=True)
        job = FragmentJob(
            fragment=_with_range(fragment, start, end),
            ts=ticket.ts,
            bypass=frozenset(passable),
            memory_bytes=self._endpoint.memory_bytes,
            timeout_seconds=FRAGMENT_TIMEOUT_S,
            plain=bool(ticket.plain_columns),
        )
        try:
            return await self._endpoint.rows(job, RegionRead(context, [(start, end)]))
        except RegionsNotServed as error:
            raise error.failures[0][1] from error

    def _peer(self, region: metapb.Region) -> metapb.Peer | None:
        """This store's own; a learner may be far behind and is left alone."""
        mine = (peer for peer in region.peers if peer.store_id == self._store_id and peer.role != metapb.Learner)
        return next(mine, None)


def _with_range(fragment: Fragment, start: bytes, end: bytes) -> Fragment:
    return replace(fragment, scans=(replace(fragment.scans[0], ranges=((start, end),)),))
