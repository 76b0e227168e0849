"""RawGet, RawBatchGet, RawGetKeyTTL, RawScan, RawBatchScan, RawChecksum.

Reads see the newest of everything, as of the second the store's clock shows. A view of the live engine is good until
the next turn of the loop only, but a scan shows the moment at which it was made; so the scans of a request are all made
at once, and then read in steps with other work in between.

A page shorter than its limit tells clients that the region has no more: pages are never cut for their size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rutile_kv.client.raw_context import AWARE
from rutile_kv.env.clock import Clock
from rutile_kv.raw.checksum import RangeChecksum
from rutile_kv.raw.families import raw_family
from rutile_kv.raw.reader import RawReader, RawScan
from rutile_kv.server.boundary import unary
from rutile_kv.server.raw_requests import check_raw_key, check_raw_keys, refusals_in_text
from rutile_kv.server.raw_scan_relay import RawScanRelay
from rutile_kv.server.region_store import RegionStore
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest, RegionError

ROWS_AT_ONCE = 1024
"""Rows read before others get a turn: about a millisecond."""
MAX_RANGES = 4096
"""Ranges in one RawBatchScan or RawChecksum."""


class RawReads:
    """Mixed into the Tikv service; needs `kv`, `clock`, `relay` and `cluster_id`."""

    kv: RegionStore
    clock: Clock
    relay: RawScanRelay | None
    cluster_id: int

    @unary(kvrpcpb.RawGetResponse, timed=True)
    @refusals_in_text(kvrpcpb.RawGetResponse)
    async def RawGet(self, request: kvrpcpb.RawGetRequest) -> kvrpcpb.RawGetResponse:
        check_raw_key(request.key)
        value = (await self._reader(request.context, request.cf)).get(request.key)
        if value is None:
            return kvrpcpb.RawGetResponse(not_found=True)
        return kvrpcpb.RawGetResponse(value=value)

    @unary(kvrpcpb.RawBatchGetResponse, timed=True)
    async def RawBatchGet(self, request: kvrpcpb.RawBatchGetRequest) -> kvrpcpb.RawBatchGetResponse:
        """Pairs in the order of the request's keys; missing keys are left out."""
        check_raw_keys(request.keys)
        reader = await self._reader(request.context, request.cf)
        response = kvrpcpb.RawBatchGetResponse()
        for key in request.keys:
            value = reader.get(key)
            if value is not None:
                response.pairs.add(key=key, value=value)
        return response

    @unary(kvrpcpb.RawGetKeyTTLResponse, timed=True)
    @refusals_in_text(kvrpcpb.RawGetKeyTTLResponse)
    async def RawGetKeyTTL(self, request: kvrpcpb.RawGetKeyTTLRequest) -> kvrpcpb.RawGetKeyTTLResponse:
        """Seconds left; 0 for a key that does not expire."""
        check_raw_key(request.key)
        ttl_s = (await self._reader(request.context, request.cf)).ttl(request.key)
        if ttl_s is None:
            return kvrpcpb.RawGetKeyTTLResponse(not_found=True)
        return kvrpcpb.RawGetKeyTTLResponse(ttl=ttl_s)

    @unary(kvrpcpb.RawScanResponse, timed=True)
    async def RawScan(self, request: kvrpcpb.RawScanRequest) -> kvrpcpb.RawScanResponse:
        """Up to `limit` pairs within the region, however far beyond it the request's end lies."""
        raw_family(request.cf)
        check_raw_keys((request.start_key, request.end_key))
        try:
            pairs = await self._scan_here(request)
        except RegionError:
            if self.relay is None or request.reverse or request.context.request_source == AWARE:
                raise
            pairs = await self.relay.scan(request)
        return kvrpcpb.RawScanResponse(kvs=_pairs_to_pb(pairs))

    @unary(kvrpcpb.RawBatchScanResponse, timed=True)
    async def RawBatchScan(self, request: kvrpcpb.RawBatchScanRequest) -> kvrpcpb.RawBatchScanResponse:
        """Up to `each_limit` pairs of each range, one range after the other; all of them as of one moment.

        A range without an end goes on to the start of the next, as TiKV reads it.
        """
        _check_ranges(request.ranges)
        reader = await self._reader(request.context, request.cf)
        ends = [*(bounds.start_key for bounds in request.ranges[1:]), b""]
        scans = [
            _scan(reader, bounds.start_key, bounds.end_key or end, request.each_limit, request)
            for bounds, end in zip(request.ranges, ends, strict=False)
        ]
        pairs = [pair for scan in scans for pair in await _all_of(scan)]
        return kvrpcpb.RawBatchScanResponse(kvs=_pairs_to_pb(pairs))

    @unary(kvrpcpb.RawChecksumResponse, timed=True)
    @refusals_in_text(kvrpcpb.RawChecksumResponse)
    async def RawChecksum(self, request: kvrpcpb.RawChecksumRequest) -> kvrpcpb.RawChecksumResponse:
        """CRC-64 of key and value, xored over all pairs of the ranges in the family "default"."""
        if request.algorithm != kvrpcpb.Crc64_Xor:
            raise InvalidRequest(f"checksum algorithm {request.algorithm} is not known: use Crc64_Xor")
        _check_ranges(request.ranges)
        reader = await self._reader(request.context, "")
        total = RangeChecksum()
        for scan in [reader.scan(bounds.start_key, bounds.end_key, None) for bounds in request.ranges]:
            while not scan.done:
                total.add(scan.step(ROWS_AT_ONCE))
                await asyncio.sleep(0)
        checksum = await asyncio.to_thread(total.digest)
        return kvrpcpb.RawChecksumResponse(checksum=checksum, total_kvs=total.total_kvs, total_bytes=total.total_bytes)

    async def _reader(self, context: kvrpcpb.Context, cf: str) -> RawReader:
        """A reader of the live engine, valid until the next await."""
        family = raw_family(cf)
        view = await self.kv.read_view(context)
        return RawReader(view, family, self.clock.wall_ms() // 1000)

    async def _scan_here(self, request: kvrpcpb.RawScanRequest) -> list[tuple[bytes, bytes]]:
        reader = await self._reader(request.context, request.cf)
        return await _all_of(_scan(reader, request.start_key, request.end_key, request.limit, request))


def _scan(
    reader: RawReader,
    start: bytes,
    end: bytes,
    limit: int,
    how: kvrpcpb.RawScanRequest | kvrpcpb.RawBatchScanRequest,
) -> RawScan:
    """A reverse scan names its exclusive upper bound first and its lower one second (wire.md 7.2)."""
    low, high = (end, start) if how.reverse else (start, end)
    return reader.scan(low, high, limit, reverse=how.reverse, key_only=how.key_only)


async def _all_of(scan: RawScan) -> list[tuple[bytes, bytes]]:
    pairs = scan.step(ROWS_AT_ONCE)
    while not scan.done:
        await asyncio.sleep(0)
        pairs += scan.step(ROWS_AT_ONCE)
    return pairs


def _pairs_to_pb(pairs: Sequence[tuple[bytes, bytes]]) -> list[kvrpcpb.KvPair]:
    return [kvrpcpb.KvPair(key=key, value=value) for key, value in pairs]


def _check_ranges(ranges: Sequence[kvrpcpb.KeyRange]) -> None:
    if len(ranges) > MAX_RANGES:
        raise InvalidRequest(f"{len(ranges)} ranges in one request; the limit is {MAX_RANGES}")
    for bounds in ranges:
        check_raw_keys((bounds.start_key, bounds.end_key))
