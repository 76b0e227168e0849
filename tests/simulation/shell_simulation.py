"""Ring 2: the real shells and clients on a virtual clock, a bad network and forgetful disks, driven by one seed.

Everything above the loop is what users run: `StoreNode`, `PdMember`, `Client` with its transactions. The world goes
wrong for a while, then it is mended; afterwards the cluster must become whole, and the histories of all clients must be
explained: money is conserved, lists show snapshot isolation, registers are linearizable, timestamps rise.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from region_checks import Violation, tiles
from shell_faults import Storm
from shell_workloads import (
    ACCOUNTS,
    EACH,
    BankWorker,
    ClockWatcher,
    FollowerReader,
    Histories,
    ListWorker,
    RegisterWorker,
    Worker,
    account_key,
)
from shell_world import ShellWorld

from rutile.testing.cluster import InProcessCluster
from rutile.testing.loops import MACHINE, START_S, VirtualLoop
from rutile.testing.places import ClusterSettings
from rutile.testing.trace import Trace
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.server.node import StoreNode
from rutile_proto.errors import RutileError

IMPATIENT = ClientOptions(
    read_budget_s=4.0, write_budget_s=6.0, find_out_budget_s=3.0, pd_budget_s=4.0, lock_wait_s=2.0, close_timeout_s=0.5
)
PATIENT = ClientOptions()
WORKERS: tuple[type[Worker], ...] = (
    ListWorker,
    ListWorker,
    BankWorker,
    BankWorker,
    RegisterWorker,
    FollowerReader,
    ClockWatcher,
    ClockWatcher,
)
AFTERWARDS_S = 2.0
MENDING_S = 120.0
LAST_CALLS_S = 60.0


class ShellSimulation:
    """See the module."""

    def __init__(self, seed: int, world: ShellWorld | None = None) -> None:
        self.random = random.Random(seed)
        self.world = world or ShellWorld.draw(self.random)
        self._now_s = START_S
        self._loop: VirtualLoop | None = None
        self.trace = Trace(self._time)
        self.histories = Histories()
        self._regions: dict[int, bool] = {}
        """Every region that was ever seen, and whether it is still there."""
        self.slow_disks: dict[str, None] = {}
        """The places of those."""
        self.cluster: InProcessCluster
        self.storm: Storm

    def run(self) -> None:
        """Raises Violation when something does not hold."""
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(self._main())
        problems = self.histories.problems()
        if problems:
            raise Violation("; ".join(problems[:5]))

    def simulated_s(self) -> float:
        """How much time has passed in here."""
        return self._time() - START_S

    def borders_moved(self) -> tuple[int, int]:
        """(regions that began as a part of another, regions that were handed over to another)."""
        return max(0, len(self._regions) - 1), sum(not is_there for is_there in self._regions.values())

    def summary(self) -> str:
        """What happened, in a line."""
        histories, (splits, merges) = self.histories, self.borders_moved()
        return (
            f"{self.simulated_s():.0f} s, {splits} splits, {merges} merges,"
            f" {len(histories.lists)} list transactions, {histories.transfers} transfers,"
            f" {len(histories.readings)} counts, {len(histories.registers)} registers"
        )

    # --- the story ----------------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        settings = ClusterSettings(
            stores=self.world.stores,
            pds=self.world.pds,
            seed=self.random.getrandbits(32),
            limits=self.world.limits(),
            max_store_down_s=6.0,
            merge_interval_s=self.world.merge_interval_s,
        )
        self.cluster = InProcessCluster(settings)
        self.cluster.note = self.cluster.network.note = self.trace.note
        await self.cluster.start()
        await self._open_accounts()
        self.cluster.network.conditions = self.world.conditions
        workers = self._workers()
        tasks = [asyncio.ensure_future(worker.run()) for worker in workers]
        looking = asyncio.ensure_future(self._count_regions())
        dice = random.Random(self.random.getrandbits(32))
        storm = self.storm = Storm(self.cluster, self.world, dice, self.slow_disks)
        await storm.blow(self.world.chaos_s)
        await self._mend(storm)
        await asyncio.sleep(AFTERWARDS_S)
        for worker in workers:
            worker.stopped = True
        await self._join(tasks)
        await self.cluster.until(self.is_whole, MENDING_S)
        looking.cancel()
        await self._look_at_everything()
        await self.cluster.close()

    async def _open_accounts(self) -> None:
        client = self.cluster.client(options=PATIENT)
        async with await client.begin() as transaction:
            for account in range(ACCOUNTS):
                transaction.put(account_key(account), b"%d" % EACH)

    def _workers(self) -> list[Worker]:
        return [
            kind(self.cluster.client(options=IMPATIENT), self.random.getrandbits(32), self.histories, self.trace.note)
            for kind in WORKERS
        ]

    async def _mend(self, storm: Storm) -> None:
        self.trace.note("everything is mended")
        network = self.cluster.network
        network.conditions = type(network.conditions)(delay_s=self.world.conditions.delay_s)
        self.cluster.heal()
        self.slow_disks.clear()
        await storm.end()
        for place in self.cluster.places.values():
            place.disk.fault = lambda operation: None
            self.cluster.resume(place.name)
            self.cluster.skew(place.name)
        for name, place in list(self.cluster.places.items()):
            try:
                await self.cluster.start_again(name)
            except RutileError as error:
                if place is not storm.leaving:
                    raise
                self.trace.note(f"{name} is gone for good: {error}")

    async def _join(self, tasks: list[asyncio.Task[None]]) -> None:
        _, pending = await asyncio.wait(tasks, timeout=LAST_CALLS_S)
        if pending:
            raise Violation(f"in a mended cluster {len(pending)} clients wait for ever: {pending}")
        for task in tasks:
            task.result()

    def is_whole(self) -> bool:
        """Whether all keys have a region, every region its replicas, and all replicas have applied the same."""
        leaders: dict[int, Any] = {}
        followers: list[Any] = []
        for place in self.cluster.stores:
            if isinstance(place.node, StoreNode):
                for info in place.node.driver.region_infos():
                    known = leaders.get(info.region.id)
                    if info.is_leader and (known is None or known.term < info.term):
                        leaders[info.region.id] = info
                    followers.append(info)
        if not tiles([info.region for info in leaders.values()]) or not self.cluster.is_placed():
            return False
        leaving = self.storm.leaving.store_id if self.storm.leaving is not None else 0
        if any(peer.store_id == leaving for info in leaders.values() for peer in info.region.peers):
            return False
        return all(
            info.region.id in leaders and info.applied_index == leaders[info.region.id].applied_index
            for info in followers
        )

    async def _count_regions(self) -> None:
        """Until cancelled; a region that comes and goes between two looks is not counted."""
        while True:
            nodes = [place.node for place in self.cluster.stores if isinstance(place.node, StoreNode)]
            there = [info.region.id for node in nodes for info in node.driver.region_infos()]
            self._regions = {region_id: region_id in there for region_id in (*self._regions, *there)}
            await asyncio.sleep(0.05)

    async def _look_at_everything(self) -> None:
        """The last word: a new client reads all there is."""
        client = self.cluster.client(options=PATIENT)
        try:
            for kind in (ListWorker, BankWorker):
                worker = kind(client, 1, self.histories, self.trace.note)
                await (worker.look() if isinstance(worker, ListWorker) else worker.count())  # type: ignore[attr-defined]
        except RutileError as error:
            raise Violation(f"a mended cluster cannot be read: {error}") from error

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_loop(self) -> VirtualLoop:
        rng = random.Random(self.random.getrandbits(32))

        def work_takes_s(work: Callable[..., object]) -> float:
            if getattr(work, "__name__", "").strip("_") != "sync":
                return 0.0
            machine = MACHINE.get()
            slow = machine is not None and machine.name in self.slow_disks
            return rng.uniform(0, self.world.sync_s + slow * self.world.slow_disk_s)

        self._loop = VirtualLoop()
        self._loop.work_takes_s = work_takes_s
        return self._loop

    def _time(self) -> float:
        if self._loop is not None and not self._loop.is_closed():
            self._now_s = self._loop.time()
        return self._now_s
