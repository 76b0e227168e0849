"""Ring 1: a whole cluster of cores in one heap of events, driven by one seed.

    heap of (time, action) ──► machines (store cores on forgetful disks) ◄── network ──► PD's core
                                  ▲ clients            ▲ misfortune

No thread, no event loop, no clock: a simulated second costs tens of milliseconds, and a seed run twice gives the same
trace. `run` lets the world happen for a while, then mends everything and waits until the cluster is whole again: every
region led, on as many stores as it should be, all replicas equal, the key space covered, and the histories of all
clients linearizable.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from region_checks import Checks, Violation, tiles
from region_clients import Clients
from region_faults import Misfortune
from region_machine import Machine
from region_network import Network
from region_pd import CLUSTER_ID, CONFIG, HEARTBEAT_MS, PdProxy
from region_pd import TICK_MS as PD_TICK_MS
from region_power import Power
from region_world import RegionWorld

from rutile.testing.trace import Trace
from rutile_kv.raftstore.events import Completion, Event
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_proto import metapb_pb2 as metapb

GROWING_MS = 90_000
MENDING_MS = 240_000
AFTERWARDS_MS = 3_000
"""How long clients go on in the mended cluster."""
LOOK_MS = 500


class RegionSimulation:
    """See the module."""

    def __init__(self, seed: int, world: RegionWorld | None = None) -> None:
        self.random = random.Random(seed)
        self.world = world or RegionWorld.draw(self.random)
        self.now_ms = 0
        self.calm = True
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self.trace = Trace(lambda: self.now_ms / 1000)
        self.note = self.trace.note
        self.power = Power(self)
        self.checks = Checks()
        self.network = Network(self)
        self.clients = Clients(self)
        self.machines: dict[int, Machine] = {}
        self.pd_proxy = PdProxy(self)
        self.misfortune = Misfortune(self)
        for _ in range(self.world.stores):
            self.add_store()
        self.later(PD_TICK_MS, self._pd_tick)
        self.later(LOOK_MS, self._look)
        for _ in range(self.world.clients):
            self.later(self.random.randint(1, 100), self._client)

    # --- time ---------------------------------------------------------------------------------------------------------

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something at a later moment; actions of one moment in the order they were asked for."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, action))

    def run(self) -> None:
        """Grow, suffer, mend, judge. Raises Violation, or whatever a core raised that should not have."""
        self._until(self.is_whole, GROWING_MS, "the new cluster does not become whole")
        self.calm = False
        self.misfortune.begin()
        self._advance(self.now_ms + self.world.chaos_ms)
        self._mend()
        self._advance(self.now_ms + AFTERWARDS_MS)
        self.clients.stop()
        self._until(self.is_whole, MENDING_MS, "the mended cluster does not become whole")
        self.checks.replicas_agree(self._running())
        self.clients.judge()

    def _advance(self, until_ms: int) -> None:
        while self._heap and self._heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
        self.now_ms = until_ms

    def _until(self, condition: Callable[[], bool], patience_ms: int, complaint: str) -> None:
        deadline_ms = self.now_ms + patience_ms
        while not condition():
            if self.now_ms >= deadline_ms:
                raise Violation(f"{complaint}: {self.describe()}")
            self._advance(self.now_ms + LOOK_MS)

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def add_store(self) -> None:
        """A new machine joins."""
        machine = Machine(self, self.pd_proxy.new_id(), CLUSTER_ID)
        self.machines[machine.id] = machine
        if not self.pd_proxy.cluster.bootstrapped:
            self.pd_proxy.found(machine)
        self.pd_proxy.register(machine)
        machine.boot()
        self.later(1, lambda: self._heartbeat(machine))

    def request(self, machine: Machine, what: str, make: Callable[[int], Event]) -> None:
        """A change of a region, by PD or by hand; how it ends is only noted."""

        def finish(completion: Completion | None) -> None:
            outcome = "unknown" if completion is None else completion.error or "done"
            self.note(f"{what} at store {machine.id}: {outcome}")

        if machine.up:
            self.clients.ask(machine, make, finish)

    def _heartbeat(self, machine: Machine) -> None:
        if machine.up and not machine.paused:
            self.pd_proxy.store_heartbeat(machine)
        if not machine.gone:
            self.later(HEARTBEAT_MS, lambda: self._heartbeat(machine))

    def _pd_tick(self) -> None:
        self.pd_proxy.tick()
        self.later(PD_TICK_MS, self._pd_tick)

    def _client(self) -> None:
        if not self.clients.stopped:
            self.clients.act()
            self.later(self.random.randint(1, 200), self._client)

    def _look(self) -> None:
        self.checks.replicas_agree(self._running())
        self.later(LOOK_MS, self._look)

    def chance(self, probability: float) -> bool:
        """Whether something bad happens now; nothing does while it is calm."""
        return not self.calm and self.random.random() < probability

    # --- the end ------------------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        self.note("everything is mended")
        self.calm = True
        self.misfortune.end()
        self.network.heal()
        self.pd_proxy.boot()
        for machine in self.machines.values():
            machine.failing = False
            machine.pause(False)
            machine.boot()

    def is_whole(self) -> bool:
        """Every region is led and on as many stores as it should be, its peers are equally far, and all keys have a
        region."""
        newest = self.newest_leaders()
        regions = [info.region for info in newest.values()]
        if not tiles(regions):
            return False
        homes = self._homes()
        wanted = min(CONFIG.max_replicas, len(homes))
        return all(self._is_healthy(info, wanted, homes) for info in newest.values())

    def _is_healthy(self, info: RegionInfo, wanted: int, homes: dict[int, Machine]) -> bool:
        peers = info.region.peers
        if len(peers) != wanted or any(peer.role != metapb.Voter or peer.store_id not in homes for peer in peers):
            return False
        infos = [homes[peer.store_id].store.region_info(info.region.id) for peer in peers]
        return all(found is not None and found.applied_index == info.applied_index for found in infos)

    def _homes(self) -> dict[int, Machine]:
        """Stores that may hold regions in the end."""
        leaving = {store.id for store in self.pd_proxy.cluster.stores.all() if store.meta.state != metapb.Up}
        return {id: machine for id, machine in self.machines.items() if machine.up and id not in leaving}

    def newest_leaders(self) -> dict[int, RegionInfo]:
        """By region, the leader of the newest term; without regions that others have swallowed since."""
        found: dict[int, RegionInfo] = {}
        for machine in self._running():
            for info in machine.store.region_infos():
                if info.is_leader and (info.region.id not in found or found[info.region.id].term < info.term):
                    found[info.region.id] = info
        return found

    def _running(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.up]

    def simulated_s(self) -> float:
        """How much time has passed in here."""
        return self.now_ms / 1000

    def borders_moved(self) -> tuple[int, int]:
        """(regions that began as a part of another, regions that were handed over to another)."""
        return len(self.checks.born), len(self.checks.merged)

    def summary(self) -> str:
        """What happened, in a line."""
        return (
            f"{self.simulated_s():.0f} s, {self.clients.acknowledged} writes, {self.clients.reads} reads,"
            f" {len(self.newest_leaders())} regions after {len(self.checks.born)} splits and {len(self.checks.merged)}"
            f" merges, {self.checks.snapshots} snapshots, {len(self.machines)} stores"
        )

    def describe(self) -> str:
        """The cluster for people: what each store holds."""
        lines = []
        for machine in self.machines.values():
            state = "up" if machine.up else "gone" if machine.gone else "down"
            lines.append(f"store {machine.id} ({state})")
            for info in machine.store.region_infos():
                region, leads = info.region, "leads" if info.is_leader else f"follows {info.leader and info.leader.id}"
                members = [(peer.store_id, peer.id, peer.role) for peer in region.peers]
                epoch = f"{region.region_epoch.conf_ver}/{region.region_epoch.version}"
                lines.append(
                    f"  region {region.id} {region.start_key!r}..{region.end_key!r} {epoch} {members}"
                    f" term {info.term} applied {info.applied_index} peer {info.peer.id} {leads}"
                )
        return "\n".join(lines)
