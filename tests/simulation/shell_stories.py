"""Stories told to a simulated cluster: a few steps in the one order that tempts it, where chance takes too long."""

from __future__ import annotations

import asyncio
from typing import Any

from region_checks import Violation

from rutile.testing.cluster import InProcessCluster
from rutile.testing.loops import START_S, VirtualLoop
from rutile.testing.places import ClusterSettings
from rutile.testing.trace import Trace
from rutile_kv.client.client import Client
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_proto.keys import storage_key
from rutile_proto.types import Timestamp

KEYS = (b"left", b"right")


class SlowClock:
    """A placement driver whose timestamps take their time to arrive."""

    def __init__(self, pd: Any) -> None:
        self._pd = pd
        self.asked = asyncio.Event()
        self.may_arrive = asyncio.Event()

    async def timestamp(self) -> Timestamp:
        found: Timestamp = await self._pd.timestamp()
        self.asked.set()
        await self.may_arrive.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pd, name)


class ReadBeforeCommit:
    """A transaction is about to commit, at whatever timestamp the stores choose, and has just been told what that must
    be above. Somebody reads what it writes, at a later timestamp; the regions are led elsewhere, or not; the
    transaction commits. What was read is what is read again at that timestamp.

    So the commit must be above the read, which the store that chooses has only heard of if it served it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._loop: VirtualLoop | None = None
        self.trace = Trace(lambda: START_S if self._loop is None or self._loop.is_closed() else self._loop.time())

    def run(self) -> None:
        """Raises Violation if a snapshot changes."""
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(self._tell())

    def _make_loop(self) -> VirtualLoop:
        self._loop = VirtualLoop()
        return self._loop

    async def _tell(self) -> None:
        cluster = InProcessCluster(ClusterSettings(seed=self._seed))
        cluster.note = cluster.network.note = self.trace.note
        await cluster.start()
        client, writers = cluster.client("reader"), cluster.client("writer")
        if self._seed % 2:
            await client.split_regions([b"m"])
            await cluster.until(cluster.is_placed)
        for moves in (False, True):
            await self._one_transaction(cluster, client, writers, moves)
        await cluster.close()

    async def _one_transaction(self, cluster: InProcessCluster, client: Client, writers: Client, moves: bool) -> None:
        writer = await writers.begin()
        for key in KEYS:
            writer.put(key, b"written at %d" % writer.start_ts)
        clock = writers.cluster.pd = SlowClock(writers.cluster.pd)  # type: ignore[assignment]
        commit = asyncio.ensure_future(writer.commit())
        await clock.asked.wait()
        snapshot = client.snapshot(await client.timestamp())
        before = await snapshot.batch_get(KEYS)
        if moves:
            for key in KEYS:
                await self._lead_elsewhere(cluster, key)
        clock.may_arrive.set()
        commit_ts = await commit
        after = await snapshot.batch_get(KEYS)
        if before != after:
            raise Violation(f"read at {snapshot.ts}: {before}, then {after}: committed at {commit_ts}")

    async def _lead_elsewhere(self, cluster: InProcessCluster, key: bytes) -> None:
        """Have another store lead the key's region, and wait for it to serve."""
        node = self._leader(cluster, key)
        assert node is not None, "the cluster is whole"
        region = node.driver.find_region(storage_key(key))
        info = node.driver.store.region_info(region.id) if region is not None else None
        assert info is not None, "its leader knows the region"
        heir = next(peer for peer in info.region.peers if peer.store_id != node.store_id)
        await node.driver.transfer_leader(context_of(info), heir.id)

        def moved() -> bool:
            found = self._leader(cluster, key)
            return found is not None and found is not node

        await cluster.until(moved)

    def _leader(self, cluster: InProcessCluster, key: bytes) -> StoreNode | None:
        """The store with the newest term among those that believe to lead the key's region."""
        found: dict[int, StoreNode] = {}
        for place in cluster.stores:
            if isinstance(place.node, StoreNode):
                region = place.node.driver.find_region(storage_key(key))
                term = place.node.driver.store.led_term(region.id) if region is not None else 0
                found[term] = place.node
        newest = max(found, default=0)
        return found[newest] if newest else None
