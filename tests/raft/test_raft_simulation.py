"""Raft under misfortune: seeded runs of a whole group, with every property of the paper checked at each step."""

from __future__ import annotations

import hashlib

import pytest
from raft_simulation import Simulation
from raft_world import World

STEPS = 2000
SEEDS = 300
BLOCKS = 10
CALM = World(loss=0, duplicate=0, late=0, crash=0, partition=0, cut_link=0, transfer=0, change=0, propose=0.5, read=0.2)


def simulate(seed: int, world: World | None = None, steps: int = STEPS) -> Simulation:
    """Run one seed; a failure names it."""
    simulation = Simulation(seed, world)
    try:
        simulation.run(steps)
    except BaseException as error:
        error.add_note(f"seed {seed}, step {simulation.now}, {simulation.world}")
        raise
    return simulation


@pytest.mark.parametrize("block", range(BLOCKS))
def test_properties_hold(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        simulate(seed)


def test_a_calm_world_gets_work_done() -> None:
    runs = [simulate(seed, CALM) for seed in range(3)]
    assert min(len(run.checker.applied) for run in runs) > 100
    assert min(run.reads_confirmed for run in runs) > 50
    assert max(len(run.checker.leader_of_term) for run in runs) < 20


def test_same_seed_same_trace() -> None:
    def digest() -> str:
        return hashlib.sha256("\n".join(simulate(7).trace).encode()).hexdigest()

    assert digest() == digest()


@pytest.mark.slow
def test_properties_hold_for_many_seeds() -> None:
    for seed in range(10_000, 20_000):
        simulate(seed)
