"""Ring 2: the real shells and clients under misfortune, on a virtual clock."""

from __future__ import annotations

import pytest
from shell_simulation import ShellSimulation
from shell_stories import ReadBeforeCommit
from shell_world import ShellWorld
from simulate import run_seed

from rutile.testing.network import Conditions

SEEDS = 16
BLOCKS = 4
CALM = ShellWorld(
    conditions=Conditions(), kill_store=0, kill_pd=0, pause=0, partition=0, one_way=0, skew=0, split=1.0, transfer=0
)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_histories_are_explained(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        run_seed(2, seed)


def test_a_calm_cluster_serves_everybody() -> None:
    simulation = ShellSimulation(1, CALM)
    simulation.run()
    histories = simulation.histories
    assert min(len(histories.lists), histories.transfers, len(histories.readings), len(histories.registers)) > 50


@pytest.mark.parametrize("seed", range(4))
def test_what_was_read_stays_what_is_read(seed: int) -> None:
    ReadBeforeCommit(seed).run()


def test_the_same_seed_gives_the_same_run() -> None:
    one, again, other = run_seed(2, 3), run_seed(2, 3), run_seed(2, 4)
    assert one.trace.count > 2_000
    assert one.trace.digest() == again.trace.digest() != other.trace.digest()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_histories_are_explained_for_many_seeds() -> None:
    for seed in range(10_000, 10_500):
        run_seed(2, seed)
