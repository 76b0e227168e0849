"""Bulk writes and splits."""

from typing import Any

import pytest
from client_fakes import DROP, LOSE_ANSWER, World, run

from rutile_kv.client.bulk import MAX_PIECE_BYTES, PUT_DEFAULT, PUT_WRITE, encode_puts
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import InvalidRequest, RetriesExhausted
from rutile_proto.keys import storage_key, user_bound, versioned_key


def test_every_entry_arrives_where_it_belongs(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"k0300", b"k0700")
        pairs = [(b"k%04d" % i, b"v" * (i * 7 % 4000)) for i in range(1000)]
        moves = [None, DROP, LOSE_ANSWER, errorpb.Error(stale_command=errorpb.StaleCommand()), None]

        def split(request: Any) -> None:
            world.cluster.split(b"k0500", b"k0100")

        world.cluster.inject("BulkWrite", *[move or split for move in moves])
        await world.client.bulk_put(pairs, 10, 20)
        entries = encode_puts(pairs, 10, 20)
        assert world.cluster.bulk == dict(
            zip(zip(entries.kinds, entries.keys, strict=True), entries.values, strict=True)
        )
        sent = [request.ops for method, request in world.cluster.calls if method == "BulkWrite"]
        assert all(sum(map(len, [*ops.keys, *ops.values])) <= MAX_PIECE_BYTES + 8192 for ops in sent)

    run(transport, body)


def test_encoding_is_a_transactions(transport: str) -> None:
    entries = encode_puts([(b"a", b"short"), (b"b", b"l" * 256)], 10, 20)
    a, b = storage_key(b"a"), storage_key(b"b")
    assert list(entries.kinds) == [PUT_WRITE, PUT_DEFAULT, PUT_WRITE]
    assert entries.storage_keys == [a, b, b]
    assert entries.keys == [versioned_key(a, 20), versioned_key(b, 10), versioned_key(b, 20)]
    assert entries.values[0] == Write(WriteKind.PUT, 10, b"short").to_bytes()
    assert entries.values[1] == b"l" * 256


def test_bad_entries_are_refused_before_anything_is_sent() -> None:
    async def body(world: World) -> None:
        with pytest.raises(InvalidRequest, match="sorted"):
            await world.client.bulk_write(b"\4\4", [b"b", b"a"], [b"b", b"a"], [b"", b""])
        with pytest.raises(InvalidRequest, match="lengths"):
            await world.client.bulk_write(b"\4", [b"b", b"a"], [b"b", b"a"], [b"", b""])
        await world.client.bulk_write(b"", [], [], [])
        refusal = rutilepb.BulkWriteResponse(error="only families default and write")
        world.cluster.inject("BulkWrite", lambda request: refusal)
        with pytest.raises(InvalidRequest, match="families"):
            await world.client.bulk_put([(b"a", b"")], 1, 2)
        assert world.cluster.count("BulkWrite") == 1

    run("local", body)


def test_split_regions_makes_regions_begin_at_the_keys(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.split(b"m")
        keys = [b"z", b"a", b"m", b"q", b"a"]
        world.cluster.inject("SplitRegion", DROP, LOSE_ANSWER)
        regions = await world.client.split_regions(keys)
        assert [user_bound(region.start_key) for region in regions] == [b"a", b"m", b"q", b"z"]
        assert len(world.cluster.regions) == 5
        asked = world.cluster.count("SplitRegion")
        await world.client.split_regions(keys)
        assert world.cluster.count("SplitRegion") == asked
        await world.client.wait_for_regions(keys)

    run(transport, body)


def test_waiting_for_splits_ends(transport: str) -> None:
    async def body(world: World) -> None:
        world.cluster.inject("SplitRegion", *[DROP] * 100)
        with pytest.raises(RetriesExhausted, match="split regions"):
            await world.client.split_regions([b"a"], timeout_s=1.0)
        with pytest.raises(RetriesExhausted, match="begins at 61"):
            await world.client.wait_for_regions([b"a"], timeout_s=1.0)

    run(transport, body)
