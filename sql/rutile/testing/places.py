"""Where stores and placement drivers run, and how they are started there: on a disk and a clock that outlive them."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from rutile.testing.clocks import SkewedClock
from rutile.testing.disk import ForgetfulDisk
from rutile.testing.loops import MACHINE, Machine
from rutile.testing.network import Conditions, SimulatedNetwork
from rutile.testing.placement import PORT, SimulatedPeers, pd_client
from rutile_kv.client.backoff import Pace
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.config import StoreConfig as RaftstoreConfig
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.node import StoreNode
from rutile_pd.config import PdConfig
from rutile_pd.consensus.founding import open_member
from rutile_pd.consensus.members import Founder
from rutile_pd.member import PdMember
from rutile_proto.errors import RutileError

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ClusterSettings:
    """How a cluster in one process is made. The rhythms are quick, so that tests see them."""

    stores: int = 3
    pds: int = 1
    replicas: int = 3
    seed: int = 0
    """Of everything that is drawn by lot: time-outs, delays, losses."""
    conditions: Conditions = field(default_factory=Conditions)
    limits: RaftstoreConfig = field(default_factory=RaftstoreConfig)
    tick_seconds: float = 0.05
    max_store_down_s: float = 10.0
    """When a store that is down counts as lost and its regions are brought elsewhere."""
    merge_interval_s: float = 3_600.0
    """After a split, or after its own start, the placement driver lets small regions be for so long; then it merges
    them."""
    gc_life_time_seconds: float = 600.0
    gc_interval_seconds: float = 600.0
    gc_poll_seconds: float = 10.0


class Place:
    """Where a store or a placement driver runs: its disk and its clock outlive it."""

    def __init__(self, name: str, clock: SkewedClock) -> None:
        self.name = name
        self.clock = clock
        self.disk = ForgetfulDisk()
        self.machine: Machine | None = None
        self.node: StoreNode | PdMember | None = None
        """What runs here, once it serves."""
        self.nascent: StoreNode | PdMember | None = None
        """The same while it starts."""
        self.store_id = 0

    @property
    def is_up(self) -> bool:
        return self.machine is not None


class Starter:
    """Starts what runs at places. The task that does belongs to the place's machine."""

    def __init__(self, network: SimulatedNetwork, settings: ClusterSettings, rng: random.Random) -> None:
        self._network = network
        self._settings = settings
        self._random = rng

    def pace(self, clock: Clock) -> Pace:
        """Waits by `clock`, jittered by lot."""
        return Pace(clock=clock, jitter=random.Random(self._random.getrandbits(32)).random)

    async def start_pd(self, place: Place, names: list[str]) -> None:
        """Member `place.name` of the placement driver that is to have all of `names`."""
        machine = running_machine()
        founders = [Founder(name, name + PORT) for name in names] if len(names) > 1 else []
        config = PdConfig(
            name=place.name,
            cluster_id=7,
            max_replicas=self._settings.replicas,
            max_store_down_s=self._settings.max_store_down_s,
            store_disconnected_s=self._settings.max_store_down_s / 4,
            split_merge_interval_s=self._settings.merge_interval_s,
            tick_s=0.1,
        )
        disk = place.disk
        record = open_member(disk, place.name, founders, 1)
        if not record.client_urls:
            record.client_urls.append("http://" + place.name + PORT)

        async def sync() -> None:
            await asyncio.to_thread(disk.sync)

        rng = random.Random(self._random.getrandbits(32))
        member = PdMember(disk, record, config, place.clock, sync, rng)
        place.nascent = member
        member.door.own = record
        member.start(SimulatedPeers(self._network, machine, member.replication, member.applied))
        self._network.serve(place.name, member.door)
        if len(names) == 1:
            await member.led_here()
        place.node, place.nascent = member, None

    async def start_store(self, place: Place, pd_names: list[str]) -> None:
        """The store of `place`."""
        machine, settings = running_machine(), self._settings
        pace = self.pace(place.clock)
        config = StoreConfig(
            address=None,
            tick_seconds=settings.tick_seconds,
            store_heartbeat_seconds=0.5,
            region_heartbeat_seconds=1.0,
            gc_life_time_seconds=settings.gc_life_time_seconds,
            gc_interval_seconds=settings.gc_interval_seconds,
            gc_poll_seconds=settings.gc_poll_seconds,
        )
        node = StoreNode(
            config,
            pd_client=pd_client(self._network, machine, pd_names, pace, budget_s=START_TIMEOUT_S),
            network=self._network,
            clock=place.clock,
            random_source=random.Random(self._random.getrandbits(32)),
            engine=place.disk,
            pace=pace,
            limits=settings.limits,
        )
        place.nascent = node
        await node.start()
        place.node, place.nascent, place.store_id = node, None, node.store_id


def running_machine() -> Machine:
    """Whose task this is."""
    machine = MACHINE.get()
    assert machine is not None, "stores and placement drivers are started as machines"
    return machine


async def wind_up(starting: asyncio.Task[None] | None, node: StoreNode | PdMember | None) -> None:
    """End the tasks of a machine that is dead already: nothing they do has any effect."""
    if starting is not None:
        starting.cancel()
        await asyncio.wait([starting])
    if node is not None:
        with suppress(RutileError, RuntimeError):
            await node.stop()
