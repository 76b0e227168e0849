"""A whole cluster in one process, on a network and on disks that can fail.

The real shells run here: `StoreNode`, `PdMember`, `Client`. Only what they stand on is another: a `SimulatedNetwork`,
`ForgetfulDisk`s, `SkewedClock`s, and the loop (`ClusterLoop` in real time, `VirtualLoop` in simulated time).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from rutile.testing.clocks import LoopClock, SkewedClock
from rutile.testing.loops import MACHINE, ClusterLoop, Machine
from rutile.testing.network import SimulatedNetwork
from rutile.testing.placement import pd_client
from rutile.testing.places import START_TIMEOUT_S, ClusterSettings, Place, Starter, wind_up
from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.cluster import Cluster as ClientCluster
from rutile_kv.client.connections import LocalStores
from rutile_kv.server.node import StoreNode
from rutile_proto import metapb_pb2 as metapb

T = TypeVar("T")


class InProcessCluster:
    """See the module. Made, used and closed in one event loop, which must be a `ClusterLoop`."""

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, ClusterLoop):
            raise TypeError("a cluster in one process runs on a rutile.testing.loops.ClusterLoop")
        self.settings = settings or ClusterSettings()
        self.random = random.Random(self.settings.seed)
        self.network = SimulatedNetwork(random.Random(self.random.getrandbits(32)), self.settings.conditions)
        self._starter = Starter(self.network, self.settings, self.random)
        self.note: Callable[[str], None] = lambda line: None
        """Hears of every fault."""
        self.places: dict[str, Place] = {}
        self._loop = loop
        self._ghosts: list[asyncio.Task[None]] = []
        self._clients: list[Client] = []
        self._starting: dict[str, asyncio.Task[None]] = {}

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Placement drivers first, then stores; returns when the first region has all its replicas."""
        for number in range(1, self.settings.pds + 1):
            self._add_place(f"pd{number}")
        for name in self.pd_names:
            await self.start_again(name)
        for _ in range(self.settings.stores):
            await self.add_store()
        await self.until(self.is_placed)

    async def until(self, condition: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        """Look again and again until `condition` holds; TimeoutError if it does not in time."""
        deadline_s = self._loop.time() + timeout_s
        while not condition():
            if self._loop.time() > deadline_s:
                raise TimeoutError(f"waited {timeout_s} s in vain for {condition.__name__}")
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Stop everything, from the clients down."""
        self.heal()
        for place in self.places.values():
            self.resume(place.name)
        for client in self._clients:
            await client.close()
        for name in reversed(list(self.places)):
            await self.stop(name)
        for ghost in self._ghosts:
            ghost.cancel()
        await asyncio.gather(*self._ghosts, return_exceptions=True)
        await self.network.close()

    def is_placed(self) -> bool:
        """Whether every region that stores know is led and has as many voters as it should, and no one else."""
        regions: dict[int, metapb.Region] = {}
        for place in self.stores:
            if isinstance(place.node, StoreNode) and place.is_up:
                for info in place.node.driver.region_infos():
                    if info.is_leader:
                        regions[info.region.id] = info.region
        wanted = min(self.settings.replicas, sum(place.is_up for place in self.stores))
        return bool(regions) and all(
            len(region.peers) == wanted and all(peer.role == metapb.Voter for peer in region.peers)
            for region in regions.values()
        )

    # --- who is there -------------------------------------------------------------------------------------------------

    @property
    def stores(self) -> list[Place]:
        return [place for name, place in self.places.items() if name.startswith("store")]

    @property
    def pd_names(self) -> list[str]:
        return [name for name in self.places if name.startswith("pd")]

    def store_node(self, name: str) -> StoreNode:
        """The running store of that name."""
        node = self.places[name].node
        if not isinstance(node, StoreNode):
            raise KeyError(f"{name} is not a running store")
        return node

    async def add_store(self) -> str:
        """One store more; returns its name."""
        name = f"store{len(self.stores) + 1}"
        self._add_place(name)
        await self.start_again(name)
        return name

    def client(self, name: str = "", options: ClientOptions | None = None) -> Client:
        """A client, on a machine of its own; closed with the cluster."""
        machine = Machine(name or f"client{len(self._clients) + 1}")
        pace, options = self._starter.pace(LoopClock(self._loop)), options or ClientOptions()
        pd = pd_client(self.network, machine, self.pd_names, pace, options.pd_budget_s)
        stores = LocalStores(self.network.store_stubs(machine))
        client = Client(ClientCluster(pd, stores, pace, options))
        self._clients.append(client)
        return client

    # --- faults -------------------------------------------------------------------------------------------------------

    def kill(self, name: str, survivors: int = 0) -> None:
        """Power off: what was not synced is lost, but for the first `survivors` batches; connections break."""
        place = self.places[name]
        machine, node = place.machine, place.node or place.nascent
        if machine is None:
            return
        self.note(f"{name} dies, {min(survivors, place.disk.unsynced_batches)} batches survive")
        place.disk = place.disk.reboot(survivors)
        self.network.crash(machine)
        place.machine = place.node = place.nascent = None
        self._loop.thaw(machine)
        starting = self._starting.pop(name, None)
        self._ghosts.append(self._run_on(machine, wind_up(starting, node), f"ghost of {name}"))

    async def start_again(self, name: str) -> None:
        """Start what was killed or stopped, on what its disk holds."""
        place = self.places[name]
        if place.is_up:
            return
        machine = place.machine = Machine(name)
        self.note(f"{name} starts")
        start = self._starter.start_pd if name.startswith("pd") else self._starter.start_store
        work = start(place, self.pd_names)
        task = self._starting[name] = self._run_on(machine, work, f"start of {name}")
        try:
            await asyncio.wait([task])
        finally:
            if self._starting.get(name) is task:
                del self._starting[name]
        if not machine.is_dead:
            task.result()

    async def stop(self, name: str) -> None:
        """Stop gracefully."""
        place = self.places[name]
        machine, node = place.machine, place.node
        place.machine = place.node = None
        if machine is not None and node is not None:
            await self._run_on(machine, node.stop(), f"stop of {name}")
            self.network.crash(machine)

    def pause(self, name: str) -> None:
        """Let nothing run there, as SIGSTOP does. Its clock goes on, and so does the network."""
        machine = self.places[name].machine
        if machine is not None:
            self.note(f"{name} stands still")
            self._loop.freeze(machine)

    def resume(self, name: str) -> None:
        """Let it go on."""
        machine = self.places[name].machine
        if machine is not None and machine.is_frozen:
            self.note(f"{name} goes on")
            self._loop.thaw(machine)

    def partition(self, *names: str) -> None:
        """Cut these off from all others, both ways; they still reach each other."""
        self.note(f"cut off {', '.join(names)}")
        for other in [*self.places, *(f"client{number + 1}" for number in range(len(self._clients)))]:
            if other not in names:
                for name in names:
                    self.network.cut(name, other)
                    self.network.cut(other, name)

    def heal(self) -> None:
        """End all cuts."""
        self.note("the network heals")
        self.network.heal_all()

    def skew(self, name: str, ahead_s: float = 0.0, rate: float = 1.0) -> None:
        """Set a machine's wall clock ahead (or back), and let its clocks run faster or slower."""
        clock = self.places[name].clock
        clock.ahead_s, clock.rate = ahead_s, rate

    # --- inside -------------------------------------------------------------------------------------------------------

    def _add_place(self, name: str) -> None:
        self.places[name] = Place(name, SkewedClock(LoopClock(self._loop)))

    def _run_on(self, machine: Machine, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        context = copy_context()
        context.run(MACHINE.set, machine)
        return self._loop.create_task(work, name=name, context=context)
