"""The cluster as of one timestamp: get, batch_get, scan.

A snapshot costs nothing to make and holds nothing on the servers; it stays readable until garbage collection passes its
timestamp. Two reads of it always agree, whatever splits, leader changes and commits happen between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.lock_resolver import lock_of
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.replicas import Aim, ReadFrom
from rutile_kv.client.scanner import scan_pages
from rutile_kv.client.sender import Missed
from rutile_kv.env.prompt import NotNow, PromptReads
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import LockFacts
from rutile_proto.keys import storage_key
from rutile_proto.types import Timestamp

Pair: TypeAlias = tuple[bytes, bytes]
Piece: TypeAlias = tuple[CachedRegion, Sequence[bytes]]
"""Sorted keys of one region."""

MAX_KEYS_PER_GET = 4096
"""Keys in one KvBatchGet."""
MAX_PASSABLE = 256
"""Transactions remembered as certain to commit later than this snapshot; they travel in every request."""


class Snapshot:
    """Reads at `ts`.

    >>> snapshot = client.snapshot(await client.timestamp())
    >>> await snapshot.get(b"k")
    >>> await snapshot.batch_get([b"k1", b"k2"])
    >>> await snapshot.scan(b"k", b"l", limit=100, reverse=True)
    """

    def __init__(self, cluster: Cluster, ts: int, read_from: ReadFrom = ReadFrom.LEADER) -> None:
        self.ts = Timestamp(ts)
        self.aim = Aim(cluster.replicas, read_from)
        self._cluster = cluster
        self._passable: dict[int, None] = {}

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key` as of the snapshot, or None. An empty value is a value."""
        backoff = self._cluster.read_backoff("get")
        while True:
            answer: kvrpcpb.GetResponse = await self._cluster.router.call(
                key, "KvGet", lambda region: self._get_request(region, key), backoff, self.aim
            )
            if not answer.HasField("error"):
                return None if answer.not_found else answer.value
            await self.pass_locks([lock_of(answer.error)], backoff)

    def get_now(self, key: bytes) -> bytes | None:
        """The same in this very turn of the loop, where the store is in this process. Raises NotNow: await `get`."""
        store, context = self._prompt(key)
        return store.get_now(context, key, self.ts)

    def scan_now(self, start: bytes, end: bytes, limit: int) -> Sequence[Pair]:
        """The first `limit` pairs of [start, end), likewise. Raises NotNow, also where two regions hold the range."""
        store, context = self._prompt(start)
        return store.scan_now(context, start, end, self.ts, limit)

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order. One RPC a region, regions in parallel."""
        found: dict[bytes, bytes] = {}
        backoff = self._cluster.read_backoff("batch_get")
        pieces = await self._pieces(sorted(set(keys)), backoff)
        jobs = [lambda piece=piece: self._get_piece(piece, found, backoff.fork()) for piece in pieces]
        await run_bounded(jobs, self._cluster.options.parallel_rpcs)
        return dict(sorted(found.items()))

    async def scan(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> list[Pair]:
        """The pairs of [start, end) in key order, or from the upper end down when `reverse`; at most `limit`.

        Empty bounds are infinite. Without a limit everything is held in memory at once; see `pages` otherwise. With
        `key_only` the values are empty.
        """
        pairs: list[Pair] = []
        async for page in self.pages(start, end, limit, reverse=reverse, key_only=key_only):
            pairs += page
        return pairs

    def pages(
        self,
        start: bytes = b"",
        end: bytes = b"",
        limit: int | None = None,
        *,
        reverse: bool = False,
        key_only: bool = False,
    ) -> AsyncIterator[list[Pair]]:
        """The same pairs in pages of bounded length, fetched as they are asked for."""
        return scan_pages(self._cluster, self, start, end, limit, reverse=reverse, key_only=key_only)

    # --- what the scanner shares ----------------------------------------------------------------------------------

    def context(self, region: CachedRegion) -> kvrpcpb.Context:
        """The context of a read of this snapshot."""
        context = region.context(self._passable)
        self.aim.mark(context, region)
        return context

    async def pass_locks(self, locks: Collection[LockFacts], backoff: Backoff) -> None:
        """Do what is needed for a read to get past the locks it met."""
        for start_ts in await self._cluster.locks.resolve(list(locks), self.ts, backoff):
            self._passable[start_ts] = None
            if len(self._passable) > MAX_PASSABLE:
                del self._passable[next(iter(self._passable))]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _prompt(self, key: bytes) -> tuple[PromptReads, kvrpcpb.Context]:
        """The store that leads the key's region, if it answers promptly, and what to tell it."""
        region = self._cluster.regions.peek(storage_key(key))
        if region is None or self._passable or not self.aim.is_leader:
            raise NotNow
        store = self._cluster.stores.prompt(region.leader.store_id)
        if store is None:
            raise NotNow
        return store, region.plain_context

    def _get_request(self, region: CachedRegion, key: bytes) -> kvrpcpb.GetRequest:
        return kvrpcpb.GetRequest(context=self.context(region), key=key, version=self.ts)

    async def _pieces(self, keys: Sequence[bytes], backoff: Backoff) -> list[Piece]:
        """Sorted keys cut by region, and small enough for one request."""
        return [
            (await self.aim.target(region, backoff), part[at : at + MAX_KEYS_PER_GET])
            for region, part in await self._cluster.router.group(keys, backoff)
            for at in range(0, len(part), MAX_KEYS_PER_GET)
        ]

    async def _get_piece(self, piece: Piece, found: dict[bytes, bytes], backoff: Backoff) -> None:
        """Read a piece into `found`: locked keys again after their locks, all again where the regions changed."""
        left = deque([piece])
        while left:
            region, keys = left.popleft()
            request = kvrpcpb.BatchGetRequest(context=self.context(region), keys=keys, version=self.ts)
            answer = await self._cluster.sender.send(region, "KvBatchGet", request, backoff)
            if isinstance(answer, Missed):
                self.aim.missed(region)
                await answer.wait(backoff)
                left.extendleft(reversed(await self._pieces(keys, backoff)))
                continue
            locks, locked_keys = _take_pairs(answer, keys, found)
            if locks:
                await self.pass_locks(locks, backoff)
                left.appendleft((region, locked_keys))


def _take_pairs(
    answer: kvrpcpb.BatchGetResponse, keys: Sequence[bytes], found: dict[bytes, bytes]
) -> tuple[list[LockFacts], Sequence[bytes]]:
    """Put what was read into `found`; the locks met, and the keys to read again."""
    if answer.HasField("error"):
        return [lock_of(answer.error)], keys
    locks = []
    for pair in answer.pairs:
        if pair.HasField("error"):
            locks.append(lock_of(pair.error))
        else:
            found[pair.key] = pair.value
    return locks, sorted({lock.key for lock in locks})
