"""Stories told to a simulated cluster: a few steps in the one order that tempts it, where chance takes too long."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from region_checks import Violation

from rutile.testing.cluster import InProcessCluster
from rutile.testing.loops import START_S, VirtualLoop
from rutile.testing.places import ClusterSettings
from rutile.testing.trace import Trace
from rutile_kv.client.client import Client
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.server.node import StoreNode
from rutile_proto.errors import RegionError, TxnAborted
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


class Story:
    """A cluster without misfortunes but those that `tell` sees to."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._loop: VirtualLoop | None = None
        self.trace = Trace(lambda: START_S if self._loop is None or self._loop.is_closed() else self._loop.time())

    def run(self) -> None:
        """Raises Violation if what came of it must not be."""
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(self._main())

    def _make_loop(self) -> VirtualLoop:
        self._loop = VirtualLoop()
        return self._loop

    async def _main(self) -> None:
        cluster = InProcessCluster(ClusterSettings(seed=self.seed))
        cluster.note = cluster.network.note = self.trace.note
        await cluster.start()
        await self.tell(cluster)
        await cluster.close()

    async def tell(self, cluster: InProcessCluster) -> None:
        raise NotImplementedError


class ReadBeforeCommit(Story):
    """A transaction is about to commit, at whatever timestamp the stores choose, and has just been told what that must
    be above. Somebody reads what it writes, at a later timestamp; the regions are led elsewhere, or not; the
    transaction commits. What was read is what is read again at that timestamp.

    So the commit must be above the read, which the store that chooses has only heard of if it served it.
    """

    async def tell(self, cluster: InProcessCluster) -> None:
        """Raises Violation if a snapshot changes."""
        client, writers = cluster.client("reader"), cluster.client("writer")
        if self.seed % 2:
            await client.split_regions([b"m"])
            await cluster.until(cluster.is_placed)
        for moves in (False, True):
            await self._one_transaction(cluster, client, writers, moves)

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
                await lead_elsewhere(cluster, key)
        clock.may_arrive.set()
        commit_ts = await commit
        after = await snapshot.batch_get(KEYS)
        if before != after:
            raise Violation(f"read at {snapshot.ts}: {before}, then {after}: committed at {commit_ts}")


class LostLock(Story):
    """A store stands still, and with it a lock that only its memory knows. Somebody writes the key where the region is
    led now; the store comes to, and leads again. The lock's owner must not commit what it makes of what it has read.
    """

    async def tell(self, cluster: InProcessCluster) -> None:
        """Raises Violation if an update is lost."""
        client, rivals = cluster.client("owner"), cluster.client("rival")
        async with await client.begin() as first:
            first.put(KEYS[0], b"1")
        owner = await client.begin(pessimistic=True)
        assert await owner.get_for_update(KEYS[0]) == b"1"
        holder = leader(cluster, KEYS[0])
        assert holder is not None, "it has given the lock"
        place = next(place for place in cluster.stores if place.node is holder)
        cluster.pause(place.name)
        await cluster.until(lambda: leader(cluster, KEYS[0]) is not holder)
        async with await rivals.begin(pessimistic=True) as rival:
            rival.put(KEYS[0], await rival.get_for_update(KEYS[0]) + b"2")
        cluster.resume(place.name)
        while leader(cluster, KEYS[0]) is not holder:
            await lead_elsewhere(cluster, KEYS[0], holder)
            await asyncio.sleep(0.1)
        owner.put(KEYS[0], b"13")
        try:
            commit_ts = await owner.commit()
        except TxnAborted:
            return
        raise Violation(f"committed at {commit_ts} over what was written at {rival.commit_ts} under a lost lock")


async def lead_elsewhere(cluster: InProcessCluster, key: bytes, heir: StoreNode | None = None) -> None:
    """Have another store lead the key's region, and wait for one to serve."""
    node = leader(cluster, key)
    assert node is not None, "the cluster is whole"
    region = node.driver.find_region(storage_key(key))
    info = node.driver.store.region_info(region.id) if region is not None else None
    assert info is not None, "its leader knows the region"
    others = (peer for peer in info.region.peers if peer.store_id != node.store_id)
    to_peer = next(peer for peer in others if heir is None or peer.store_id == heir.store_id)
    with suppress(RegionError):  # one that stood still may be silent yet
        await node.driver.transfer_leader(context_of(info), to_peer.id)

    def moved() -> bool:
        found = leader(cluster, key)
        return found is not None and (heir is not None or found is not node)

    await cluster.until(moved)


def leader(cluster: InProcessCluster, key: bytes) -> StoreNode | None:
    """The store with the newest term among those that believe to lead the key's region."""
    found: dict[int, StoreNode] = {}
    for place in cluster.stores:
        if isinstance(place.node, StoreNode):
            region = place.node.driver.find_region(storage_key(key))
            term = place.node.driver.store.led_term(region.id) if region is not None else 0
            found[term] = place.node
    newest = max(found, default=0)
    return found[newest] if newest else None
