"""Raw keys and values: each operation stands for itself, is atomic within a region, and costs one RPC a region.

Raw data and transactional data never meet, though they share the cluster and its regions. A value may be given a time
to live. Single gets, puts and deletes that are under way together share RPCs (`groups`). `compare_and_swap` is
linearizable with every other write of its key. What is sent twice because an answer was lost does no harm, but for a
compare-and-swap: that raises UndeterminedResult instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.batches import MAX_BATCH_BYTES, MAX_BATCH_KEYS, pieces
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.key_ranges import KeyRange
from rutile_kv.client.parallel import run_bounded
from rutile_kv.client.raw_context import context_of
from rutile_kv.client.raw_points import Puts, check_answer
from rutile_kv.client.raw_ranges import RawPages, each_region
from rutile_kv.client.raw_watch import RawWatches
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest, UndeterminedResult

Pair: TypeAlias = tuple[bytes, bytes]
_Act: TypeAlias = Callable[[CachedRegion, Sequence[bytes], Backoff], Awaitable[Missed | None]]


@dataclass(frozen=True, slots=True)
class RangeChecksum:
    """The xor of the pairs' CRC-64, which does not depend on how they are cut into regions."""

    checksum: int
    total_kvs: int
    total_bytes: int


class RawClient(RawWatches):
    """Operations on one family of raw data; there are three, "default", "lock" and "write", with nothing in common.

    >>> raw = client.raw
    >>> await raw.put(b"session/7", b"alice", ttl_s=3600)
    >>> await raw.get(b"session/7")
    b'alice'
    >>> await raw.compare_and_swap(b"leader", None, b"node-1")     # only if nobody was there
    (True, None)
    """

    def __init__(self, cluster: Cluster, cf: str = "default") -> None:
        self._cluster = cluster
        self.cf = cf
        self._points = cluster.raw_points(cf)

    def with_cf(self, cf: str) -> Self:
        """The same on another family."""
        return type(self)(self._cluster, cf)

    # --- single keys --------------------------------------------------------------------------------------------------

    async def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None. An empty value is a value."""
        return await self._points.get(key, self._cluster.read_backoff("raw get"))

    async def put(self, key: bytes, value: bytes, ttl_s: int = 0) -> None:
        """Set `key`, for `ttl_s` seconds or, when that is 0, for good."""
        await self._points.put(key, value, _ttl(ttl_s), self._cluster.write_backoff("raw put"))

    async def delete(self, key: bytes) -> None:
        """Remove `key`, whether it exists or not."""
        await self._points.delete(key, self._cluster.write_backoff("raw delete"))

    async def get_key_ttl(self, key: bytes) -> int | None:
        """Seconds that `key` has to live: 0 when it has no end, None when it does not exist."""
        request = kvrpcpb.RawGetKeyTTLRequest(key=key, cf=self.cf)
        answer: kvrpcpb.RawGetKeyTTLResponse = await self._call("RawGetKeyTTL", request)
        return None if answer.not_found else answer.ttl

    async def compare_and_swap(
        self, key: bytes, expected: bytes | None, value: bytes | None, ttl_s: int = 0
    ) -> tuple[bool, bytes | None]:
        """Set `key` to `value` (None: delete it) if it holds `expected` (None: if it does not exist).

        Returns whether it did, and what `key` held before. UndeterminedResult when the answer was lost on the way.
        """
        request = kvrpcpb.RawCASRequest(
            key=key,
            value=value or b"",
            delete=value is None,
            previous_not_exist=expected is None,
            previous_value=expected or b"",
            cf=self.cf,
            ttl=_ttl(ttl_s),
        )
        backoff = self._cluster.write_backoff("compare-and-swap")
        while True:
            region = await self._cluster.regions.locate(key, backoff)
            request.context.CopyFrom(context_of(region))
            answer = await self._cluster.sender.send(region, "RawCompareAndSwap", request, backoff)
            if not isinstance(answer, Missed):
                check_answer(answer)
                return answer.succeed, None if answer.previous_not_exist else answer.previous_value
            if answer.answer_lost:
                raise UndeterminedResult(0, f"compare-and-swap of {key.hex()}: {answer.cause}") from answer.cause
            await answer.wait(backoff)

    # --- many keys ----------------------------------------------------------------------------------------------------

    async def batch_get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values of those of `keys` that exist, in key order."""
        found: dict[bytes, bytes] = {}

        async def act(region: CachedRegion, part: Sequence[bytes], backoff: Backoff) -> Missed | None:
            request = kvrpcpb.RawBatchGetRequest(context=context_of(region), keys=part, cf=self.cf)
            answer = await self._cluster.sender.send(region, "RawBatchGet", request, backoff)
            if isinstance(answer, Missed):
                return answer
            found.update((pair.key, pair.value) for pair in answer.pairs)
            return None

        await self._send_all(sorted(set(keys)), len, act, self._cluster.read_backoff("raw batch get"))
        return dict(sorted(found.items()))

    async def batch_put(self, pairs: Mapping[bytes, bytes] | Iterable[Pair], ttl_s: int = 0) -> None:
        """Set all of `pairs`, of a key that comes twice the last. Atomic in each RPC, not as a whole."""
        values = dict(pairs)
        ttl_s = _ttl(ttl_s)

        async def act(region: CachedRegion, part: Sequence[bytes], backoff: Backoff) -> Missed | None:
            return await self._points.put_into(region, Puts([(key, values[key]) for key in part], ttl_s), backoff)

        def size_of(key: bytes) -> int:
            return len(key) + len(values[key])

        await self._send_all(sorted(values), size_of, act, self._cluster.write_backoff("raw batch put"))

    async def batch_delete(self, keys: Iterable[bytes]) -> None:
        """Remove all of `keys`. Atomic in each RPC, not as a whole."""

        async def act(region: CachedRegion, part: Sequence[bytes], backoff: Backoff) -> Missed | None:
            request = kvrpcpb.RawBatchDeleteRequest(context=context_of(region), keys=part, cf=self.cf)
            return await self._send(region, "RawBatchDelete", request, backoff)

        await self._send_all(sorted(set(keys)), len, act, self._cluster.write_backoff("raw batch delete"))

    # --- ranges -------------------------------------------------------------------------------------------------------

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

        Empty bounds are infinite. Each RPC shows one moment, the whole need not: there are no versions to go back to.
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
        return RawPages(self._cluster, self.cf, reverse, key_only).scan(start, end, limit)

    async def batch_scan(
        self, ranges: Iterable[KeyRange], each_limit: int, *, reverse: bool = False, key_only: bool = False
    ) -> list[list[Pair]]:
        """The scan of each range, in their order, at most `each_limit` pairs each."""
        jobs = [
            lambda start=start, end=end: self.scan(start, end, each_limit, reverse=reverse, key_only=key_only)
            for start, end in ranges
        ]
        return await run_bounded(jobs, self._cluster.options.parallel_rpcs) if jobs else []

    async def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove what is in [start, end), region after region; an empty end is infinite."""

        async def act(region: CachedRegion, low: bytes, high: bytes, backoff: Backoff) -> Missed | None:
            request = kvrpcpb.RawDeleteRangeRequest(context=context_of(region), start_key=low, end_key=high, cf=self.cf)
            return await self._send(region, "RawDeleteRange", request, backoff)

        await each_region(self._cluster, start, end, act, lambda: self._cluster.write_backoff("raw delete range"))

    async def checksum(self, start: bytes = b"", end: bytes = b"") -> RangeChecksum:
        """The checksum of [start, end) in the family "default", which is the only one the protocol offers."""
        parts: list[kvrpcpb.RawChecksumResponse] = []

        async def act(region: CachedRegion, low: bytes, high: bytes, backoff: Backoff) -> Missed | None:
            request = kvrpcpb.RawChecksumRequest(context=context_of(region), algorithm=kvrpcpb.Crc64_Xor)
            request.ranges.add(start_key=low, end_key=high)
            answer = await self._cluster.sender.send(region, "RawChecksum", request, backoff)
            if isinstance(answer, Missed):
                return answer
            check_answer(answer)
            parts.append(answer)
            return None

        await each_region(self._cluster, start, end, act, lambda: self._cluster.read_backoff("raw checksum"))
        checksum = 0
        for part in parts:
            checksum ^= part.checksum
        return RangeChecksum(checksum, sum(p.total_kvs for p in parts), sum(p.total_bytes for p in parts))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _call(self, method: str, request: Any) -> Any:
        """The answer of the region that holds `request.key`, to a read."""

        def build(region: CachedRegion) -> Any:
            request.context.CopyFrom(context_of(region))
            return request

        answer = await self._cluster.raw_router.call(request.key, method, build, self._cluster.read_backoff(method))
        check_answer(answer)
        return answer

    async def _send(self, region: CachedRegion, method: str, request: Any, backoff: Backoff) -> Missed | None:
        answer = await self._cluster.sender.send(region, method, request, backoff)
        if isinstance(answer, Missed):
            return answer
        check_answer(answer)
        return None

    async def _send_all(
        self, keys: Sequence[bytes], size_of: Callable[[bytes], int], act: _Act, backoff: Backoff
    ) -> None:
        """Do `act` for all sorted keys: a piece of a region at a time, pieces in parallel."""
        jobs = [
            lambda region=region, part=part: self._send_piece(region, part, size_of, act, backoff.fork())
            for region, run in await self._cluster.raw_router.group(keys, backoff)
            for part in pieces(run, size_of, MAX_BATCH_BYTES, MAX_BATCH_KEYS)
        ]
        if jobs:
            await run_bounded(jobs, self._cluster.options.parallel_rpcs)

    async def _send_piece(
        self,
        region: CachedRegion,
        keys: Sequence[bytes],
        size_of: Callable[[bytes], int],
        act: _Act,
        backoff: Backoff,
    ) -> None:
        missed = await act(region, keys, backoff)
        if missed is not None:
            await missed.wait(backoff)
            await self._send_all(keys, size_of, act, backoff)


def _ttl(ttl_s: int) -> int:
    if not 0 <= ttl_s < 1 << 64:
        raise InvalidRequest(f"ttl_s is {ttl_s}: give seconds, or 0 for no end")
    return ttl_s
