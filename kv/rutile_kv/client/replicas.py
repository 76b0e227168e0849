"""Reads from other replicas than the leader: which one, and what the request says.

*Closest* reads ask the replica whose store shares most labels with the client (`ClientOptions.labels`); it asks the
leader how far it has to be (ReadIndex) and answers when it is: as fresh as the leader's answer, and one short message
over the long way instead of all the data. *Stale* reads ask it for what it has (`Context.stale_read`): nobody else is
asked, but it may not be complete up to the snapshot's timestamp yet. Whoever refuses, or does not answer, is not asked
again for that region by the same snapshot: the leader is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.pd import PdClient
from rutile_kv.client.region_cache import CachedRegion
from rutile_proto import kvrpcpb_pb2 as kvrpcpb

MAX_REFUSALS = 4096
"""Regions a snapshot remembers as refused; then it forgets them and asks again."""


class ReadFrom(Enum):
    """Who serves the reads of a snapshot."""

    LEADER = auto()
    CLOSEST = auto()
    """The closest replica, once it is as far as the leader."""
    STALE = auto()
    """The closest replica as it is, if that is far enough."""


class Replicas:
    """How close each store is to a client with these labels."""

    def __init__(self, pd: PdClient, labels: Mapping[str, str]) -> None:
        self._pd = pd
        self._labels = dict(labels)
        self._closeness: dict[int, int] = {}

    async def closest(self, region: CachedRegion, backoff: Backoff) -> CachedRegion:
        """The region with the closest peer in the leader's place; the leader itself if none is closer. A client without
        labels spreads its regions over all replicas. Raises RetriesExhausted if PD does not tell the labels."""
        peers = list(region.region.peers)
        if not self._labels:
            return replace(region, leader=peers[region.id % len(peers)])
        if any(peer.store_id not in self._closeness for peer in peers):
            await self._look(backoff)
        best = max(peers, key=lambda peer: (self._closeness.get(peer.store_id, 0), peer.id == region.leader.id))
        return replace(region, leader=best)

    async def _look(self, backoff: Backoff) -> None:
        stores = await self._pd.all_stores(backoff=backoff)
        self._closeness = {
            store.id: sum(self._labels.get(label.key) == label.value for label in store.labels) for store in stores
        }


class Aim:
    """Where the reads of one snapshot go."""

    def __init__(self, replicas: Replicas, read_from: ReadFrom) -> None:
        self._replicas = replicas
        self._read_from = read_from
        self._refused: dict[int, None] = {}

    @property
    def is_leader(self) -> bool:
        """Whether leaders are asked, always."""
        return self._read_from is ReadFrom.LEADER

    async def target(self, region: CachedRegion, backoff: Backoff) -> CachedRegion:
        """The region with the peer to ask in the leader's place."""
        if self._goes_to_leader(region):
            return region
        return await self._replicas.closest(region, backoff)

    def mark(self, context: kvrpcpb.Context, region: CachedRegion) -> None:
        """Say in the context of a request how it is meant."""
        if not self._goes_to_leader(region):
            context.stale_read = self._read_from is ReadFrom.STALE
            context.replica_read = self._read_from is ReadFrom.CLOSEST

    def missed(self, region: CachedRegion) -> None:
        """The peer that was asked did not serve it."""
        if self._read_from is ReadFrom.LEADER:
            return
        if len(self._refused) >= MAX_REFUSALS:
            self._refused.clear()
        self._refused[region.id] = None

    def _goes_to_leader(self, region: CachedRegion) -> bool:
        return self._read_from is ReadFrom.LEADER or region.id in self._refused
