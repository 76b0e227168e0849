"""The test of the tests: bugs planted on purpose are found by the simulation, soon."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from goldenscript import run_script
from group_simulation import GroupSimulation, World
from mutations import GOLDEN, MUTATIONS, STORY, Mutation
from raft_script import RaftScript
from region_simulation import RegionSimulation
from region_world import RegionWorld
from shell_simulation import ShellSimulation
from shell_stories import Story
from shell_world import ShellWorld
from simulate import Run


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Planted bugs make stores fail loudly, as they should."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class GoldenScripts:
    """Raft's golden scripts, as a run."""

    def run(self) -> None:
        folder = Path(__file__).parents[1] / "raft"
        for path in sorted((folder / "scripts").glob("*.txt")):
            run_script(path, RaftScript())


def make_run(mutation: Mutation, seed: int) -> Run | GoldenScripts | Story:
    if mutation.ring == GOLDEN:
        return GoldenScripts()
    if mutation.ring == STORY:
        return mutation.story(seed)
    if mutation.ring == 0:
        assert mutation.world is None or isinstance(mutation.world, World)
        return GroupSimulation(seed, mutation.world)
    if mutation.ring == 1:
        assert mutation.world is None or isinstance(mutation.world, RegionWorld)
        return RegionSimulation(seed, mutation.world)
    assert mutation.world is None or isinstance(mutation.world, ShellWorld)
    return ShellSimulation(seed, mutation.world)


def seeds_until_found(mutation: Mutation) -> tuple[int, Exception] | None:
    """How many seeds it took, and what showed; None if nothing did."""
    with mutation.plant():
        for seed in range(mutation.seeds):
            try:
                make_run(mutation, seed).run()
            except (TypeError, AttributeError):
                raise  # the mutation does not fit the code any more
            except Exception as error:
                return seed + 1, error
    return None


def marked(mutation: Mutation) -> object:
    marks = (pytest.mark.slow, pytest.mark.timeout(900)) if mutation.slow else ()
    return pytest.param(mutation, marks=marks, id=mutation.name.replace(" ", "-"))


@pytest.mark.filterwarnings("ignore")  # a run that is broken off leaves coroutines behind
@pytest.mark.parametrize("mutation", [marked(mutation) for mutation in MUTATIONS])
def test_planted_bugs_are_found(mutation: Mutation) -> None:
    assert seeds_until_found(mutation) is not None, f"{mutation.name}: nothing noticed in {mutation.seeds} seeds"


def test_worlds_of_mutations_are_survivable() -> None:
    """It is the bug that is found there, not the world."""
    worlds = {repr(mutation.world): mutation for mutation in MUTATIONS if isinstance(mutation.world, RegionWorld)}
    for mutation in worlds.values():
        make_run(mutation, 0).run()
