"""TiKV's Python wheel, as it is on PyPI, against our stores: every method of RawClient, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_stores import Stores, stores

from rutile_proto import kvrpcpb_pb2 as kvrpcpb

tikv_client = pytest.importorskip("tikv_client", reason="the wheel tikv_client 0.0.4 exists for Python 3.11 only")

ROWS = {b"%08d" % number: b"value %d" % number for number in range(50_000)}
PAGE = 10_240
"""The most the wheel allows itself to ask for."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Stores]:
    with stores(3) as running:
        yield running


@pytest.fixture
def loop() -> Iterator[None]:
    """The blocking wheel runs on the event loop of its thread: one has to be there, and to be closed."""
    made = asyncio.new_event_loop()
    asyncio.set_event_loop(made)
    yield
    asyncio.set_event_loop(None)
    made.close()


@pytest.fixture
def raw(cluster: Stores, loop: None) -> Any:
    return tikv_client.RawClient.connect([cluster.pd_address])


@pytest.fixture(autouse=True)
def empty(cluster: Stores) -> None:
    for cf in ("default", "lock", "write"):
        cluster.run(cluster.client.raw.with_cf(cf).delete_range(b"", b""))


def everything(raw: Any, start: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
    """All rows, in as many pages as it takes."""
    rows = raw.scan(start, end, PAGE)
    page = rows
    while len(page) == PAGE:
        page = raw.scan(page[-1][0], end, PAGE, include_start=False)
        rows = rows + page
    return rows


def test_single_keys(raw: Any) -> None:
    raw.put(b"k", b"v")
    assert raw.get(b"k") == b"v"
    raw.put(b"k", b"")
    assert raw.get(b"k") == b""
    raw.delete(b"k")
    assert raw.get(b"k") is None
    raw.delete(b"k")


@pytest.mark.parametrize("key", [b"", b"\0", b"\xff" * 100, b"k" * 8192])
def test_any_bytes_are_a_key(raw: Any, key: bytes) -> None:
    raw.put(key, b"v")
    assert raw.get(key) == b"v"
    assert raw.scan(b"", None, 10) == [(key, b"v")]


def test_too_long_a_key_is_refused_in_tikvs_words(raw: Any) -> None:
    with pytest.raises(Exception, match="max key size exceeded, size: 8193, limit: 8192"):
        raw.put(b"k" * 8193, b"v")
    assert raw.get(b"k") is None


def test_batches(raw: Any) -> None:
    raw.batch_put({b"c": b"3", b"a": b"1", b"b": b"2"})
    assert raw.batch_get([b"b", b"none", b"a", b"c"]) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    raw.batch_delete([b"a", b"c", b"none"])
    assert raw.batch_get([b"a", b"b", b"c"]) == [(b"b", b"2")]


def test_scans_and_their_bounds(raw: Any) -> None:
    raw.batch_put({b"a": b"1", b"b": b"2", b"c": b"3"})
    assert raw.scan(b"a", b"c", 10) == [(b"a", b"1"), (b"b", b"2")]
    assert raw.scan(b"a", b"c", 10, include_start=False, include_end=True) == [(b"b", b"2"), (b"c", b"3")]
    assert raw.scan(b"a", None, 2) == [(b"a", b"1"), (b"b", b"2")]
    assert raw.scan(b"a", b"c", 0) == raw.scan(b"c", b"a", 10) == raw.scan(b"x", None, 10) == []
    assert raw.scan_keys(b"", b"", 10) == [b"a", b"b", b"c"]


def test_delete_range_and_its_bounds(raw: Any) -> None:
    raw.batch_put(dict.fromkeys((b"a", b"b", b"c", b"d", b"e"), b"v"))
    raw.delete_range(b"b", b"d")
    assert raw.scan_keys(b"", None, 10) == [b"a", b"d", b"e"]
    raw.delete_range(b"a", b"d", include_start=False, include_end=True)
    assert raw.scan_keys(b"", None, 10) == [b"a", b"e"]
    raw.delete_range(b"b")
    assert raw.scan_keys(b"", None, 10) == [b"a"]


def test_families_have_nothing_in_common(raw: Any) -> None:
    for cf in ("default", "lock", "write"):
        raw.put(b"k", cf.encode(), cf=cf)
    assert [raw.get(b"k", cf=cf) for cf in ("default", "lock", "write")] == [b"default", b"lock", b"write"]
    raw.delete_range(b"", None, cf="lock")
    assert [raw.scan(b"", None, 9, cf=cf) for cf in ("lock", "write")] == [[], [(b"k", b"write")]]


def test_the_same_without_blocking(cluster: Stores) -> None:
    async def main() -> None:
        raw = await tikv_client.asynchronous.RawClient.connect([cluster.pd_address])
        await raw.put(b"a", b"1")
        await raw.batch_put({b"b": b"2", b"c": b"3", b"d": b"4"})
        assert await raw.get(b"a") == b"1"
        assert await raw.batch_get([b"a", b"b"]) == [(b"a", b"1"), (b"b", b"2")]
        assert await raw.scan(b"b", b"d", 10) == [(b"b", b"2"), (b"c", b"3")]
        assert await raw.scan_keys(b"", None, 10) == [b"a", b"b", b"c", b"d"]
        await raw.delete(b"a")
        await raw.batch_delete([b"b"])
        await raw.delete_range(b"d", None)
        assert await raw.scan_keys(b"", None, 10) == [b"c"]
        counts = await asyncio.gather(*(raw.put(b"%d" % number, b"") for number in range(50)))
        assert counts == [None] * 50
        assert len(await raw.scan_keys(b"", b"a", 100)) == 50

    asyncio.run(main())


def test_transactional_data_is_another_world(cluster: Stores, raw: Any) -> None:
    transactions = tikv_client.TransactionClient.connect([cluster.pd_address])
    txn = transactions.begin()
    txn.put(b"k", b"transactional")
    txn.commit()
    assert raw.get(b"k") is None
    raw.put(b"k", b"raw")
    raw.delete_range(b"", None)
    raw.put(b"l", b"raw")
    snapshot = transactions.snapshot(transactions.current_timestamp(), pessimistic=False)
    assert snapshot.scan(b"", None, 10) == [(b"k", b"transactional")]
    assert raw.scan(b"", None, 10) == [(b"l", b"raw")]


def test_no_row_is_lost_while_regions_split_and_leaders_move(cluster: Stores, raw: Any) -> None:
    """The wheel never looks a region up again for a scan: the stores answer for what has moved."""
    raw.batch_put(ROWS)
    assert everything(raw, b"0", b"1") == list(ROWS.items())
    for at in range(5_000, 50_000, 7_001):
        cluster.run(cluster.client.split_regions([b"%08d" % at]))
        assert everything(raw, b"%08d" % (at - 100), b"%08d" % (at + 100)) == list(ROWS.items())[at - 100 : at + 100]
    assert everything(raw, b"0", b"1") == list(ROWS.items())
    cluster.run(_move_leaders(cluster))
    assert everything(raw, b"0", b"1") == list(ROWS.items())
    assert raw.scan_keys(b"00012", b"00013", PAGE) == [b"%08d" % at for at in range(12_000, 13_000)]


async def _move_leaders(cluster: Stores) -> None:
    """Every region gets another leader, and those who led know it."""
    for node in cluster.nodes:
        for info in node.driver.region_infos():
            if info.is_leader:
                other = next(peer for peer in info.region.peers if peer.store_id != node.store_id)
                context = kvrpcpb.Context(
                    region_id=info.region.id, region_epoch=info.region.region_epoch, peer=info.peer
                )
                await node.driver.transfer_leader(context, other.id)


def test_the_loss_of_the_leader(loop: None) -> None:
    """Reads and writes go on by themselves; the wheel's scans do once another call has found the new leader."""
    with stores(3) as cluster:
        survivor = tikv_client.RawClient.connect([cluster.pd_address])
        survivor.batch_put({b"a": b"1", b"b": b"2"})
        leader = next(node for node in cluster.nodes if any(info.is_leader for info in node.driver.region_infos()))
        cluster.run(leader.stop())
        assert survivor.get(b"a") == b"1"
        survivor.put(b"c", b"3")
        assert survivor.scan(b"", None, 10) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
