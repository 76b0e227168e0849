"""Raft under misfortune: seeded runs of a whole group, with every property of the paper checked at each step."""

from __future__ import annotations

import hashlib

import pytest
from raft_simulation import Faults, Simulation

STEPS = 2500
KIND = Faults(loss=0, duplicate=0, late=0, crash=0, partition=0)
CRASHES = Faults(crash=0.004, partition=0, max_sync_steps=40)
PARTITIONS = Faults(partition=0.006, heal=0.01, late=0.05)
LOSSY = Faults(loss=0.2, duplicate=0.1, max_delay_steps=40)
WORLDS = {"kind": KIND, "usual": Faults(), "crashes": CRASHES, "partitions": PARTITIONS, "lossy": LOSSY}


def simulate(seed: int, faults: Faults, steps: int = STEPS, members_change: bool = True) -> Simulation:
    """Run one seed; a failure names it."""
    simulation = Simulation(seed, faults, members_change=members_change)
    try:
        simulation.run(steps)
    except BaseException as error:
        error.add_note(f"seed {seed}, {faults}, members_change={members_change}, step {simulation.now}")
        raise
    return simulation


@pytest.mark.parametrize("members_change", [True, False])
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("block", range(2))
def test_properties_hold(world: str, members_change: bool, block: int) -> None:
    for seed in range(block * 10, block * 10 + 10):
        simulate(seed, WORLDS[world], members_change=members_change)


def test_things_happen() -> None:
    runs = [simulate(seed, Faults(), members_change=False) for seed in range(3)]
    assert sum(len(run.checker.applied) for run in runs) > 100
    assert sum(run.reads_confirmed for run in runs) > 30


def test_same_seed_same_trace() -> None:
    def digest() -> str:
        return hashlib.sha256("\n".join(simulate(7, Faults()).trace).encode()).hexdigest()

    assert digest() == digest()
