"""Ring 0: one Raft group (`tests/raft/raft_simulation.py`), run like the other rings."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "raft"))

from raft_simulation import STEPS_PER_TICK, Simulation
from raft_world import World

from rutile.testing.trace import Trace

STEPS = 2_000
TICK_S = 0.1


class GroupSimulation:
    """A group with all its peers, proposals, reads and configuration changes."""

    def __init__(self, seed: int, world: World | None = None) -> None:
        self._simulation = Simulation(seed, world)
        self.trace = Trace(self.simulated_s)

    def run(self) -> None:
        """Raises Violation, or whatever the core raised that should not have."""
        try:
            self._simulation.run(STEPS)
        finally:
            for line in self._simulation.trace:
                self.trace.note(line)

    def simulated_s(self) -> float:
        """How much time has passed in there."""
        return self._simulation.now / STEPS_PER_TICK * TICK_S

    def borders_moved(self) -> tuple[int, int]:
        """One group is one region for ever."""
        return 0, 0

    def summary(self) -> str:
        """What happened, in a line."""
        simulation = self._simulation
        return f"{len(simulation.checker.applied)} entries applied, {simulation.reads_confirmed} reads confirmed"
