"""Whole stores: real drivers, a real placement driver, real clients, in one process or over loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from server_tools import until

from rutile_coprocessor.fragment import Fragment, Scan
from rutile_coprocessor.row import RowCodec
from rutile_coprocessor.schema import Column, ColumnType, Kind, TableSchema
from rutile_kv.client.client import Client
from rutile_kv.client.fragment_plan import FragmentMode
from rutile_kv.client.pd import PdClient
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.rpc import LocalStub, channel
from rutile_kv.raftstore.bootstrap import bootstrap_first_region, bootstrap_store, first_region
from rutile_kv.raftstore.local_keys import scan_region_states
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.local_network import LocalNetwork
from rutile_kv.server.node import StoreNode
from rutile_kv.server.registration import found_cluster
from rutile_pd.node import PdConfig, PdNode
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import DataDirMismatch, InvalidRequest, PortInUse
from rutile_proto.keys import int_handle, record_key, storage_key, table_range

FAST = {"tick_seconds": 0.02, "store_heartbeat_seconds": 0.2, "region_heartbeat_seconds": 0.2}


@dataclass
class LocalCluster:
    """Stores without sockets. `stubs` is what the client looks into: a stopped store leaves it."""

    pd: PdNode
    nodes: list[StoreNode] = field(default_factory=list)
    stubs: dict[int, Any] = field(default_factory=dict)
    network: LocalNetwork = field(default_factory=LocalNetwork)

    @property
    def pd_stub(self) -> LocalStub:
        return LocalStub(self.pd.servicer)

    async def add_store(self, **config: Any) -> StoreNode:
        node = StoreNode(StoreConfig(address=None, **{**FAST, **config}), pd_stub=self.pd_stub, network=self.network)
        await node.start()
        self.nodes.append(node)
        self.stubs[node.store_id] = LocalStub(node.servicer)
        return node

    async def stop_store(self, node: StoreNode) -> None:
        await node.stop()
        self.nodes.remove(node)
        del self.stubs[node.store_id]

    def client(self) -> Client:
        return Client.local(self.pd_stub, self.stubs)


@asynccontextmanager
async def local_cluster(replicas: int, pd_dir: Path | None = None) -> AsyncIterator[LocalCluster]:
    cluster = LocalCluster(PdNode(pd_dir, None, config=PdConfig(max_replicas=replicas, tick_s=0.05)))
    await cluster.pd.start()
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            await node.stop()
        await cluster.pd.stop()


async def put(client: Client, **values: str) -> None:
    async with await client.begin() as txn:
        for key, value in values.items():
            txn.put(key.encode(), value.encode())
        await txn.commit()


async def get(client: Client, key: str) -> bytes | None:
    return await client.snapshot(await client.timestamp()).get(key.encode())


async def has_three_voters(client: Client) -> bool:
    info = await client.pd.get_region(b"")
    return info is not None and [peer.role for peer in info.region.peers] == [metapb.Voter] * 3


async def leader_of(cluster: LocalCluster) -> StoreNode:
    def leads(node: StoreNode) -> bool:
        return any(info.is_leader for info in node.driver.region_infos())

    await until(lambda: any(map(leads, cluster.nodes)))
    return next(node for node in cluster.nodes if leads(node))


# --- one process ------------------------------------------------------------------------------------------------------


def test_three_stores_replicate_and_survive_the_loss_of_the_leader() -> None:
    async def main() -> None:
        async with local_cluster(3) as cluster:
            for _ in range(3):
                await cluster.add_store()
            async with cluster.client() as client:
                await put(client, a="1")
                await until(lambda: has_three_voters(client))
                await put(client, b="2")
                await cluster.stop_store(await leader_of(cluster))
                assert (await get(client, "a"), await get(client, "b")) == (b"1", b"2")
                await put(client, c="3")
                assert await get(client, "c") == b"3"

    asyncio.run(main())


def test_a_store_that_was_cut_off_catches_up() -> None:
    async def main() -> None:
        async with local_cluster(3) as cluster:
            for _ in range(3):
                await cluster.add_store()
            async with cluster.client() as client:
                await put(client, a="1")
                await until(lambda: has_three_voters(client))
                leader = await leader_of(cluster)
                lagging = next(node for node in cluster.nodes if node is not leader)
                cluster.network.cut_off(lagging.store_id)
                await put(client, b="2")
                cluster.network.heal(lagging.store_id)
                applied = leader.driver.region_infos()[0].applied_index
                await until(lambda: lagging.driver.region_infos()[0].applied_index >= applied)

    asyncio.run(main())


def test_a_split_is_served_and_reported() -> None:
    async def main() -> None:
        async with local_cluster(1) as cluster:
            await cluster.add_store()
            async with cluster.client() as client:
                await put(client, a="1", p="2")
                (region,) = await client.split_regions([b"m"])
                assert region.start_key == storage_key(b"m")
                await client.wait_for_regions([b"m"])
                assert (await get(client, "a"), await get(client, "p")) == (b"1", b"2")
                await put(client, a="3", p="4")
                assert len(await client.pd.scan_regions(b"")) == 2

    asyncio.run(main())


def test_async_commit_waits_for_a_timestamp_of_this_leadership() -> None:
    async def main() -> None:
        async with local_cluster(1) as cluster:
            node = await cluster.add_store()
            async with cluster.client() as client:
                await put(client, a="1")
                (info,) = node.driver.region_infos()
                max_ts = node.servicer.scheduler.max_ts
                await until(lambda: max_ts.for_region(info.region.id) > 0)
                assert max_ts.for_region(info.region.id + 1) == 0

    asyncio.run(main())


def test_fragments_over_split_regions_whole_and_per_store_while_rows_change() -> None:
    """The whole query on one store, followers' replicas included, equals its parts and plain Python."""
    schema = TableSchema(7, "t", (Column(1, "n", ColumnType(Kind.INT)),))
    work = Fragment("SELECT sum(n) AS total, count(*) AS n FROM t", (Scan("t", schema, ("n",)),)).to_proto()
    codec, spans = RowCodec(schema), {"t": [table_range(7)]}

    async def totals(client: Client, mode: FragmentMode) -> tuple[int, int]:
        found = await client.run_fragment(work, spans, await client.timestamp(), mode, 20.0)
        rows = [row for batch in found.batches for row in batch.to_pylist()]
        return sum(row["total"] or 0 for row in rows), sum(row["n"] for row in rows)

    async def main() -> None:
        async with local_cluster(3) as cluster:
            for _ in range(3):
                await cluster.add_store()
            async with cluster.client() as client:
                await put(client, a="1")
                await until(lambda: has_three_voters(client))
                await client.split_regions([record_key(7, int_handle(each)) for each in (30, 70)])
                twin: dict[int, int] = {}
                for step in range(4):
                    changes = {number: number * (step + 1) for number in range(step, 100, 7)}
                    twin |= changes
                    async with await client.begin() as txn:
                        for number, value in changes.items():
                            txn.put(record_key(7, int_handle(number)), codec.encode_row((value,)))
                        await txn.commit()
                    expected = sum(twin.values()), len(twin)
                    for mode in ("whole", "per_store", "whole"):
                        assert await totals(client, mode) == expected

    asyncio.run(main())


def test_a_stopped_store_answers_unavailable_and_stops_twice() -> None:
    async def main() -> None:
        async with local_cluster(1) as cluster:
            node = await cluster.add_store()
            stub = LocalStub(node.servicer)
            await node.stop()
            await node.stop()
            with pytest.raises(grpc.RpcError) as caught:
                await stub.KvGet(kvrpcpb.GetRequest(key=b"a", version=1))
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(main())


def test_a_store_needs_a_placement_driver() -> None:
    with pytest.raises(InvalidRequest, match="placement driver"):
        StoreNode(StoreConfig(address=None))


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_a_restart_finds_everything(tmp_path: Path) -> None:
    async def life(first: bool) -> int:
        async with local_cluster(1, tmp_path / "pd") as cluster:
            node = await cluster.add_store(data_dir=tmp_path / "store")
            async with cluster.client() as client:
                if first:
                    await put(client, a="1")
                assert await get(client, "a") == b"1"
            return node.store_id

    assert asyncio.run(life(True)) == asyncio.run(life(False))


def test_the_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    async def life(pd_dir: Path) -> None:
        async with local_cluster(1, pd_dir) as cluster:
            await cluster.add_store(data_dir=tmp_path / "store")

    asyncio.run(life(tmp_path / "pd one"))
    with pytest.raises(DataDirMismatch, match="of cluster"):
        asyncio.run(life(tmp_path / "pd two"))
    RocksEngine.open(tmp_path / "store").close()


# --- founding: a crash at any moment is harmless ----------------------------------------------------------------------


def test_founding_goes_on_where_a_crash_left_it() -> None:
    async def main() -> None:
        async with local_cluster(1) as cluster:
            pd = PdClient.local(cluster.pd_stub)
            cluster_id, store_id = await pd.ready(), await pd.alloc_id()
            engine = MemoryEngine()
            bootstrap_store(engine, cluster_id, store_id)
            prepared = first_region(await pd.alloc_id(), await pd.alloc_id(), store_id)
            bootstrap_first_region(engine, prepared)  # and the crash, before PD heard of it
            for _ in range(2):
                await found_cluster(engine, pd, metapb.Store(id=store_id))
                assert [state.region for state in scan_region_states(engine)] == [prepared]
            (known,) = await pd.scan_regions(b"")
            assert known.region.id == prepared.id
            await pd.close()

    asyncio.run(main())


def test_a_prepared_region_is_taken_back_when_another_store_was_quicker() -> None:
    async def main() -> None:
        async with local_cluster(1) as cluster:
            pd = PdClient.local(cluster.pd_stub)
            store_id = await pd.alloc_id()
            engine = MemoryEngine()
            bootstrap_store(engine, await pd.ready(), store_id)
            bootstrap_first_region(engine, first_region(await pd.alloc_id(), await pd.alloc_id(), store_id))
            await cluster.add_store()
            await found_cluster(engine, pd, metapb.Store(id=store_id))
            assert list(scan_region_states(engine)) == []
            await pd.close()

    asyncio.run(main())


# --- over loopback ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def grpc_pd(replicas: int) -> AsyncIterator[PdNode]:
    pd = PdNode(None, "127.0.0.1:0", config=PdConfig(max_replicas=replicas, tick_s=0.05))
    await pd.start()
    try:
        yield pd
    finally:
        await pd.stop()


def grpc_store(pd: PdNode, **config: Any) -> StoreNode:
    return StoreNode(StoreConfig(**{"address": "127.0.0.1:0", "pd_addresses": (pd.address,), **FAST, **config}))


def test_three_stores_over_grpc_replicate_and_one_restarts(tmp_path: Path) -> None:
    async def main() -> None:
        async with grpc_pd(3) as pd:
            nodes = [grpc_store(pd, data_dir=tmp_path / str(number)) for number in range(3)]
            for node in nodes:
                await node.start()
            async with await Client.connect([pd.address]) as client:
                await put(client, a="1")
                await until(lambda: has_three_voters(client))
                await nodes[0].stop()
                await put(client, b="2")
                nodes[0] = grpc_store(pd, data_dir=tmp_path / "0")
                await nodes[0].start()
                applied = max(node.driver.region_infos()[0].applied_index for node in nodes[1:])
                await until(lambda: nodes[0].driver.region_infos()[0].applied_index >= applied)
                assert (await get(client, "a"), await get(client, "b")) == (b"1", b"2")
            for node in nodes:
                await node.stop()

    asyncio.run(main())


def test_a_port_in_use_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with grpc_pd(1) as pd:
            first = grpc_store(pd)
            await first.start()
            second = grpc_store(pd, address=first.address, data_dir=tmp_path / "second")
            with pytest.raises(PortInUse, match=first.address):
                await second.start()
            RocksEngine.open(tmp_path / "second").close()
            await first.stop()

    asyncio.run(main())


def test_health_follows_the_store() -> None:
    async def main() -> None:
        async with grpc_pd(1) as pd:
            node = grpc_store(pd)
            await node.start()
            async with channel(node.address) as link:
                check = link.unary_unary("/grpc.health.v1.Health/Check")
                assert await check(b"") == b"\x08\x01"
            await node.stop()

    asyncio.run(main())


def test_a_store_founds_a_cluster_and_tells_where_it_listens() -> None:
    async def main() -> None:
        async with grpc_pd(1) as pd:
            node = StoreNode(StoreConfig(address="127.0.0.1:0", pd_addresses=(pd.address,), **FAST))
            await node.start()
            client = PdClient.connect([pd.address])
            await until(client.is_bootstrapped)
            info = await client.get_region(b"")
            assert info is not None and info.leader is not None

            async def listens() -> bool:
                (store,) = await client.all_stores()
                return all(each.startswith("127.0.0.1:") for each in (store.address, store.peer_address))

            await until(listens)
            await node.stop()
            await client.close()

    asyncio.run(main())
