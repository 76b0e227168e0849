"""Misfortune: what goes wrong in a simulated cluster, each thing by itself and at its own rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from region_network import PD

from rutile_kv.raftstore.events import ChangePeers, Merge, TransferLeader
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_proto import eraftpb_pb2 as eraftpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb

if TYPE_CHECKING:
    from region_machine import Machine
    from region_simulation import RegionSimulation

STEP_MS = 50
MAX_STORES = 7
MAX_REGIONS = 7


class Misfortune:
    """Rolls the dice every `STEP_MS`, between `begin` and `end`."""

    def __init__(self, simulation: RegionSimulation) -> None:
        self._simulation = simulation
        self._running = False
        self._may_kill = True
        world = simulation.world
        self._table: tuple[tuple[float, Callable[[], None]], ...] = (
            (world.crash, self._crash),
            (world.pause, self._pause),
            (world.partition, self._partition),
            (world.one_way, self._one_way),
            (world.disk_error, self._disk_error),
            (world.heal, simulation.network.heal),
            (world.pd_crash, simulation.pd_proxy.crash),
            (world.transfer, self._transfer),
            (world.change, self._change),
            (world.split, self._split),
            (world.merge, self._merge),
            (world.add_store, self._add_store),
            (world.remove_store, self._remove_store),
            (world.kill_store, self._kill_store),
        )

    def begin(self) -> None:
        self._running = True
        self._simulation.later(STEP_MS, self._step)

    def end(self) -> None:
        self._running = False

    def _step(self) -> None:
        if not self._running:
            return
        for per_second, action in self._table:
            if self._simulation.random.random() < per_second * STEP_MS / 1000:
                action()
        self._simulation.later(STEP_MS, self._step)

    def _any_machine(self) -> Machine | None:
        running = [machine for machine in self._simulation.machines.values() if machine.up]
        return self._simulation.random.choice(running) if running else None

    # --- machines -----------------------------------------------------------------------------------------------------

    def _crash(self) -> None:
        rng = self._simulation.random
        victims = [self._any_machine()]
        if rng.random() < 0.1:  # the power of the whole house
            victims = list(self._simulation.machines.values())
        for machine in victims:
            if machine is not None and machine.up:
                machine.crash(rng.randint(0, machine.disk.unsynced_batches))
                self._simulation.later(rng.randint(1, self._simulation.world.max_down_ms), machine.boot)

    def _pause(self) -> None:
        machine = self._any_machine()
        if machine is not None:
            machine.pause(True)
            self._simulation.later(
                self._simulation.random.choice((50, 300, 600, 1_200, 2_500)), lambda: machine.pause(False)
            )

    def _disk_error(self) -> None:
        machine = self._any_machine()
        if machine is not None:
            machine.failing = True

    # --- the network --------------------------------------------------------------------------------------------------

    def _places(self) -> list[int]:
        return [PD, *self._simulation.machines]

    def _partition(self) -> None:
        rng, places = self._simulation.random, self._places()
        inside = rng.sample(places, rng.randint(1, len(places) // 2))
        self._simulation.note(f"cut off {sorted(inside)}")
        for one in inside:
            for other in places:
                if other not in inside:
                    self._simulation.network.cut(one, other)
                    self._simulation.network.cut(other, one)

    def _one_way(self) -> None:
        sender, to = self._simulation.random.sample(self._places(), 2)
        self._simulation.note(f"cut {sender}->{to}")
        self._simulation.network.cut(sender, to)

    # --- people -------------------------------------------------------------------------------------------------------

    def _any_leader(self) -> tuple[Machine, RegionInfo] | None:
        leaders = [
            (machine, info)
            for machine in self._simulation.machines.values()
            if machine.up and not machine.paused
            for info in machine.store.region_infos()
            if info.is_leader
        ]
        return self._simulation.random.choice(leaders) if leaders else None

    def _transfer(self) -> None:
        if (found := self._any_leader()) is not None:
            machine, info = found
            to = self._simulation.random.choice(list(info.region.peers)).id
            self._simulation.request(machine, "transfer", lambda token: TransferLeader(token, context_of(info), to))

    def _change(self) -> None:
        """Somebody moves peers by hand, not always wisely."""
        if (found := self._any_leader()) is None:
            return
        machine, info = found
        rng, changes = self._simulation.random, []
        for _ in range(rng.choice((0, 1, 1, 2))):
            changes.append(self._some_change(info.region))
        self._simulation.request(machine, "change", lambda token: ChangePeers(token, context_of(info), changes))

    def _some_change(self, region: metapb.Region) -> pdpb.ChangePeer:
        rng = self._simulation.random
        held = {peer.store_id: peer for peer in region.peers}
        spare = [store_id for store_id in self._simulation.machines if store_id not in held]
        if spare and rng.random() < 0.6:
            peer = metapb.Peer(id=self._simulation.pd_proxy.new_id(), store_id=rng.choice(spare))
            return pdpb.ChangePeer(change_type=eraftpb.AddLearnerNode, peer=peer)
        peer = rng.choice(list(held.values()))
        if peer.role == metapb.Learner:
            return pdpb.ChangePeer(change_type=eraftpb.AddNode, peer=metapb.Peer(id=peer.id, store_id=peer.store_id))
        voters = sum(peer.role == metapb.Voter for peer in held.values())
        kind = eraftpb.RemoveNode if voters > 3 else eraftpb.AddNode  # one of three may be dead for good
        return pdpb.ChangePeer(change_type=kind, peer=peer)

    def _split(self) -> None:
        simulation, rng = self._simulation, self._simulation.random
        found = self._any_leader()
        if found is None or len(simulation.newest_leaders()) >= MAX_REGIONS:
            return
        machine, info = found
        start, end = info.region.start_key[:1] or b"a", info.region.end_key[:1] or b"z"
        inside = range(start[0] + 1, end[0])
        if len(inside) > 1:
            keys = sorted(rng.sample(inside, rng.choice((1, 1, 2)) if len(inside) > 2 else 1))
            simulation.pd_proxy.ask_split(machine, info.region, [bytes([key]) for key in keys])

    def _merge(self) -> None:
        found = self._any_leader()
        if found is None:
            return
        machine, info = found
        regions = [each.region for each in self._simulation.newest_leaders().values()]
        target = next((region for region in regions if region.start_key == info.region.end_key), None)
        if target is None or not target.start_key:
            return
        if self._simulation.random.random() < 0.5:
            self._simulation.pd_proxy.ask_merge(info.region.id, target.id)
        else:
            self._simulation.request(machine, "merge", lambda token: Merge(token, context_of(info), target))

    def _add_store(self) -> None:
        if len(self._simulation.machines) < MAX_STORES and self._simulation.pd_proxy.up:
            self._simulation.note("a store joins")
            self._simulation.add_store()

    def _remove_store(self) -> None:
        simulation = self._simulation
        remaining = [machine for machine in simulation.machines.values() if not machine.gone]
        if simulation.pd_proxy.up and len(remaining) > 3 and self._may_kill:
            self._may_kill = False
            machine = simulation.random.choice(remaining)
            simulation.note(f"store {machine.id} is to leave")
            simulation.pd_proxy.cluster.remove_store(machine.id)

    def _kill_store(self) -> None:
        """Once, and only when every region has three voters and no change under way: more would be too much."""
        simulation = self._simulation
        regions = [info.region for info in simulation.newest_leaders().values()]
        sturdy = all(len(r.peers) == 3 and all(p.role == metapb.Voter for p in r.peers) for r in regions)
        running = [machine for machine in simulation.machines.values() if machine.up]
        if self._may_kill and regions and sturdy and len(running) == len(simulation.machines) > 3:
            self._may_kill = False
            machine = simulation.random.choice(running)
            simulation.note(f"store {machine.id} dies for good")
            machine.crash()
            machine.gone = True
