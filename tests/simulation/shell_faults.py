"""Misfortune for a cluster of shells: what goes wrong, each thing by itself and at its own rate."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine

from shell_workloads import SPLIT_KEYS
from shell_world import ShellWorld

from rutile.testing.cluster import InProcessCluster
from rutile.testing.disk import DiskError
from rutile.testing.places import Place
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.server.node import StoreNode
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.errors import RutileError

STEP_S = 0.05
MAX_STORES = 5


class Storm:
    """Rolls the dice every `STEP_S`."""

    def __init__(
        self, cluster: InProcessCluster, world: ShellWorld, rng: random.Random, slow_disks: dict[str, None]
    ) -> None:
        """`slow_disks` is where the places are noted whose disks are slow just now."""
        self._cluster = cluster
        self._slow_disks = slow_disks
        self._world = world
        self._random = rng
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._client = cluster.client("splitter")
        self.leaving: Place | None = None
        """The store that was asked to be removed."""
        self._removes = False
        self._table: tuple[tuple[float, Callable[[], None]], ...] = (
            (world.kill_store, lambda: self._kill(self._any_store())),
            (world.kill_pd, lambda: self._kill(self._any_pd())),
            (world.pause, self._pause),
            (world.partition, self._partition),
            (world.one_way, self._one_way),
            (world.heal, cluster.heal),
            (world.skew, self._skew),
            (world.disk_error, self._disk_error),
            (world.slow_disk, self._slow_disk),
            (world.split, self._split),
            (world.transfer, self._transfer),
            (world.add_store, self._add_store),
            (world.remove_store, self._remove_store),
        )

    async def blow(self, seconds: float) -> None:
        """Let things go wrong for so long."""
        for _ in range(round(seconds / STEP_S)):
            for per_second, action in self._table:
                if self._random.random() < per_second * STEP_S:
                    action()
            await asyncio.sleep(STEP_S)

    async def end(self) -> None:
        """Returns when what was begun has come to its end."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _later(self, work: Coroutine[object, object, object], delay_s: float = 0.0) -> None:
        async def run() -> None:
            await asyncio.sleep(delay_s)
            try:
                await work
            except RutileError as error:
                self._cluster.note(f"storm: {type(error).__name__}: {error}")

        task = asyncio.ensure_future(run())
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    # --- machines -----------------------------------------------------------------------------------------------------

    def _any_store(self) -> Place:
        return self._random.choice(self._cluster.stores)

    def _any_pd(self) -> Place:
        return self._cluster.places[self._random.choice(self._cluster.pd_names)]

    def _kill(self, place: Place) -> None:
        if place.is_up:
            self._cluster.kill(place.name, self._random.randint(0, place.disk.unsynced_batches))
            down_s = self._random.uniform(0.0, self._world.max_down_s)
            self._later(self._cluster.start_again(place.name), down_s)

    def _pause(self) -> None:
        place = self._random.choice([self._any_store(), self._any_pd()])
        if place.is_up:
            self._cluster.pause(place.name)

            async def resume() -> None:
                self._cluster.resume(place.name)

            self._later(resume(), self._random.choice((0.05, 0.5, 2.5)))

    def _skew(self) -> None:
        place = self._random.choice([self._any_store(), self._any_pd()])
        self._cluster.skew(place.name, self._random.choice((-3.0, 0.0, 2.0)), self._random.choice((0.95, 1.0, 1.05)))

    def _disk_error(self) -> None:
        """Its disk fails: the store stops serving, and is restarted with a new one."""
        place = self._any_store()
        if not place.is_up:
            return

        def fault(operation: str) -> None:
            raise DiskError(f"{operation} failed, as the simulation asked")

        place.disk.fault = fault

        async def replace() -> None:
            self._cluster.kill(place.name)
            place.disk.fault = lambda operation: None
            await self._cluster.start_again(place.name)

        self._later(replace(), self._random.uniform(0.1, 2.0))

    def _slow_disk(self) -> None:
        """Its syncs take long, for a while."""
        name = self._random.choice([self._any_store(), self._any_pd()]).name
        self._cluster.note(f"the disk of {name} is slow")
        self._slow_disks[name] = None

        async def recover() -> None:
            self._slow_disks.pop(name, None)

        self._later(recover(), self._random.uniform(0.5, 3.0))

    def _add_store(self) -> None:
        if len(self._cluster.stores) < MAX_STORES:
            self._later(self._cluster.add_store())

    def _remove_store(self) -> None:
        """Gracefully, once, and only if enough remain: its regions are brought elsewhere."""
        present = [place for place in self._cluster.stores if place.store_id]
        if not self._removes and len(present) > 3:
            self._removes = True  # also while PD has not answered: of four stores two may not leave
            place = self._random.choice(present)
            self._cluster.note(f"{place.name} is to leave")
            self._later(self._remove(place))

    async def _remove(self, place: Place) -> None:
        await self._client.pd.call("RemoveStore", pdadminpb.StoreRequest(store_id=place.store_id))
        self.leaving = place

    # --- the network --------------------------------------------------------------------------------------------------

    def _partition(self) -> None:
        names = list(self._cluster.places)
        self._cluster.partition(*self._random.sample(names, self._random.randint(1, len(names) // 2)))

    def _one_way(self) -> None:
        sender, target = self._random.sample(list(self._cluster.places), 2)
        self._cluster.note(f"cut {sender}->{target}")
        self._cluster.network.cut(sender, target)

    # --- people -------------------------------------------------------------------------------------------------------

    def _split(self) -> None:
        self._later(self._client.split_regions([self._random.choice(SPLIT_KEYS)], timeout_s=3.0))

    def _leaders(self) -> list[tuple[StoreNode, RegionInfo]]:
        return [
            (place.node, info)
            for place in self._cluster.stores
            if isinstance(place.node, StoreNode)
            for info in place.node.driver.region_infos()
            if info.is_leader
        ]

    def _transfer(self) -> None:
        leaders = self._leaders()
        if leaders:
            node, info = self._random.choice(leaders)
            peer = self._random.choice(list(info.region.peers))
            self._later(node.driver.transfer_leader(context_of(info), peer.id))
