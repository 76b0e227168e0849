"""The network between simulated machines: slow, lossy, out of order, and cut as the simulation pleases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rutile_kv.raftstore.events import Event, RaftMessageReceived

if TYPE_CHECKING:
    from region_machine import Machine
    from region_simulation import RegionSimulation

PD = 0
"""The placement driver's place in the network."""
LATE_MS = 2_000


class Network:
    """Who reaches whom. A cut has a direction: the other way may still work."""

    def __init__(self, simulation: RegionSimulation) -> None:
        self._simulation = simulation
        self._cuts: dict[tuple[int, int], None] = {}

    def cut(self, sender: int, to: int) -> None:
        """Lose everything from `sender` to `to`."""
        self._cuts[sender, to] = None

    def heal(self) -> None:
        """Everybody reaches everybody."""
        self._cuts.clear()

    def reaches(self, sender: int, to: int) -> bool:
        return (sender, to) not in self._cuts

    def delays(self, sender: int, to: int) -> list[int]:
        """When the copies of a message arrive, in ms from now: none if it is lost."""
        simulation, world = self._simulation, self._simulation.world
        if not self.reaches(sender, to) or simulation.chance(world.loss):
            return []
        delay_ms = simulation.random.randint(1, world.max_delay_ms)
        if simulation.chance(world.late):
            delay_ms = simulation.random.randint(1, LATE_MS)
        return [delay_ms] * (2 if simulation.chance(world.duplicate) else 1)

    def send(self, sender: Machine, to: int, arrive: Callable[[Machine], None]) -> None:
        """A message between stores."""
        for delay_ms in self.delays(sender.id, to):
            self.deliver(to, delay_ms, arrive)
        target = self._simulation.machines.get(to)
        if target is None or not target.up:
            sender.unreachable(to)

    def deliver(self, to: int, delay_ms: int, arrive: Callable[[Machine], None]) -> None:
        """Let something arrive at a store, if it runs then; while it stands still, it waits in the socket."""
        target = self._simulation.machines.get(to)
        if target is not None and target.up:
            target.later(delay_ms, lambda: arrive(target))


def text_of(event: Event) -> str:
    """An event in a line of the trace."""
    if not isinstance(event, RaftMessageReceived):
        return type(event).__name__
    outer, inner = event.message, event.message.message
    place = f"region {outer.region_id} peer {outer.from_peer.id}>{outer.to_peer.id}"
    return f"{place} kind {inner.msg_type} term {inner.term} index {inner.index} commit {inner.commit}"
