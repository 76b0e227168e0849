"""RawPut, RawBatchPut, RawDelete, RawBatchDelete, RawDeleteRange, RawCompareAndSwap.

Each write is one log entry of its region (a range deletion as many as it needs). `for_cas` changes nothing: here a
compare-and-swap is safe from plain writes as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from rutile_kv.env.clock import Clock
from rutile_kv.raw.commands import CompareAndSwap
from rutile_kv.raw.families import raw_family
from rutile_kv.raw.values import encode_value, expiry
from rutile_kv.raw.writer import RawWriter
from rutile_kv.server.boundary import unary
from rutile_kv.server.raw_requests import check_raw_key, check_raw_keys, refusals_in_text
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest


class RawWrites:
    """Mixed into the Tikv service; needs `raw`, `clock` and `cluster_id`."""

    raw: RawWriter
    clock: Clock
    cluster_id: int

    @unary(kvrpcpb.RawPutResponse)
    @refusals_in_text(kvrpcpb.RawPutResponse)
    async def RawPut(self, request: kvrpcpb.RawPutRequest) -> kvrpcpb.RawPutResponse:
        check_raw_key(request.key)
        stored = encode_value(request.value, expiry(request.ttl, self._now_s()))
        await self.raw.write(request.context, [(raw_family(request.cf), request.key, stored)])
        return kvrpcpb.RawPutResponse()

    @unary(kvrpcpb.RawBatchPutResponse)
    @refusals_in_text(kvrpcpb.RawBatchPutResponse)
    async def RawBatchPut(self, request: kvrpcpb.RawBatchPutRequest) -> kvrpcpb.RawBatchPutResponse:
        """All pairs at once; of a key that comes twice, the last."""
        cf = raw_family(request.cf)
        expiries = self._expiries(request.ttls or request.ttl, len(request.pairs))
        modifies = [
            (cf, pair.key, encode_value(pair.value, expires_at_s))
            for pair, expires_at_s in zip(request.pairs, expiries, strict=True)
        ]
        check_raw_keys([key for _, key, _ in modifies])
        if modifies:
            await self.raw.write(request.context, modifies)
        return kvrpcpb.RawBatchPutResponse()

    @unary(kvrpcpb.RawDeleteResponse)
    @refusals_in_text(kvrpcpb.RawDeleteResponse)
    async def RawDelete(self, request: kvrpcpb.RawDeleteRequest) -> kvrpcpb.RawDeleteResponse:
        check_raw_key(request.key)
        await self.raw.write(request.context, [(raw_family(request.cf), request.key, None)])
        return kvrpcpb.RawDeleteResponse()

    @unary(kvrpcpb.RawBatchDeleteResponse)
    @refusals_in_text(kvrpcpb.RawBatchDeleteResponse)
    async def RawBatchDelete(self, request: kvrpcpb.RawBatchDeleteRequest) -> kvrpcpb.RawBatchDeleteResponse:
        cf = raw_family(request.cf)
        check_raw_keys(request.keys)
        if request.keys:
            await self.raw.write(request.context, [(cf, key, None) for key in request.keys])
        return kvrpcpb.RawBatchDeleteResponse()

    @unary(kvrpcpb.RawDeleteRangeResponse)
    @refusals_in_text(kvrpcpb.RawDeleteRangeResponse)
    async def RawDeleteRange(self, request: kvrpcpb.RawDeleteRangeRequest) -> kvrpcpb.RawDeleteRangeResponse:
        """Everything of [start, end) in the region. Not atomic: who reads meanwhile may see it half done."""
        cf = raw_family(request.cf)
        start, end = request.start_key, request.end_key
        check_raw_keys((start, end))
        if end and start > end:
            raise InvalidRequest(f"invalid delete range command, start_key: {start.hex()}, end_key: {end.hex()}")
        await self.raw.delete_range(request.context, cf, start, end)
        return kvrpcpb.RawDeleteRangeResponse()

    @unary(kvrpcpb.RawCASResponse)
    @refusals_in_text(kvrpcpb.RawCASResponse)
    async def RawCompareAndSwap(self, request: kvrpcpb.RawCASRequest) -> kvrpcpb.RawCASResponse:
        """`previous_not_exist` and `previous_value` of the answer are what was there, whether or not it was swapped."""
        check_raw_key(request.key)
        now_s = self._now_s()
        command = CompareAndSwap(
            cf=raw_family(request.cf),
            key=request.key,
            expected=None if request.previous_not_exist else request.previous_value,
            value=None if request.delete else request.value,
            expires_at_s=expiry(request.ttl, now_s),
            now_s=now_s,
        )
        swapped = await self.raw.execute(request.context, command)
        return kvrpcpb.RawCASResponse(
            succeed=swapped.succeeded,
            previous_not_exist=swapped.previous is None,
            previous_value=swapped.previous or b"",
        )

    def _now_s(self) -> int:
        return self.clock.wall_ms() // 1000

    def _expiries(self, ttls: Sequence[int], pairs: int) -> list[int]:
        """One for each pair: `ttls` are as many, or one for all, or none."""
        if len(ttls) not in (0, 1, pairs):
            raise InvalidRequest(f"The length of ttls does not equal to the length of pairs: {len(ttls)}, {pairs}")
        now_s = self._now_s()
        expiries = [expiry(ttl, now_s) for ttl in ttls or [0]]
        return expiries if len(expiries) == pairs else expiries * pairs
