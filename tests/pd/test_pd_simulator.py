"""The placement driver's simulator at a small size: balance is reached, and the same seed decides the same."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import pd_simulator


def test_empty_stores_fill_and_leaders_even_out():
    world = pd_simulator.World(stores=10)
    world.grow_to(150)
    outcome = pd_simulator.balanced(world, minutes=15)
    assert outcome.before.peers[0] == 0
    assert outcome.after.peers[2] < 0.15, outcome.after
    assert outcome.after.leaders[1] - outcome.after.leaders[0] <= 2, outcome.after
    assert outcome.operators > 40
    assert all(len(region.peers) == 3 and not region.in_joint for region in world.pd.regions)


def test_the_same_seed_makes_the_same_decisions():
    def history():
        world = pd_simulator.World(stores=10, seed=5)
        world.grow_to(100)
        for _ in range(20):
            world.tick()
        return [str(each.operator) for each in world.pd.operators.history()]

    first = history()
    assert len(first) > 10
    assert first == history()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_regions():
    outcome = pd_simulator.run(stores=100, regions=100_000, minutes=2)
    assert outcome.operators > 1_000
