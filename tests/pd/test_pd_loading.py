"""A new leader of the placement driver serves before it has loaded its regions, and decides nothing until then."""

import asyncio
from pathlib import Path

import pytest

from rutile_kv.engine.api import CF_DEFAULT
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.env.rpc import LocalStub
from rutile_pd import member
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.node import PdNode
from rutile_pd.regions.tree import StaleRegion
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

STORES = [metapb.Store(id=number, address=f"s{number}:1") for number in (1, 2, 3, 4)]
COUNT = 400


def region(number: int, version: int = 2, count: int = COUNT) -> metapb.Region:
    """The region `number` of `count` that tile the key space, with peers on stores 1 to 3."""
    return metapb.Region(
        id=100 + number,
        start_key=b"%06d" % number if number else b"",
        end_key=b"%06d" % (number + 1) if number + 1 < count else b"",
        region_epoch=metapb.RegionEpoch(conf_ver=1, version=version),
        peers=[metapb.Peer(id=10_000 + 10 * number + store, store_id=store) for store in (1, 2, 3)],
    )


def kept(number: int, version: int = 2) -> pdpb.Region:
    whole = region(number, version)
    return pdpb.Region(region=whole, leader=whole.peers[0])


def report(about: metapb.Region, term: int = 7, leader: int = 1) -> pdpb.RegionHeartbeatRequest:
    return pdpb.RegionHeartbeatRequest(region=about, leader=about.peers[leader], term=term, approximate_size=5 << 20)


def storage_of(*regions: pdpb.Region) -> PdStorage:
    """Storage that has applied these regions and all stores."""
    engine, staged = MemoryEngine(), PdStorage(MemoryEngine())
    staged.save_bootstrap(STORES[0], regions[0])
    for store in STORES:
        staged.save_store(store)
    for each in regions:
        staged.save_region(each)
    batch = engine.batch()
    for key, value in {**staged.promises(), **staged.hints(1 << 30)}.items():
        batch.put(CF_DEFAULT, key, value or b"")
    engine.write(batch)
    return PdStorage(engine)


def unloaded(storage: PdStorage) -> Cluster:
    return Cluster(1, storage, PdConfig(), 0, with_regions=False)


def load(cluster: Cluster, storage: PdStorage) -> None:
    for saved in storage.regions():
        cluster.restore(saved)
    cluster.is_loaded = True


def test_a_report_finds_what_is_kept_and_is_not_overwritten_by_it():
    storage = storage_of(*map(kept, range(COUNT)))
    cluster = unloaded(storage)
    assert cluster.region_heartbeat(report(region(7)), 0) is None
    assert len(cluster.regions) == 1
    assert len(storage.hints(1 << 30)) == 1, "its leader is news"
    load(cluster, storage)
    found = cluster.regions.by_id(107)
    assert found is not None and found.leader is not None
    assert (found.leader.store_id, found.term, found.approximate_size_bytes) == (2, 7, 5 << 20)
    assert len(cluster.regions) == COUNT


def test_old_news_is_old_before_and_after_loading():
    storage = storage_of(kept(0), *(kept(number, version=9) for number in range(1, COUNT)))
    cluster = unloaded(storage)
    for _ in range(2):
        with pytest.raises(StaleRegion, match="known at 1/9"):
            cluster.region_heartbeat(report(region(7, version=8)), 0)
        load(cluster, storage)


def test_what_a_report_replaced_is_forgotten_when_its_turn_comes():
    """Regions 7 and 8 merged while another member led."""
    storage = storage_of(*map(kept, range(COUNT)))
    cluster = unloaded(storage)
    merged = region(8, version=5)
    merged.start_key = region(7).start_key
    cluster.region_heartbeat(report(merged), 0)
    load(cluster, storage)
    assert cluster.regions.by_id(107) is None
    assert storage.hints(1 << 30)[b"pd/region/" + (107).to_bytes(8, "big")] is None
    assert [each.start_key for each in cluster.regions] == [b"", *(b"%06d" % n for n in range(1, COUNT) if n != 8)]


def test_a_store_is_not_buried_for_regions_that_are_not_loaded():
    storage = storage_of(*map(kept, range(COUNT)))
    cluster = unloaded(storage)
    for store_id in (3, 4):
        cluster.remove_store(store_id)
    assert cluster.tick(0) == []
    assert [cluster.stores.get(number).meta.state for number in (3, 4)] == [metapb.Offline] * 2
    load(cluster, storage)
    cluster.tick(0)
    assert [cluster.stores.get(number).meta.state for number in (3, 4)] == [metapb.Offline, metapb.Tombstone]


async def timestamp(stub):
    async def requests():
        yield pdpb.TsoRequest(count=1)

    (answer,) = [answer async for answer in stub.Tso(requests())]
    return answer.timestamp


def test_a_leader_serves_timestamps_and_heartbeats_at_once(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(member, "REGIONS_AT_ONCE", 1)

    async def main():
        node = PdNode(tmp_path, None)
        await node.start()
        stub = LocalStub(node.servicer)
        await stub.Bootstrap(pdpb.BootstrapRequest(store=STORES[0], region=metapb.Region(id=1, peers=[ALONE])))
        await node.stop()
        fill(tmp_path)

        node = PdNode(tmp_path, None)
        await node.start()
        stub, cluster = LocalStub(node.servicer), node.servicer.leader.cluster
        assert (await timestamp(stub)).physical > 0
        assert (await stub.AllocID(pdpb.AllocIDRequest())).id > 0
        await stub.StoreHeartbeat(pdpb.StoreHeartbeatRequest(stats=pdpb.StoreStats(store_id=1)))
        found = await stub.GetRegionByID(pdpb.GetRegionByIDRequest(region_id=100 + COUNT - 1))
        assert found.region == region(COUNT - 1)
        assert not cluster.is_loaded, "all that came before the regions were loaded"
        scanned = await stub.ScanRegions(pdpb.ScanRegionsRequest())
        assert cluster.is_loaded
        assert [each.region.id for each in scanned.regions] == list(range(100, 100 + COUNT))
        assert (await stub.GetRegion(pdpb.GetRegionRequest(region_key=b"000007x"))).region.id == 107
        await node.stop()

    asyncio.run(main())


ALONE = metapb.Peer(id=3, store_id=1)


def fill(directory: Path) -> None:
    """What another life of the placement driver left: many regions in the place of one."""
    staged = PdStorage(MemoryEngine())
    staged.forget_region(1)
    for number in range(COUNT):
        staged.save_region(kept(number))
    engine = RocksEngine.open(directory)
    batch = engine.batch()
    for key, value in staged.hints(1 << 30).items():
        batch.put(CF_DEFAULT, key, value) if value is not None else batch.delete(CF_DEFAULT, key)
    engine.write(batch)
    engine.sync()
    engine.close()
