"""Regions split and merge on three stores under clients that go on: transactions, fragments, raw scans."""

import asyncio
import random
import sys
from pathlib import Path

from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.client.client import Client
from rutile_kv.client.fragment_plan import FragmentMode
from rutile_kv.env.rpc import LocalStub
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_kv.server.raw_scan_relay import RawScanRelay
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import TxnError
from rutile_proto.keys import int_handle, record_key, storage_key, table_range

sys.path.append(str(Path(__file__).parents[1] / "locks"))

from lock_cluster import Stores, stores, until

ACCOUNTS = [b"account %02d" % number for number in range(12)]
BORDERS = [ACCOUNTS[4], ACCOUNTS[8]]


async def come_and_go(cluster: Stores, client: Client, borders: list[bytes], rounds: int) -> None:
    """Cut at the borders, lead the parts from different stores, make them one again."""
    for number in range(rounds):
        await client.split_regions(borders)
        for at, key in enumerate((b"", *borders)):
            await cluster.lead(key, cluster.nodes[(number + at) % 3])
        for _ in borders:
            await cluster.merge(b"")


async def total(client: Client) -> int:
    found = await client.snapshot(await client.timestamp()).batch_get(ACCOUNTS)
    return sum(int(value) for value in found.values())


async def move_money(client: Client, chance: random.Random, pessimistic: bool) -> None:
    """From one account to another, usually in different regions."""
    payer, payee = chance.sample(ACCOUNTS, 2)
    async with await client.begin(pessimistic=pessimistic) as txn:
        read = txn.batch_get_for_update if pessimistic else txn.batch_get
        held = await read([payer, payee])
        txn.put(payer, b"%d" % (int(held[payer]) - 1))
        txn.put(payee, b"%d" % (int(held[payee]) + 1))


def test_transactions_go_on_while_regions_split_and_merge() -> None:
    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            async with await client.begin() as txn:
                for account in ACCOUNTS:
                    txn.put(account, b"100")
            stopped, moved = False, 0

            async def work(seed: int) -> None:
                nonlocal moved
                chance = random.Random(seed)
                while not stopped:
                    try:
                        await move_money(client, chance, pessimistic=seed % 2 == 0)
                        moved += 1
                    except TxnError:
                        continue

            async def look() -> None:
                while not stopped:
                    assert await total(client) == 100 * len(ACCOUNTS)

            tasks = [asyncio.ensure_future(each) for each in (work(1), work(2), work(3), look())]
            for number in range(4):
                await come_and_go(cluster, client, BORDERS, 1)
                await until(lambda number=number: moved > 5 * number)
            stopped = True
            await asyncio.gather(*tasks)
            assert await total(client) == 100 * len(ACCOUNTS)
            assert len(cluster.nodes[0].driver.region_infos()) == 1
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_fragments_see_the_rows_of_a_merged_region_from_the_mirror_too() -> None:
    schema = TableSchema(7, "t", (Column(1, "n", ColumnType(Kind.INT)),))
    work = Fragment("SELECT sum(n) AS total, count(*) AS n FROM t", (Scan("t", schema, ("n",)),)).to_proto()
    codec, spans = RowCodec(schema), {"t": [table_range(7)]}

    async def totals(client: Client, mode: FragmentMode) -> tuple[int, int]:
        found = await client.run_fragment(work, spans, await client.timestamp(), mode, 20.0)
        rows = [row for batch in found.batches for row in batch.to_pylist()]
        return sum(row["total"] or 0 for row in rows), sum(row["n"] for row in rows)

    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            twin: dict[int, int] = {}

            async def write_and_compare(step: int) -> None:
                changes = {number: number * (step + 1) for number in range(step, 60, 5)}
                twin.update(changes)
                async with await client.begin() as txn:
                    for number, value in changes.items():
                        txn.put(record_key(7, int_handle(number)), codec.encode_row((value,)))
                for mode in ("whole", "per_store", "whole"):
                    assert await totals(client, mode) == (sum(twin.values()), len(twin))

            for step in range(3):
                await client.split_regions([record_key(7, int_handle(20))])
                await write_and_compare(2 * step)
                await cluster.merge(b"")
                await write_and_compare(2 * step + 1)
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_every_store_can_be_asked_for_its_mirror_before_queries_come() -> None:
    schema = TableSchema(7, "t", (Column(1, "n", ColumnType(Kind.INT)),))
    work = Fragment("SELECT count(*) AS n FROM t", (Scan("t", schema, ("n",)),)).to_proto()
    codec, spans = RowCodec(schema), {"t": [table_range(7)]}

    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            async with await client.begin() as txn:
                for number in range(40):
                    txn.put(record_key(7, int_handle(number)), codec.encode_row((number,)))
            await client.split_regions([record_key(7, int_handle(20))])
            await client.warm_mirrors(work, spans, await client.timestamp(), 20.0)
            for node in cluster.nodes:
                assert node.endpoint.cache is not None
                held = node.endpoint.cache.keys()
                assert [key.table_id for key in held] == [7, 7]
            found = await client.run_fragment(work, spans, await client.timestamp(), "whole", 20.0)
            assert [scan.path for summary in found.summaries for scan in summary.scans] == ["mirror"]
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_page_of_an_old_client_ends_where_its_region_ended() -> None:
    """A client that never looks a region up again (wire.md 6.1) asks for pages of regions that were merged, split and
    merged again since: neither lost nor doubled."""

    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            keys = [b"%c-------" % letter for letter in b"abcdefghijkl"]
            await client.raw.batch_put(dict.fromkeys(keys, b"v"))
            await client.split_regions([b"e-------", b"i-------"])
            old = list(cluster.nodes[0].driver.region_infos())
            await cluster.merge(b"")
            await client.split_regions([b"c-------", b"k-------"])
            relay = RawScanRelay(client.cluster, cluster.nodes[0].driver)
            seen: list[bytes] = []
            for info in old:
                start = max(info.region.start_key, seen[-1] + b"\0" if seen else b"")
                request = kvrpcpb.RawScanRequest(context=context_of(info), start_key=start, limit=100)
                page = [key for key, _ in await relay.scan(request)]
                assert page == [key for key in keys if info.region.start_key <= key and _before(key, info.region)]
                seen += page
            assert seen == keys
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_the_placement_driver_merges_small_regions_by_itself() -> None:
    """With a pause after splits, so that all three regions are there first."""

    async def main() -> None:
        async with stores(3, 3, {"split_merge_interval_s": 1.0}) as cluster:
            client = cluster.client()
            async with await client.begin() as txn:
                txn.put(b"a", b"1")
                txn.put(b"z", b"2")
            await client.split_regions([b"g", b"p"])
            await until(lambda: all(len(node.driver.region_infos()) == 3 for node in cluster.nodes))
            await until(lambda: all(len(node.driver.region_infos()) == 1 for node in cluster.nodes), 30)
            assert await client.snapshot(await client.timestamp()).batch_get([b"a", b"z"]) == {b"a": b"1", b"z": b"2"}
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def _leader_and_pair(cluster: Stores, border: bytes) -> tuple[StoreNode, metapb.Region, metapb.Region]:
    """Who leads the first region, that region, and the one that begins at the border."""
    node = cluster.leader(b"")
    assert node is not None
    return node, node.driver.find_region(b""), node.driver.find_region(storage_key(border))


def _before(key: bytes, region: metapb.Region) -> bool:
    return not region.end_key or key < region.end_key


def test_a_merge_is_asked_for_by_rpc_and_by_the_placement_driver() -> None:
    async def main() -> None:
        async with stores(3, 3) as cluster:
            client = cluster.client()
            async with await client.begin() as txn:
                txn.put(b"a", b"1")
            await client.split_regions([b"g", b"p"])
            answers = []

            async def asked() -> bool:
                if cluster.leader(b"") is None:
                    return False
                node, source, target = _leader_and_pair(cluster, b"g")
                context = context_of(node.driver.store.region_info(source.id))
                request = rutilepb.MergeRegionRequest(context=context, target=target)
                answers.append(await LocalStub(node.servicer).MergeRegion(request))
                return not answers[-1].HasField("region_error")

            await until(asked)
            merged = answers[-1].region
            assert merged.end_key == storage_key(b"g")
            await until(lambda: all(node.driver.region(merged.id) is None for node in cluster.nodes))

            def ordered() -> bool:
                if all(len(node.driver.region_infos()) == 1 for node in cluster.nodes):
                    return True
                if cluster.leader(b"") is not None:
                    node, source, target = _leader_and_pair(cluster, b"p")
                    order = pdpb.RegionHeartbeatResponse(
                        region_id=source.id, region_epoch=source.region_epoch, merge=pdpb.Merge(target=target)
                    )
                    node.driver.on_pd_heartbeat_response(order)
                return False

            await until(ordered)
            assert await client.snapshot(await client.timestamp()).get(b"a") == b"1"
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_wait_for_a_lock_goes_on_where_the_lock_went() -> None:
    """The lock is in the log: one in memory goes when a stalled store loses the lead, and then nobody waits."""

    async def main() -> None:
        async with stores(3, 3, pessimistic_locks_in_memory=False) as cluster:
            client = cluster.client()
            await client.split_regions([BORDERS[0]])
            holder = await client.begin(pessimistic=True)
            await holder.batch_get_for_update(ACCOUNTS[:1])
            waiter = await client.begin(pessimistic=True)
            waiting = asyncio.ensure_future(waiter.batch_get_for_update(ACCOUNTS[:1]))
            await until(lambda: waiting.done() or any(node.servicer.waiting.waits() for node in cluster.nodes))
            assert not waiting.done(), "it got the lock that another one holds"
            await cluster.merge(b"")
            holder.put(ACCOUNTS[0], b"1")
            await holder.commit()
            async with asyncio.timeout(5):
                assert await waiting == {ACCOUNTS[0]: b"1"}
            await waiter.rollback()
            await client.close()

    asyncio.run(main())
