"""Raw gets, puts and deletes, which travel in groups (`groups`): single ones, and batches of puts for one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.groups import Groups, Verb
from rutile_kv.client.raw_context import context_of
from rutile_kv.client.region_cache import CachedRegion, RegionCache
from rutile_kv.client.sender import Missed, RegionSender
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Puts:
    """Pairs to be set together, to live for `ttl_s` seconds (0: for good)."""

    pairs: Sequence[tuple[bytes, bytes]]
    ttl_s: int

    @property
    def size_bytes(self) -> int:
        return sum(len(key) + len(value) for key, value in self.pairs)


class RawPoints:
    """Single keys of one family."""

    def __init__(self, regions: RegionCache, sender: RegionSender, cf: str) -> None:
        self._regions = regions
        self._gets = Groups(_gets(cf), sender)
        self._puts = Groups(_puts(cf), sender)
        self._deletes = Groups(_deletes(cf), sender)

    async def get(self, key: bytes, backoff: Backoff) -> bytes | None:
        """The value of `key`, or None."""
        return await self._until_answered(self._gets, key, key, len(key), backoff)

    async def put(self, key: bytes, value: bytes, ttl_s: int, backoff: Backoff) -> None:
        """Set a key."""
        await self._until_answered(self._puts, key, Puts(((key, value),), ttl_s), len(key) + len(value), backoff)

    async def put_into(self, region: CachedRegion, puts: Puts, backoff: Backoff) -> Missed | None:
        """Set keys of one region, once."""
        return await self._puts.send(region, puts, puts.size_bytes, backoff)

    async def delete(self, key: bytes, backoff: Backoff) -> None:
        """Remove a key, whether it exists or not."""
        await self._until_answered(self._deletes, key, key, len(key), backoff)

    async def _until_answered(
        self, groups: Groups[Any, T], key: bytes, request: object, size_bytes: int, backoff: Backoff
    ) -> T:
        while True:
            region = self._regions.peek(key) or await self._regions.locate(key, backoff)
            answer = await groups.send(region, request, size_bytes, backoff)
            if not isinstance(answer, Missed):
                return answer
            await answer.wait(backoff)


def check_answer(answer: Any) -> None:
    """Raises InvalidRequest with the store's text, where an answer has a place for one."""
    if getattr(answer, "error", ""):
        raise InvalidRequest(answer.error)


def _gets(cf: str) -> Verb[bytes, bytes | None]:
    def one(region: CachedRegion, key: bytes) -> kvrpcpb.RawGetRequest:
        return kvrpcpb.RawGetRequest(context=context_of(region), key=key, cf=cf)

    def many(region: CachedRegion, keys: Sequence[bytes]) -> kvrpcpb.RawBatchGetRequest:
        return kvrpcpb.RawBatchGetRequest(context=context_of(region), keys=dict.fromkeys(keys), cf=cf)

    def value(answer: kvrpcpb.RawGetResponse) -> bytes | None:
        check_answer(answer)
        return None if answer.not_found else answer.value

    def values(keys: Sequence[bytes], answer: kvrpcpb.RawBatchGetResponse) -> list[bytes | None]:
        found = {pair.key: pair.value for pair in answer.pairs}
        return [found.get(key) for key in keys]

    return Verb(lambda key: "RawGet", "RawBatchGet", one, many, value, values)


def _puts(cf: str) -> Verb[Puts, None]:
    def one(region: CachedRegion, puts: Puts) -> kvrpcpb.RawPutRequest | kvrpcpb.RawBatchPutRequest:
        if len(puts.pairs) > 1:
            return many(region, [puts])
        ((key, value),) = puts.pairs
        return kvrpcpb.RawPutRequest(context=context_of(region), key=key, value=value, ttl=puts.ttl_s, cf=cf)

    def many(region: CachedRegion, group: Sequence[Puts]) -> kvrpcpb.RawBatchPutRequest:
        request = kvrpcpb.RawBatchPutRequest(context=context_of(region), cf=cf)
        add = request.pairs.add
        for puts in group:
            for key, value in puts.pairs:
                pair = add()  # and not add(key=..., value=...), which costs twice as much
                pair.key, pair.value = key, value
        if any(puts.ttl_s for puts in group):
            request.ttls.extend(puts.ttl_s for puts in group for _ in puts.pairs)
        return request

    return Verb(
        lambda puts: "RawPut" if len(puts.pairs) == 1 else "RawBatchPut",
        "RawBatchPut",
        one,
        many,
        check_answer,
        _nothing_each,
    )


def _deletes(cf: str) -> Verb[bytes, None]:
    def one(region: CachedRegion, key: bytes) -> kvrpcpb.RawDeleteRequest:
        return kvrpcpb.RawDeleteRequest(context=context_of(region), key=key, cf=cf)

    def many(region: CachedRegion, keys: Sequence[bytes]) -> kvrpcpb.RawBatchDeleteRequest:
        return kvrpcpb.RawBatchDeleteRequest(context=context_of(region), keys=dict.fromkeys(keys), cf=cf)

    return Verb(lambda key: "RawDelete", "RawBatchDelete", one, many, check_answer, _nothing_each)


def _nothing_each(requests: Sequence[object], answer: Any) -> list[None]:
    check_answer(answer)
    return [None] * len(requests)
