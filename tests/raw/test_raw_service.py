"""The raw services by hand: bad input, the forms of answers, and callers that came to the wrong place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from raw_world import WIRES, World, until, world

from rutile_kv.client.raw import RangeChecksum
from rutile_kv.env.rpc import channel
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import tikvpb_pb2_grpc
from rutile_proto.codec import encode_bytes
from rutile_proto.errors import InvalidRequest

Scenario = Callable[[World, Any], Awaitable[None]]


@pytest.fixture(params=WIRES)
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario with a world of one store and that store's stub."""

    async def main(scenario: Scenario) -> None:
        async with world(request.param) as place:
            await scenario(place, await stub_of(place))

    return lambda scenario: asyncio.run(main(scenario))


async def stub_of(place: World, node: int = 0) -> Any:
    backoff = place.client.cluster.read_backoff("test")
    return await place.client.cluster.sender.stub(place.nodes[node].store_id, backoff)


async def context(place: World, key: bytes = b"") -> kvrpcpb.Context:
    """As a stranger fills it: the wheels' three fields."""
    info = await place.client.pd.get_region(key)
    assert info is not None
    return kvrpcpb.Context(region_id=info.region.id, region_epoch=info.region.region_epoch, peer=info.leader)


async def status_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


def test_refusals_stand_in_the_error_text(run: Callable[[Scenario], None]) -> None:
    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        long = b"k" * 8193
        too_long = "max key size exceeded, size: 8193, limit: 8192"
        bad_cf = "invalid cf name: raft"
        pair = kvrpcpb.KvPair(key=b"k", value=b"v")
        cases = [
            (tikv.RawGet(kvrpcpb.RawGetRequest(context=where, key=long)), too_long),
            (tikv.RawGet(kvrpcpb.RawGetRequest(context=where, key=b"k", cf="raft")), bad_cf),
            (tikv.RawGetKeyTTL(kvrpcpb.RawGetKeyTTLRequest(context=where, key=long)), too_long),
            (tikv.RawPut(kvrpcpb.RawPutRequest(context=where, key=long)), too_long),
            (tikv.RawPut(kvrpcpb.RawPutRequest(context=where, key=b"k", cf="raft")), bad_cf),
            (tikv.RawPut(kvrpcpb.RawPutRequest(context=where, key=b"k", ttl=(1 << 64) - 1)), "a ttl of "),
            (tikv.RawBatchPut(kvrpcpb.RawBatchPutRequest(context=where, pairs=[pair] * 3, ttls=[1, 2])), "The length"),
            (tikv.RawDelete(kvrpcpb.RawDeleteRequest(context=where, key=long)), too_long),
            (tikv.RawBatchDelete(kvrpcpb.RawBatchDeleteRequest(context=where, keys=[b"k", long])), too_long),
            (
                tikv.RawDeleteRange(kvrpcpb.RawDeleteRangeRequest(context=where, start_key=b"b", end_key=b"a")),
                "invalid delete range command, start_key: 62, end_key: 61",
            ),
            (tikv.RawCompareAndSwap(kvrpcpb.RawCASRequest(context=where, key=b"k", cf="raft")), bad_cf),
        ]
        for call, text in cases:
            assert (await call).error.startswith(text)
        assert await place.client.raw.scan() == []

    run(scenario)


def test_answers_without_a_place_for_a_text_end_the_call(run: Callable[[Scenario], None]) -> None:
    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        for call in (
            tikv.RawScan(kvrpcpb.RawScanRequest(context=where, limit=1, cf="raft")),
            tikv.RawBatchGet(kvrpcpb.RawBatchGetRequest(context=where, keys=[b"k"], cf="raft")),
            tikv.RawBatchScan(kvrpcpb.RawBatchScanRequest(context=where, ranges=[kvrpcpb.KeyRange()], cf="raft")),
        ):
            assert await status_of(call) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid cf name: raft")
        many = kvrpcpb.RawBatchScanRequest(context=where, ranges=[kvrpcpb.KeyRange()] * 4097)
        assert (await status_of(tikv.RawBatchScan(many)))[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert not (await tikv.RawPut(kvrpcpb.RawPutRequest(context=where, key=b"k"))).error

    run(scenario)


def test_the_forms_of_answers(run: Callable[[Scenario], None]) -> None:
    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        pairs = [kvrpcpb.KvPair(key=key, value=b"v" + key) for key in (b"a", b"b", b"c", b"d")]
        await tikv.RawBatchPut(kvrpcpb.RawBatchPutRequest(context=where, pairs=pairs, ttls=[0, 7, 0, 0]))
        assert await tikv.RawGet(kvrpcpb.RawGetRequest(context=where, key=b"x")) == kvrpcpb.RawGetResponse(
            not_found=True
        )
        ttl = await tikv.RawGetKeyTTL(kvrpcpb.RawGetKeyTTLRequest(context=where, key=b"b"))
        assert ttl == kvrpcpb.RawGetKeyTTLResponse(ttl=7)
        missing = await tikv.RawGetKeyTTL(kvrpcpb.RawGetKeyTTLRequest(context=where, key=b"x"))
        assert missing == kvrpcpb.RawGetKeyTTLResponse(not_found=True)
        swap = kvrpcpb.RawCASRequest(context=where, key=b"a", value=b"new", previous_value=b"other")
        assert await tikv.RawCompareAndSwap(swap) == kvrpcpb.RawCASResponse(previous_value=b"va")
        swap = kvrpcpb.RawCASRequest(context=where, key=b"x", previous_not_exist=True, delete=True)
        assert await tikv.RawCompareAndSwap(swap) == kvrpcpb.RawCASResponse(succeed=True, previous_not_exist=True)
        assert await place.client.raw.checksum(b"a", b"d") != RangeChecksum(0, 0, 0)

    run(scenario)


def test_batch_scans(run: Callable[[Scenario], None]) -> None:
    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        await place.client.raw.batch_put({b"%d" % digit: b"v" for digit in range(9)})

        async def scan(*ranges: tuple[bytes, bytes], each_limit: int, **how: bool) -> list[bytes]:
            bounds = [kvrpcpb.KeyRange(start_key=start, end_key=end) for start, end in ranges]
            request = kvrpcpb.RawBatchScanRequest(context=where, ranges=bounds, each_limit=each_limit, **how)
            return [pair.key for pair in (await tikv.RawBatchScan(request)).kvs]

        assert await scan((b"1", b"4"), (b"6", b""), each_limit=2) == [b"1", b"2", b"6", b"7"]
        assert await scan((b"1", b""), (b"3", b""), each_limit=9) == [b"%d" % digit for digit in range(1, 9)]
        assert await scan((b"5", b"2"), each_limit=9, reverse=True) == [b"4", b"3", b"2"]
        assert (
            await scan((b"5", b"2"), each_limit=9)
            == await scan((b"0", b""), each_limit=0)
            == await scan(each_limit=1)
            == []
        )

    run(scenario)


def test_old_clients_write_their_ttls_elsewhere(run: Callable[[Scenario], None]) -> None:
    """RawBatchPut.ttls was field 4 until it became 6; a single number in field 4 came in between."""

    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        pairs = [kvrpcpb.KvPair(key=key, value=b"v") for key in (b"a", b"b")]
        for ttl in ([3, 4], [5]):
            await tikv.RawBatchPut(kvrpcpb.RawBatchPutRequest(context=where, pairs=pairs, ttl=ttl))
            assert [await place.client.raw.get_key_ttl(key) for key in (b"a", b"b")] == [ttl[0], ttl[-1]]

    run(scenario)


def test_raw_split_keys_are_rounded_to_boundaries(run: Callable[[Scenario], None]) -> None:
    async def scenario(place: World, tikv: Any) -> None:
        where = await context(place)
        keys = [b"user:0001", b"user:0002", b"zebra"]
        answer = await tikv.SplitRegion(kvrpcpb.SplitRegionRequest(context=where, split_keys=keys, is_raw_kv=True))
        assert [region.start_key for region in answer.regions] == [
            b"",
            encode_bytes(b"user:00/"),
            encode_bytes(b"zebr`\xff\xff\xff"),
        ]
        await place.client.raw.batch_put(dict.fromkeys(keys, b"v"))
        assert len(await place.client.raw.scan()) == 3
        regions = [await place.client.regions.locate(key, place.client.cluster.read_backoff("test")) for key in keys]
        assert regions[0].id == regions[1].id != regions[2].id

    run(scenario)


def test_the_client_refuses_what_makes_no_sense() -> None:
    async def main() -> None:
        async with world() as place:
            raw = place.client.raw
            with pytest.raises(InvalidRequest, match="ttl_s is -1"):
                await raw.put(b"k", b"v", ttl_s=-1)
            with pytest.raises(InvalidRequest, match="max key size exceeded"):
                await raw.batch_put({b"k" * 9000: b"v"})
            with pytest.raises(InvalidRequest, match="invalid cf name"):
                await raw.with_cf("nowhere").scan()
            await raw.batch_put({})
            await raw.batch_delete([])
            assert await raw.scan(b"b", b"a") == await raw.scan(limit=-1) == await raw.batch_scan([], 5) == []

    asyncio.run(main())


# --- callers that came to the wrong place -----------------------------------------------------------------------------


def test_a_stranger_with_a_stale_region_gets_its_whole_page_and_no_more() -> None:
    """What lies between the scan's start and the end the region always had, though most of it has split away."""

    async def main() -> None:
        async with world("grpc") as place:
            tikv = await stub_of(place)
            await place.client.raw.batch_put({b"%02d" % number: b"v" for number in range(100)})
            await place.client.split_regions([b"80"])
            stale = await context(place, b"10")
            await place.client.split_regions([b"20", b"40", b"60"])
            scan = kvrpcpb.RawScanRequest(context=stale, start_key=b"10", limit=1000)
            assert [pair.key for pair in (await tikv.RawScan(scan)).kvs] == [b"%02d" % n for n in range(10, 81)]
            scan.limit, scan.key_only = 30, True
            assert list((await tikv.RawScan(scan)).kvs) == [kvrpcpb.KvPair(key=b"%02d" % n) for n in range(10, 40)]
            scan.end_key = b"25"
            assert len((await tikv.RawScan(scan)).kvs) == 15

    asyncio.run(main())


def test_who_knows_region_errors_gets_them() -> None:
    async def main() -> None:
        async with world("grpc") as place:
            tikv = await stub_of(place)
            stale = await context(place)
            await place.client.split_regions([b"m"])
            aware = kvrpcpb.Context()
            aware.CopyFrom(stale)
            aware.request_source = "rutile"
            answer = await tikv.RawScan(kvrpcpb.RawScanRequest(context=aware, limit=5))
            assert answer.region_error.HasField("epoch_not_match")
            reverse = kvrpcpb.RawScanRequest(context=stale, limit=5, reverse=True)
            assert (await tikv.RawScan(reverse)).region_error.HasField("epoch_not_match")
            assert (await tikv.RawGet(kvrpcpb.RawGetRequest(context=stale, key=b"k"))).HasField("region_error")

    asyncio.run(main())


def test_a_region_that_is_nowhere_ends_the_call() -> None:
    async def main() -> None:
        async with world("grpc") as place:
            tikv = await stub_of(place)
            where = await context(place)
            where.region_id = 999
            code, details = await status_of(tikv.RawScan(kvrpcpb.RawScanRequest(context=where, limit=5)))
            assert code is grpc.StatusCode.UNAVAILABLE and "nowhere" in details

    asyncio.run(main())


def test_any_store_answers_a_scan() -> None:
    """A follower, and a store that never had a peer of the region."""

    async def main() -> None:
        async with world("grpc", stores=3) as place:
            await place.replicated(3)
            await until(lambda: all_vote(place))
            await place.client.raw.batch_put({b"a": b"1", b"b": b"2"})
            for node in place.nodes:
                info = await place.client.pd.get_region(b"")
                assert info is not None
                peer = next(peer for peer in info.region.peers if peer.store_id == node.store_id)
                where = kvrpcpb.Context(region_id=info.region.id, region_epoch=info.region.region_epoch, peer=peer)
                wire = channel(node.address)
                tikv = tikvpb_pb2_grpc.TikvStub(wire)
                answer = await tikv.RawScan(kvrpcpb.RawScanRequest(context=where, limit=5))
                await wire.close()
                assert [pair.key for pair in answer.kvs] == [b"a", b"b"]

    asyncio.run(main())


async def all_vote(place: World) -> bool:
    info = await place.client.pd.get_region(b"")
    return info is not None and [peer.role for peer in info.region.peers] == [metapb.Voter] * len(place.nodes)
