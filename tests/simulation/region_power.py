"""Power that goes in the middle of a write: before it, or after it while nothing says yet that it is there to stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rutile_kv.engine.api import WriteBatch
from rutile_kv.engine.memory import MemoryBatch
from rutile_kv.raftstore.write_places import WRITE_PLACES, write_places

if TYPE_CHECKING:
    from region_machine import Machine
    from region_simulation import RegionSimulation

SELDOM = {*WRITE_PLACES} - {"append", "hard_state", "apply", "bulk", "gc"}
"""Places that crashes at any time come to seldom, or never. (What clients write here are plain puts.)"""
NEW_PLACE = 6
"""So much likelier does the power go at a place where it has not gone yet in this run."""


class PowerCut(Exception):
    """In the middle of a boot."""


class Power:
    """That of all machines of a simulation, as unreliable as its world says."""

    def __init__(self, simulation: RegionSimulation) -> None:
        self._simulation = simulation
        self.cuts: Counter[tuple[str, str]] = Counter()
        """How often it went at each place, before or after the write."""

    def goes_at_boot(self) -> bool:
        """Whether it will at the first write of a boot, if there is one."""
        simulation = self._simulation
        return not simulation.calm and simulation.random.random() < simulation.world.power_cut * NEW_PLACE

    def write(self, machine: Machine, batch: WriteBatch) -> bool:
        """Write to the machine's disk, if the power lets it; whether the machine is still there. Raises DiskError."""
        assert isinstance(batch, MemoryBatch)
        disk = machine.disk
        places = write_places(disk, batch.operations) if self._simulation.world.power_cut else []
        if self._goes(places, "before"):
            machine.lose_power(disk.unsynced_batches)
            return False
        disk.write(batch)
        if self._goes(places, "after"):
            machine.lose_power(disk.unsynced_batches - self._simulation.random.choice((0, 0, 1)))
            return False
        return True

    def _goes(self, places: Sequence[str], side: str) -> bool:
        simulation, chance = self._simulation, self._simulation.world.power_cut
        seldom = [(place, side) for place in places if place in SELDOM]
        if simulation.calm or not chance or not seldom:
            return False
        is_new = any(each not in self.cuts for each in seldom)
        if simulation.random.random() >= (chance * NEW_PLACE if is_new else chance):
            return False
        self.cuts.update(seldom)
        return True
